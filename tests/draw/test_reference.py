"""The reference's grid, against grids that the reference drew and against its arithmetic."""

import numpy as np
import pytest

from openloop_cli.draw.grid import reference_grid, to_levels
from tests.golden import genuine

CONTEXT_STEPS = {"context5": 5, "crafter_f32": 1, "crafter_bf16": 1, "dummy_f32": 1, "strided": 1}
BLACK_FRAMES = 10


@pytest.mark.parametrize("run", sorted(CONTEXT_STEPS))
def test_the_grids_that_the_reference_drew(run):
    with np.load(genuine(run)[1]) as golden:
        expected = golden["grid/image"][:-BLACK_FRAMES]
        truth = golden["data/image"][:, CONTEXT_STEPS[run] :]
        prediction = golden["mode/open/image"]
    found = reference_grid(truth, prediction, truth.shape[1] // 2)
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected)
    height = truth.shape[2]
    # The stored prediction is float16, which may move a level; truth and borders may not.
    assert difference.max() <= 1
    assert difference[:, : height + 2].max() == 0
    assert difference[:, :, :2].max() == 0


def test_borders_rows_and_windows_by_hand():
    truth = np.zeros((2, 2, 1, 2, 3), np.uint8)
    truth[1] = 100
    prediction = np.full(truth.shape, 1.0, np.float32)
    grid = reference_grid(truth, prediction, 1)
    assert grid.shape == (2, 3 * 1 + 4, 2 * (2 + 4), 3)
    assert grid.dtype == np.uint8
    assert (grid[0, 0] == (0, 255, 0)).all()
    assert (grid[1, 0] == (255, 0, 0)).all()
    assert grid[0, 2:5, 2, 0].tolist() == [0, 255, 255]
    # (255 - 100 + 255) / 2, truncated
    assert grid[0, 2:5, 6 + 2, 0].tolist() == [100, 255, 205]


def test_error_truncates_as_the_reference_does():
    levels = np.arange(256, dtype=np.uint8)
    truth = np.tile(levels, (256, 1))[None, None, :, :, None]
    prediction = np.tile(levels[:, None], (1, 256))[None, None, :, :, None]
    grid = reference_grid(truth, (prediction / np.float32(255)).astype(np.float32), 1)
    shown = grid[0, 2 + 256 : 2 + 512, 2:-2, 0].astype(int)
    error = grid[0, 2 + 512 : -2, 2:-2, 0]
    expected = ((shown - truth[0, 0, :, :, 0].astype(int) + 255) / 2).astype(np.uint8)
    np.testing.assert_array_equal(error, expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_any_number_of_channels_becomes_three(channels):
    truth = np.full((1, 2, 4, 6, channels), 7, np.uint8)
    grid = reference_grid(truth, truth / np.float32(255), 1)
    assert grid.shape == (2, 16, 10, 3)
    assert (grid[:, 2:6, 2:-2] == 7).all()


def test_levels_are_scaled_in_float32_clipped_and_truncated():
    values = np.array([-0.5, 0.0, 0.999, 1 / 255, 254.9 / 255, 1.0, 3.0, np.nan], np.float32)
    assert to_levels(values).tolist() == [0, 0, 254, 1, 254, 255, 255, 0]
    halves = np.linspace(0, 1, 4096).astype(np.float16)
    np.testing.assert_array_equal(to_levels(halves), to_levels(halves.astype(np.float32)))
