"""The explained grid: right pixels in even places, words that fit, any size of image."""

import numpy as np
import pytest

from openloop_cli.draw.grid import (
    Caption,
    default_scale,
    explained,
    explained_grid,
    image_row,
    layout,
    prediction_rows,
    text,
)

CAPTION = Caption(run="logdir/run", step="1692", key="image")


def videos(shape, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, shape, np.uint8) for _ in range(2)]


SHAPES = [
    (1, 2, 64, 64, 3),
    (6, 4, 64, 64, 3),
    (16, 2, 64, 64, 3),
    (3, 4, 96, 96, 1),
    (2, 3, 21, 33, 3),
    (3, 2, 64, 3, 3),
    (2, 2, 3, 64, 3),
    (2, 2, 8, 8, 2),
    (1, 2, 1, 1, 4),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_tile_is_its_video_enlarged_at_an_even_place(shape):
    rows = prediction_rows(*videos(shape))
    frames = explained_grid(rows, 1, CAPTION)
    scale = default_scale(*shape[2:4])
    place = layout.arrange(rows, scale, CAPTION.note)
    assert frames.shape == (shape[1], place.height, place.width, 3)
    assert frames.dtype == np.uint8
    assert place.height % 2 == place.width % 2 == 0
    for window, boxes in enumerate(place.tiles):
        for row, box in zip(rows, boxes, strict=True):
            assert box.y % 2 == box.x % 2 == 0
            tile = frames[:, box.y : box.y + box.height, box.x : box.x + box.width]
            for y in (0, scale - 1):
                np.testing.assert_array_equal(tile[:, y::scale, ::scale], row.video[window])
                np.testing.assert_array_equal(
                    tile[:, y::scale, scale - 1 :: scale], row.video[window]
                )


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_overlaps_and_nothing_sticks_out(shape):
    rows = prediction_rows(*videos(shape))
    place = layout.arrange(rows, default_scale(*shape[2:4]), CAPTION.note)
    used = np.zeros((place.height, place.width), int)
    boxes = [place.header, place.timeline, place.footer, *place.headings, *place.borders]
    boxes += [box for band in place.bands for box in band.labels]
    for box in boxes:
        assert min(box.y, box.x) >= 0
        assert box.y + box.height <= place.height
        assert box.x + box.width <= place.width
        used[box.y : box.y + box.height, box.x : box.x + box.width] += 1
    assert used.max() == 1


def test_borders_are_green_while_observing_and_red_while_imagining():
    rows = prediction_rows(*videos((2, 6, 64, 64, 3)))
    frames = explained_grid(rows, 4, CAPTION)
    border = layout.arrange(rows, 2, CAPTION.note).borders[1]
    corner = frames[:, border.y, border.x]
    assert (corner[:4] == explained.OBSERVED).all()
    assert (corner[4:] == explained.IMAGINED).all()


def find(frame, patch):
    """Whether a patch stands anywhere in a frame, pixel for pixel."""
    places = np.lib.stride_tricks.sliding_window_view(frame, patch.shape)[:, :, 0]
    # Compare one telling row first: the whole is a lot of memory.
    row = patch.shape[0] // 2
    hits = np.argwhere((places[:, :, row] == patch[row]).all((-1, -2)))
    return any((places[y, x] == patch).all() for y, x in hits)


def says(frame, line, size, colour):
    return find(frame, text.words(line, size, colour, explained.BACKGROUND))


def test_state_and_step_are_told_in_words():
    frames = explained_grid(prediction_rows(*videos((1, 6, 16, 16, 3))), 4, CAPTION)
    white = (255, 255, 255)
    seen = text.pill("context", layout.TITLE, white, explained.OBSERVED, explained.BACKGROUND)
    third = text.pill("imagined +2", layout.TITLE, white, explained.IMAGINED, explained.BACKGROUND)
    assert find(frames[3], seen)
    assert not find(frames[4], seen)
    assert find(frames[5], third)
    assert not find(frames[4], third)
    assert says(frames[5], "step 6 of 6", layout.BODY, explained.BRIGHT)


def test_labels_headings_and_caption_are_there():
    rows = prediction_rows(*videos((2, 2, 32, 32, 3)))
    frame = explained_grid(rows, 1, CAPTION, windows=["step 10", "step 20"])[0]
    for label in ("truth", "prediction", "error"):
        assert says(frame, label, layout.TITLE, explained.BRIGHT)
    for small in ("step 10", "step 20", "-64", "+64", "too dark", "too bright"):
        assert says(frame, small, layout.SMALL, explained.MUTED)
    caption = "logdir/run · checkpoint step 1692 · image"
    assert says(frame, caption, layout.BODY, explained.BRIGHT)


def test_the_timeline_fills_up():
    rows = prediction_rows(*videos((1, 10, 16, 16, 3)))
    frames = explained_grid(rows, 5, CAPTION)
    bar = layout.arrange(rows, default_scale(16, 16), CAPTION.note).timeline
    line = frames[:, bar.y, bar.x : bar.x + bar.width]
    bright = (line == explained.OBSERVED).all(-1) | (line == explained.IMAGINED).all(-1)
    done = bright.sum(1)
    assert (np.diff(done) > 0).all()
    assert done[-1] == bar.width


@pytest.mark.parametrize("name", ["x" * 500, "läuft/日本語/наука", "", "…" * 90])
def test_any_name_fits(name):
    rows = prediction_rows(*videos((1, 2, 8, 8, 3)))
    caption = Caption(run=name, step="1" * 40, key=name, note=name)
    frames = explained_grid(rows, 1, caption, scale=2, windows=[name])
    assert frames.shape[2] == layout.NARROWEST


def test_rows_are_not_limited_to_three():
    truth, _ = videos((2, 3, 16, 16, 3))
    rows = [image_row(f"a checkpoint with a long name {i}", truth) for i in range(7)]
    frames = explained_grid(rows, 2, CAPTION)
    labels = layout.arrange(rows, default_scale(16, 16), CAPTION.note).bands[0].labels
    assert len(labels) == 7
    assert labels[0].width <= layout.LABELS_MOST + layout.SPACE
    assert frames.shape[1] > 7 * 128


@pytest.mark.parametrize("context", [0, 3])
def test_all_imagined_or_all_context(context):
    frames = explained_grid(prediction_rows(*videos((1, 3, 16, 16, 3))), context, CAPTION)
    assert len(frames) == 3


@pytest.mark.parametrize(
    ("size", "scale"),
    [((64, 64), 2), ((96, 96), 2), ((32, 32), 4), ((8, 8), 16), ((64, 3), 2), ((300, 300), 2)],
)
def test_default_scale_makes_tiles_of_about_128_pixels(size, scale):
    assert default_scale(*size) == scale


@pytest.mark.parametrize(("count", "bands"), [(1, 1), (6, 1), (8, 1), (16, 2)])
def test_many_windows_break_into_bands(count, bands):
    place = layout.arrange(prediction_rows(*videos((count, 2, 64, 64, 3))), 2, CAPTION.note)
    assert len(place.bands) == bands
    assert place.width <= 1920
    assert [w for band in place.bands for w in band.windows] == list(range(count))


def test_an_odd_scale_is_our_own_bug():
    with pytest.raises(AssertionError, match="even"):
        explained_grid(prediction_rows(*videos((1, 2, 8, 8, 3))), 1, CAPTION, scale=3)
