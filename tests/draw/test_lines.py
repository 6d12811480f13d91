"""Lines of truth and prediction: in the right places and colours, cut, chosen and told rightly."""

import numpy as np
import pytest

from openloop_cli.draw.grid import Caption, Lines, layout, line_frames, text
from openloop_cli.draw.grid.frame import BACKGROUND, BRIGHT, IMAGINED, MUTED, OBSERVED
from openloop_cli.draw.grid.panels import PREDICTION, TRUTH, choose, edge, ground, heights, panel

CAPTION = Caption("logdir/run", "1,692", "pose", "How to read it.")


def lines(shape, *, key="pose", seed=0, band=False, context=2, dtype=np.float32):
    rng = np.random.default_rng(seed)
    truth, prediction = (rng.normal(size=shape).astype(dtype) for _ in range(2))
    ahead = prediction[:, context:]
    return Lines(key, truth, prediction, (ahead - 1, ahead + 1) if band else None)


def one(truth, prediction=None, **options):
    """A single dimension of a single window."""
    truth = np.asarray(truth, np.float64)[None]
    prediction = truth if prediction is None else np.asarray(prediction, np.float64)[None]
    return choose([Lines("x", truth, prediction, **options)], 1)[0][0]


def find(frame, patch):
    """Whether a patch of words stands anywhere in a frame."""
    height, width = patch.shape[:2]
    wanted = patch[patch.shape[0] // 2]
    rows = frame[height // 2 : len(frame) - (height - height // 2 - 1)]
    for y, row in enumerate(rows):
        starts = np.flatnonzero((row[: len(row) - width + 1] == wanted[0]).all(-1))
        for x in starts:
            if np.array_equal(frame[y : y + height, x : x + width], patch):
                return True
    return False


def says(frame, line, size, colour):
    return find(frame, text.words(line, size, colour, BACKGROUND))


SHAPES = [(1, 2), (6, 8, 3), (2, 5, 4, 5), (16, 3, 40), (3, 50, 1)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("band", [False, True])
def test_frames_are_even_and_one_for_each_step(shape, band):
    frames = line_frames([lines(shape, band=band, context=1)], 1, CAPTION)
    assert frames.dtype == np.uint8
    assert len(frames) == shape[1]
    assert frames.shape[1] % 2 == frames.shape[2] % 2 == 0
    assert frames.flags.c_contiguous


def test_words_of_every_frame():
    frames = line_frames([lines((2, 6, 2), band=True)], 2, CAPTION)
    first, third = frames[0], frames[3]
    for words in ("truth: what happened", "prediction: what the model says"):
        assert says(first, words, layout.SMALL, BRIGHT)
    assert says(first, "± one standard deviation of the imagined futures", layout.SMALL, BRIGHT)
    assert says(first, "pose[1]", layout.BODY, BRIGHT)
    assert says(first, "window 2", layout.SMALL, MUTED)
    assert says(first, "context", layout.SMALL, OBSERVED)
    assert says(first, "imagined", layout.SMALL, IMAGINED)
    assert says(first, "logdir/run · checkpoint step 1,692 · pose", layout.BODY, BRIGHT)
    assert says(third, "step 4 of 6", layout.BODY, BRIGHT)
    white = (255, 255, 255)
    assert find(third, text.pill("imagined +2", layout.TITLE, white, IMAGINED, BACKGROUND))


def test_no_word_of_a_spread_without_futures():
    frame = line_frames([lines((2, 6, 2))], 2, CAPTION)[0]
    words = "± one standard deviation of the imagined futures"
    assert not says(frame, words, layout.SMALL, BRIGHT)


def test_borders_tell_context_from_imagination():
    frames = line_frames([lines((2, 6, 1))], 2, CAPTION)
    for step, frame in enumerate(frames):
        own, other = (OBSERVED, IMAGINED) if step < 2 else (IMAGINED, OBSERVED)
        panels = frame[130:-60]
        border = (panels == own).all(-1)
        # Two columns with a border of four pixels at either side.
        assert border.sum(1).max() >= 2 * 2 * layout.BORDER
        assert not (panels == other).all(-1).sum(0).max() > len(panels) // 2


def test_the_dimensions_that_vary_most_are_shown_in_their_own_order():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(2, 20, 5)) * [1, 9, 0, 5, 7]
    rows, words = choose([Lines("pose", truth, truth)], 3)
    assert [row.label for row in rows] == ["pose[1]", "pose[3]", "pose[4]"]
    assert words == "Shown are the dimensions that vary most: 3 of the 5 of pose."


def test_no_key_is_crowded_out():
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(2, 20, 30)) * 1000
    small = rng.normal(size=(2, 20)) * 1e-3
    keys = [Lines("wide", wide, wide), Lines("small", small, small)]
    rows, words = choose(keys, 4)
    assert [row.label.split("[")[0] for row in rows] == ["wide"] * 3 + ["small"]
    assert "3 of the 30 of wide" in words
    assert "small" not in words


def test_what_was_left_out_is_told_in_the_picture():
    frame = line_frames([lines((2, 4, 20))], 2, CAPTION)[0]
    told = "Shown are the dimensions that vary most: 12 of the 20 of pose. How to read it."
    assert says(frame, told, layout.SMALL, MUTED)


def test_dimensions_of_a_matrix_are_named_by_row_and_column():
    rows, words = choose([lines((1, 4, 2, 2), key="grid")], 9)
    assert [row.label for row in rows] == ["grid[0,0]", "grid[0,1]", "grid[1,0]", "grid[1,1]"]
    assert words == ""


def test_the_ground_changes_where_imagination_begins():
    colours = ground(3, 10, 200)
    assert edge(3, 10, 200) == 60
    assert len(np.unique(colours[:60], axis=0)) == len(np.unique(colours[60:], axis=0)) == 1
    assert colours[59, 1] > colours[59, 0]
    assert colours[60, 0] > colours[60, 1]


def test_lines_run_through_their_values():
    row = one([0, 1, 2, 3], [3, 2, 1, 0])
    drawn = panel(row, 0, 2, 100, 400)
    for values, colour in ((row.truth, TRUTH), (row.prediction, PREDICTION)):
        for step, y in enumerate(heights(row, values[0], 100)):
            x = round((step + 0.5) * 100)
            near = drawn[max(round(y) - 2, 0) : round(y) + 3, x - 1 : x + 2].reshape(-1, 3)
            assert np.abs(near.astype(int) - colour).max(1).min() < 80


def test_heights_turn_the_axis_round_and_stay_inside():
    row = one([0.0, 10.0])
    y = heights(row, np.array([0.0, 5.0, 10.0, 1e9, np.nan]), 101)
    assert y[0] > y[1] > y[2] == y[3] >= 0
    assert y[1] == pytest.approx(50)
    assert y[0] <= 100
    assert np.isnan(y[4])


def test_a_runaway_prediction_does_not_flatten_the_truth():
    row = one([0, 1, 0, 1], [0, 1, 1e9, -1e9])
    assert (row.low, row.high) == (-2, 3)


def test_a_truth_that_stands_still_leaves_the_scale_to_the_prediction():
    row = one([5, 5, 5], [4, 5, 7])
    assert (row.low, row.high) == (4, 7)


@pytest.mark.parametrize("value", [0.0, 1e-30, 1e9, np.nan, -np.inf])
def test_constant_or_missing_values_have_a_scale(value):
    row = one([value] * 4)
    assert np.isfinite([row.low, row.high]).all()
    assert row.low < row.high
    panel(row, 0, 2, 64, 120)


def test_missing_values_leave_a_gap():
    row = one([0, 0, -np.inf, 1, 1], [np.nan] * 5)
    drawn = panel(row, 0, 2, 60, 500)
    columns = (np.abs(drawn.astype(int) - TRUTH).max(-1) < 30).any(0)
    assert columns[50:150].all()
    assert not columns[205:295].any()
    assert columns[350:450].all()


def test_classes_are_steps():
    truth = np.array([[0, 0, 3, 3]])
    row = choose([Lines("token", truth, truth, discrete=True)], 1)[0][0]
    drawn = panel(row, 0, 2, 60, 400)
    white = np.abs(drawn.astype(int) - PREDICTION).max(-1) < 30
    y = np.rint(heights(row, np.array([0.0, 3.0]), 60)).astype(int)
    # Level up to the very end of step 1, level from the very start of step 2.
    assert white[y[0] - 2 : y[0] + 3, 2:196].any(0).all()
    assert white[max(y[1] - 2, 0) : y[1] + 3, 204:398].any(0).all()
    assert not white[15:45, :195].any()


def test_what_is_to_come_is_dim_and_what_has_passed_bright():
    truth = np.zeros((1, 10), np.float32)
    frames = line_frames([Lines("x", truth, truth - 1)], 5, CAPTION)
    bright = (np.abs(frames.astype(int) - TRUTH).max(-1) < 30)[:, 124:-70]
    counts = bright.any(1).sum(1)
    assert (np.diff(counts) > 0).all()


def test_a_band_lies_between_its_bounds():
    truth = np.zeros((1, 4))
    bounds = (np.full((1, 2), -1.0), np.full((1, 2), 1.0))
    row = choose([Lines("x", truth, truth, bounds)], 1)[0][0]
    drawn = panel(row, 0, 2, 100, 400)
    plain = ground(2, 4, 400)
    top, bottom = (round(float(y)) for y in heights(row, np.array([0.9, -0.9]), 100))
    changed = (drawn != plain).any(-1)
    assert changed[top:bottom, 260:340].all()
    assert not changed[top : top + 20, :240].any()
