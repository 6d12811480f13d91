"""Skill of the dynamics, and what the decoder can show. Errors (B, H).

All errors are of one observation at the H imagined steps of B windows, squared and averaged over
its dimensions (MSE), NaN where a step is not measured:

- **error**: of the model's prediction.
- **floor**: of the posterior's reconstruction: what perfect dynamics would still get wrong.
- **persistence**: of the model's own last reconstruction, that of step `context - 1`, repeated. It
  shares the model's blur, so that blur and camera noise cancel in both differences.
- **climatology**: of the mean frame of the replay.

Means are over windows; intervals as `statistics.ratio` makes them.
"""

from dataclasses import dataclass

import numpy as np

from openloop_cli.arrays import Array, PerFrame
from openloop_cli.measures.clusters import Clusters
from openloop_cli.measures.statistics import (
    Interval,
    interval,
    mean_over_windows,
    ratio,
)

# An MSE of images in [0, 1] that nobody sees: 100 dB, where `metrics.psnr_of` ends too.
INVISIBLE = 1e-10
# Errors are measured in float32: a difference that is smaller, relative to them, is rounding.
_ROUNDING = 1e-6

NOTHING_MOVED = "nothing moved beyond noise"
NOT_NUMBERS = "the predictions are not numbers"
DECODER = "the decoder does not show what moves"


@dataclass(frozen=True)
class Skill:
    """Skill at each imagined step, each (H,).

    Attributes:
      value, low, high: 1 is perfect dynamics, 0 no better than standing still. NaN where
        undefined; with a single window low and high are NaN everywhere.
      defined: Whether something moved beyond noise.
      count: Windows that were measured at the step.
      broken: Whether the predictions are not numbers, in any window, though the truth is.
    """

    value: Array
    low: Array
    high: Array
    defined: Array
    count: Array
    broken: Array


def skill(
    error: PerFrame,
    floor: PerFrame,
    persistence: PerFrame,
    *,
    recorded: PerFrame | None = None,
    level: float = 0.95,
    seed: int = 0,
    invisible: float = INVISIBLE,
    shared: Clusters | None = None,
) -> Skill:
    """1 - (error - floor) / (persistence - floor) at each step, of means over windows.

    A step is defined where something moved beyond noise: the movement, persistence - floor, is

    - larger than zero, by the lower end of the interval of the difference of the errors' roots;
    - the same when summed over all steps: without it a still scene seen with noise would pass at
      one step in forty;
    - larger than `invisible`, and than the rounding of the errors that it is made of.

    With one window there are no intervals, and only the sizes are asked.

    Args:
      recorded: An error that needs no model, NaN where the truth has no number: whatever else is
        NaN there then is the predictions' fault. None takes all NaN for missing truth.
      invisible: A movement that does not count, in the errors' units; the default is for images
        in [0, 1].
      shared: Which windows share their luck; None takes all for independent.
    """
    assert error.shape == floor.shape == persistence.shape, "errors of different windows"
    floor = np.where(np.isnan(error), np.nan, np.asarray(floor, np.float64))
    # A window without its numbers would make a mean of the others that flatters.
    broken = broken_steps(error, floor, persistence, recorded)
    lost = ratio(error - floor, persistence - floor, level=level, seed=seed, shared=shared)
    defined = _moved(floor, persistence, level, seed, invisible) & np.isfinite(lost.mean)
    defined &= moves(floor, persistence, level, seed, invisible)
    value, low, high = (
        np.where(defined, 1 - end, np.nan) for end in (lost.mean, lost.high, lost.low)
    )
    return Skill(value, low, high, defined & ~broken, lost.count, broken)


def of_all_steps(
    error: PerFrame,
    floor: PerFrame,
    persistence: PerFrame,
    *,
    level: float = 0.95,
    seed: int = 0,
    shared: Clusters | None = None,
) -> Interval:
    """Skill over all steps, of errors summed before they are divided: (B, H) each -> one number.

    A window's steps without all three numbers are left out.
    """
    sums = step_sums(np.asarray(error - floor), np.asarray(persistence - floor))
    lost = ratio(*sums, level=level, seed=seed, shared=shared)
    value, low, high = (np.asarray(1 - x) for x in (lost.mean, lost.high, lost.low))
    return Interval(value, low, high, lost.count)


def reconstruction_skill(
    floor: PerFrame,
    climatology: PerFrame,
    *,
    level: float = 0.95,
    seed: int = 0,
    invisible: float = INVISIBLE,
    shared: Clusters | None = None,
) -> Interval:
    """1 - floor / climatology, of means over windows and all steps: (B, T) twice -> one number.

    At or below 0 the decoder shows no more than the mean frame. NaN where climatology is no
    larger than `invisible`: a replay in which all frames are alike.
    """
    sums = step_sums(np.asarray(floor), np.asarray(climatology))
    left = ratio(*sums, level=level, seed=seed, shared=shared)
    seen = int((~np.isnan(floor) & ~np.isnan(climatology)).sum())
    shows = seen > 0 and np.nansum(sums[1]) / seen > invisible
    # No error is below 0, and no skill above 1.
    least = np.maximum(left.low, 0)
    value, low, high = (
        np.asarray(1 - x if shows else np.nan) for x in (left.mean, left.high, least)
    )
    return Interval(value, low, high, left.count)


def moves(
    floor: PerFrame,
    persistence: PerFrame,
    level: float = 0.95,
    seed: int = 0,
    invisible: float = INVISIBLE,
) -> bool:
    """Whether something moved over all steps: by more than noise, rounding and what anyone sees.

    What is noise is asked of the roots of each window's errors, so that a few windows with much
    movement do not drown the others. It is told of these windows, whose noise is their own, and not
    of others: that some come from one episode changes nothing. With one window there is no
    interval, and only the sizes are asked.
    """
    below, above = (x[:, None] for x in step_sums(np.asarray(floor), np.asarray(persistence)))
    return bool(_moved(below, above, level, seed, invisible * floor.shape[1]).all())


def broken_steps(
    error: PerFrame, floor: PerFrame, persistence: PerFrame, recorded: PerFrame | None
) -> Array:
    """(H,): whether the predictions are not numbers, in any window, though the truth is."""
    unknown = np.isnan(error) | np.isnan(floor) | np.isnan(persistence)
    measurable = np.zeros_like(unknown) if recorded is None else ~np.isnan(recorded)
    return np.asarray((unknown & measurable).any(0))


def _moved(floor: Array, persistence: Array, level: float, seed: int, invisible: float) -> Array:
    """The same at each step by itself: (B, H) -> (H,)."""
    each = interval(np.sqrt(persistence) - np.sqrt(floor), level=level, seed=seed)
    rounding = _ROUNDING * mean_over_windows(np.maximum(persistence, floor))
    large = mean_over_windows(persistence - floor) > np.maximum(invisible, rounding)
    return large & ~(each.low <= 0)


def step_sums(*parts: Array) -> list[Array]:
    """Each (B, H) summed over the steps at which all have numbers: (B,), NaN where none has."""
    missing = ~np.logical_and.reduce([np.isfinite(x) for x in parts])
    empty = missing.all(1)
    return [np.where(empty, np.nan, np.where(missing, 0.0, x).sum(1)) for x in parts]
