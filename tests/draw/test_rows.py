"""The rows of a picture and their colours."""

import numpy as np
import pytest

from openloop_cli.draw.grid import channels_note, error_row, prediction_rows
from openloop_cli.draw.grid.rows import as_rgb, spread_row


def coloured(difference, base=128):
    """The colour of one pixel whose channels differ by so much."""
    truth = np.full((1, 1, 1, 1, len(difference)), base, np.uint8)
    prediction = (truth.astype(int) + difference).astype(np.uint8)
    return tuple(int(c) for c in error_row(truth, prediction).video[0, 0, 0, 0])


def test_too_dark_is_blue_too_bright_is_orange_and_right_is_black():
    assert coloured([0, 0, 0]) == (0, 0, 0)
    dark, bright = coloured([-64] * 3), coloured([64] * 3)
    assert dark[2] == 255
    assert dark[2] > dark[0]
    assert bright[0] == 255
    assert bright[0] > bright[2]


def test_the_channel_that_is_farthest_off_is_shown():
    assert coloured([10, -40, 20]) == coloured([-40, -40, -40])
    # Cancels in the mean over channels.
    assert coloured([50, -50, 0]) != (0, 0, 0)
    assert coloured([0, 0, 0, 60]) == coloured([60])


def test_the_scale_is_linear_and_full_at_64_levels():
    assert coloured([64]) == coloured([127])
    assert coloured([32])[0] == pytest.approx(coloured([64])[0] / 2, abs=1)


def test_extreme_errors_do_not_wrap_around():
    black, white = np.zeros((1, 1, 1, 1, 1), np.uint8), np.full((1, 1, 1, 1, 1), 255, np.uint8)
    assert tuple(error_row(black, white).video.ravel()) == coloured([64])
    assert tuple(error_row(white, black).video.ravel()) == coloured([-64])


def test_the_legend_shows_the_colours_of_the_row():
    legend = error_row(*[np.zeros((1, 1, 1, 1, 3), np.uint8)] * 2).legend
    assert legend.ticks == ("-64", "0", "+64")
    for index, difference in [(0, -64), (64, 0), (128, 64)]:
        assert tuple(legend.ramp[index]) == coloured([difference])


@pytest.mark.parametrize(("channels", "expected"), [(1, 5), (2, 5), (3, 5), (5, 5)])
def test_channels_to_three(channels, expected):
    video = np.full((1, 1, 2, 2, channels), 5, np.uint8)
    video[..., 1::2] = 7 if channels == 2 else 5
    assert as_rgb(video).shape == (1, 1, 2, 2, 3)
    assert (as_rgb(video) == expected).all()


def test_prediction_rows_are_truth_prediction_error():
    truth = np.zeros((2, 3, 4, 5, 1), np.uint8)
    rows = prediction_rows(truth, truth + 9)
    assert [row.label for row in rows] == ["truth", "prediction", "error"]
    assert all(row.video.shape == (2, 3, 4, 5, 3) for row in rows)
    assert (rows[1].video == 9).all()


@pytest.mark.parametrize("channels", [2, 4, 5, 12, 40])
def test_every_channel_has_a_row_or_is_told(channels):
    truth = np.arange(channels, dtype=np.uint8) * np.ones((1, 2, 3, 4, 1), np.uint8)
    rows = prediction_rows(truth, truth + 100)
    first = 1 if channels == 2 else 3
    shown = min(channels, 16)
    assert len(rows) == 3 + 2 * (shown - first)
    for channel in range(first, shown):
        pair = [row for row in rows if row.label.endswith(f", channel {channel + 1}")]
        assert [int(row.video.max()) for row in pair] == [channel, channel + 100]
    assert str(channels) in rows[0].note
    told = channels_note("x", channels, "explained")
    assert f"x has {channels} channels" in told
    assert ("more are not drawn" in told) == (channels > shown)
    assert f"{channels - first} more are not drawn" in channels_note("x", channels, "reference")


@pytest.mark.parametrize("channels", [1, 3])
def test_usual_pictures_need_no_note(channels):
    assert channels_note("x", channels, "explained") == ""


def test_spread_that_is_no_number_is_shown_as_none():
    """A run that diverged: every future is the same black."""
    spread = np.full((1, 2, 4, 4, 3), np.nan, np.float32)
    np.testing.assert_array_equal(spread_row(spread).video, spread_row(np.zeros_like(spread)).video)
