"""The page's video and stills: every tile where the page looks for it, in the right order."""

import io
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from openloop_cli.draw.grid import image_row
from openloop_cli.measures.measure import ERROR_METRIC
from openloop_cli.measures.metrics import mse, psnr_of
from openloop_cli.page import make_player, order_windows
from openloop_cli.page.words import leading_key

from .conftest import made


def decoded(mp4: bytes, size) -> np.ndarray:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", "-"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, input=mp4, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, size[1], size[0], 3)


def smooth(windows, steps, side=32):
    """A hue and a slope of its own in each window, brighter with each step."""
    ramp = np.linspace(0, 60, side)
    video = np.zeros((windows, steps, side, side, 3))
    video += ramp[:, None, None] + 5 * np.arange(steps)[:, None, None, None]
    video += np.random.default_rng(0).uniform(0, 120, (windows, 1, 1, 1, 3))
    return video.astype(np.uint8)


@pytest.mark.parametrize("count", [1, 3, 12, 40])
def test_each_block_shows_its_window(count):
    truth, said = smooth(count, 6), smooth(count, 6)[..., ::-1]
    windows = order_windows(np.arange(count, dtype=float), "mistakes")
    order = [window.index for window in windows]
    said = np.ascontiguousarray(said)
    rows = [image_row("truth", truth[order]), image_row("prediction", said[order])]
    player = make_player("image", rows, windows, 2, 10)
    frames = decoded(player.mp4, player.size)
    assert frames.shape[0] == 6
    assert len(player.blocks) == min(count, 12)
    for shown, (x, y) in zip(windows, player.blocks, strict=True):
        block = frames[:, y : y + player.block[1], x : x + player.block[0]]
        inside = block[:, 4:-4, 4:-4]
        tile = inside.shape[1]
        scale = tile // 32
        for place, video in enumerate((truth, said)):
            found = inside[:, ::scale, place * (tile + 4) : place * (tile + 4) + tile : scale]
            error = mse(video[shown.index][None] / 255.0, found[None] / 255.0)
            assert psnr_of(error).min() > 28
        green, red = block[0, 1, 20].astype(int), block[-1, 1, 20].astype(int)
        assert green[1] > green[0] + 60
        assert red[0] > red[1] + 60


def test_the_hardest_come_first_then_the_easiest():
    errors = np.array([5.0, 1, 9, 3, 7, 2, 8, 4, 6])
    order = order_windows(errors, "mistakes")
    assert [w.index for w in order] == [2, 6, 4, 1, 5, 3, 0, 7, 8]
    assert [w.group for w in order] == ["hardest"] * 3 + ["easiest"] * 3 + [""] * 3
    assert order[0].score == "9"


def test_few_windows_are_only_ordered():
    order = order_windows(np.array([0.01, 0.1]), "mse")
    assert [(w.index, w.group, w.score) for w in order] == [(1, "", "10.0 dB"), (0, "", "20.0 dB")]


def test_at_most_a_dozen_are_shown_with_both_extremes():
    errors = np.random.default_rng(0).permutation(100).astype(float)
    order = order_windows(errors, "mistakes")
    assert len(order) == len({w.index for w in order}) == 12
    assert {errors[w.index] for w in order[:3]} == {99, 98, 97}
    assert {errors[w.index] for w in order[3:6]} == {0, 1, 2}


def test_stills_are_tiles_pixel_for_pixel():
    truth = smooth(7, 6)
    windows = order_windows(np.arange(7, dtype=float), "mistakes")
    shown = truth[[window.index for window in windows]]
    player = make_player("image", [image_row("truth", shown)], windows, 2, 10)
    assert len(player.stills) == 3
    place, png = player.stills[0]
    picture = np.asarray(Image.open(io.BytesIO(png)))
    first = truth[windows[place].index, player.steps[0]]
    np.testing.assert_array_equal(picture[:32, :32, :3], first)
    assert picture[:32, 32:36, 3].max() == 0


@pytest.mark.parametrize("keys", [("image",), ("pose",), ("token",)])
def test_windows_are_ordered_by_the_numbers_of_the_report(made_up_run, tmp_path, keys):
    """A page is filmed before its numbers are there, and says the same of each window."""
    options = {"num_windows": 8, "allow_resets": True, "keys": keys, "evaluate": False}
    page = made(made_up_run, made_up_run, tmp_path, **options)
    found = page.tree["observations"][leading_key(page.tree)]
    errors = np.mean(found["per_window"]["model"], 1)
    assert page.media.windows == order_windows(errors, ERROR_METRIC[found["kind"]])
