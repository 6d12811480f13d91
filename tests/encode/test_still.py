"""A still: the chosen steps, tiles pixel for pixel, every kind of picture."""

import numpy as np
import pytest
from PIL import Image

from openloop_cli.draw.grid import Caption, image_row, prediction_rows
from openloop_cli.encode.still import (
    GAP,
    chosen_steps,
    mosaic,
    still,
    tile_lefts,
    write_still,
)

CAPTION = Caption("run", "1,692", "image")


def video(windows=2, steps=10, side=16, channels=3):
    shape = (windows, steps, side, side, channels)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize(
    ("context", "steps"), [(25, 50), (1, 2), (1, 3), (8, 16), (32, 64), (5, 600), (2, 3), (49, 50)]
)
def test_steps_are_seen_then_imagined_to_the_last(context, steps):
    found = chosen_steps(context, steps)
    assert found == sorted(set(found))
    assert len(found) <= 8
    assert context - 1 in found
    assert context in found
    assert found[-1] == steps - 1
    assert 1 <= sum(step < context for step in found) <= 2


def test_the_usual_steps():
    ahead = [step - 24 for step in chosen_steps(25, 50)]
    assert ahead == [-8, 0, 1, 2, 5, 10, 15, 25]


def test_tiles_stand_where_they_are_said_to_stand():
    rows = prediction_rows(video(), video()[:, ::-1])
    steps = [1, 3, 4, 9]
    picture = mosaic(rows, 1, steps, 4, 2)
    lefts = tile_lefts(steps, 4, 32)
    assert lefts[2] - lefts[1] == 32 + 3 * GAP
    assert picture.shape == (3 * 32 + 2 * GAP, lefts[-1] + 32, 4)
    covered = np.zeros(picture.shape[:2], bool)
    for down, row in enumerate(rows):
        for x, step in zip(lefts, steps, strict=True):
            y = down * (32 + GAP)
            tile = picture[y : y + 32, x : x + 32]
            np.testing.assert_array_equal(tile[::2, ::2, :3], row.video[1, step])
            np.testing.assert_array_equal(tile[1::2, 1::2, :3], row.video[1, step])
            covered[y : y + 32, x : x + 32] = True
    np.testing.assert_array_equal(picture[..., 3] == 255, covered)


@pytest.mark.parametrize(
    ("side", "channels", "windows"), [(16, 3, 1), (64, 1, 3), (3, 3, 2), (150, 4, 1)]
)
def test_a_whole_still_holds_every_tile(side, channels, windows):
    one = video(windows, 6, side, channels)
    rows = prediction_rows(one, one)
    picture = still(rows, 3, CAPTION, scale=2)
    assert picture.dtype == np.uint8
    assert picture.shape[1] > len(chosen_steps(3, 6)) * side * 2
    assert picture.shape[0] > windows * 3 * side * 2
    tile = np.repeat(np.repeat(rows[0].video[windows - 1, 5], 2, 0), 2, 1)
    views = np.lib.stride_tricks.sliding_window_view(picture[..., 0], (4, 4))
    assert (views == tile[:4, :4, 0]).all((2, 3)).any()


def test_long_names_stay_inside():
    rows = [image_row("x" * 300, video(), note="y" * 300)]
    picture = still(rows, 4, Caption("z" * 30, "", "image"), windows=["w" * 300, "v"])
    assert picture.shape[1] < 3000


def test_it_is_a_png(tmp_path):
    picture = still(prediction_rows(video(1), video(1)), 4, CAPTION)
    write_still(tmp_path / "strip.png", picture)
    with Image.open(tmp_path / "strip.png") as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), picture)
