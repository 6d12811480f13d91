"""Skill of the dynamics, useful horizon, and what the decoder can show. Errors (B, H).

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


@dataclass(frozen=True)
class Horizon:
    """How far ahead the model sees.

    Attributes:
      steps: The useful horizon; None where no step is defined.
      censored: Skill never failed: the horizon is at least `steps`, all that were imagined.
      undefined: Imagined steps without a defined skill, which were left out.
      reason: Why it is that number, in words; never empty.
      by_mean: The same without regard to intervals: the last step up to which skill itself is
        above 0. Where it is larger than `steps`, more windows may show more.
    """

    steps: int | None
    censored: bool
    undefined: int
    reason: str
    by_mean: int | None

    def __str__(self) -> str:
        if self.steps is None:
            return "undefined"
        return f"≥ {self.steps}" if self.censored else str(self.steps)


def skill(
    error: PerFrame,
    floor: PerFrame,
    persistence: PerFrame,
    *,
    recorded: PerFrame | None = None,
    level: float = 0.95,
    seed: int = 0,
    invisible: float = INVISIBLE,
) -> Skill:
    """1 - (error - floor) / (persistence - floor) at each step, of means over windows.

    A step is defined where something moved beyond noise: the movement, persistence - floor, is

    - larger than zero, by the lower end of its interval; that is where the interval of skill is
      finite on both sides;
    - larger than zero, by the lower end of its interval, when averaged over all steps too: without
      it a still scene seen with noise would pass at one step in forty;
    - larger than `invisible`, and than the rounding of the errors that it is made of.

    With one window there are no intervals, and only the sizes are asked.

    Args:
      recorded: An error that needs no model, NaN where the truth has no number: whatever else is
        NaN there then is the predictions' fault. None takes all NaN for missing truth.
      invisible: A movement that does not count, in the errors' units; the default is for images
        in [0, 1].
    """
    assert error.shape == floor.shape == persistence.shape, "errors of different windows"
    floor = np.where(np.isnan(error), np.nan, np.asarray(floor, np.float64))
    # A window without its numbers would make a mean of the others that flatters.
    unknown = np.isnan(error) | np.isnan(floor) | np.isnan(persistence)
    measurable = np.zeros_like(unknown) if recorded is None else ~np.isnan(recorded)
    broken = np.asarray((unknown & measurable).any(0))
    lost = ratio(error - floor, persistence - floor, level=level, seed=seed)
    defined = _moved(floor, persistence, level, seed, invisible) & np.isfinite(lost.mean)
    value, low, high = (
        np.where(defined, 1 - end, np.nan) for end in (lost.mean, lost.high, lost.low)
    )
    return Skill(value, low, high, defined & ~broken, lost.count, broken)


def useful_horizon(skill: Skill, reconstruction: Interval | None = None) -> Horizon:
    """The last step up to which skill is above 0 wherever it is defined, by its lower end.

    Undefined steps are left out: they neither end the horizon nor lengthen it, unless no defined
    step fails; then it is all that was imagined, or more. Where a step was measured in one window
    only, it has no interval and its value is judged instead. A decoder whose reconstruction skill
    is at or below 0 has a useful horizon of 0, whatever the skill.

    Args:
      reconstruction: From `reconstruction_skill`; None does without.
    """
    horizon, undefined = len(skill.defined), int((~skill.defined).sum())
    if reconstruction is not None and float(reconstruction.mean) <= 0:
        shown = f"reconstruction skill {float(reconstruction.mean):.2f}"
        return Horizon(0, False, undefined, f"{DECODER} ({shown})", 0)
    if undefined == horizon:
        reason = NOT_NUMBERS if skill.broken.any() else NOTHING_MOVED
        return Horizon(None, False, undefined, reason, None)
    by_mean, _ = _last_above_0(skill.value, skill)
    steps, failed = _last_above_0(np.where(np.isnan(skill.low), skill.value, skill.low), skill)
    reason = "skill stays above 0 to the end" if failed is None else _failure(skill, failed)
    return Horizon(steps, failed is None, undefined, _told(skill, reason), by_mean)


def reconstruction_skill(
    floor: PerFrame,
    climatology: PerFrame,
    *,
    level: float = 0.95,
    seed: int = 0,
    invisible: float = INVISIBLE,
) -> Interval:
    """1 - floor / climatology, of means over windows and all steps: (B, T) twice -> one number.

    At or below 0 the decoder shows no more than the mean frame. NaN where climatology is no
    larger than `invisible`: a replay in which all frames are alike.
    """
    missing = np.isnan(floor) | np.isnan(climatology)
    sums = [np.where(missing, 0.0, x).sum(1) for x in (floor, climatology)]
    empty = missing.all(1)
    left = ratio(*(np.where(empty, np.nan, x) for x in sums), level=level, seed=seed)
    seen = int((~missing).sum())
    shows = seen > 0 and sums[1].sum() / seen > invisible
    value, low, high = (
        np.asarray(1 - x if shows else np.nan) for x in (left.mean, left.high, left.low)
    )
    return Interval(value, low, high, left.count)


def _moved(
    floor: PerFrame, persistence: PerFrame, level: float, seed: int, invisible: float
) -> Array:
    """Whether the movement is larger than noise, rounding and what anyone sees: (B, H) -> (H,)."""
    movement = persistence - floor
    each = interval(movement, level=level, seed=seed)
    steps = (~np.isnan(movement)).sum(1)
    with np.errstate(invalid="ignore"):
        overall = interval(np.nansum(movement, 1) / steps, level=level, seed=seed)
    rounding = _ROUNDING * mean_over_windows(np.maximum(persistence, floor))
    large = each.mean > np.maximum(invisible, rounding)
    return large & ~(each.low <= 0) & ~(overall.low <= 0)


def _last_above_0(bound: Array, skill: Skill) -> tuple[int, int | None]:
    """Steps up to the last defined one before the first that fails, and that one's index."""
    failed = np.flatnonzero(skill.broken | (skill.defined & ~(bound > 0)))
    if not len(failed):
        return len(skill.defined), None
    end = int(failed[0])
    passed = np.flatnonzero(skill.defined[:end])
    return int(passed[-1]) + 1 if len(passed) else 0, end


def _failure(skill: Skill, step: int) -> str:
    if skill.broken[step]:
        return f"from step {step + 1} on {NOT_NUMBERS}"
    text = f"at step {step + 1} skill is {skill.value[step]:.2f}"
    if np.isnan(skill.low[step]):
        return text
    # The model may well see farther than these windows can show.
    more = ": more windows may tell" if skill.value[step] > 0 else ""
    return f"{text}, its interval from {skill.low[step]:.2f}{more}"


def _told(skill: Skill, reason: str) -> str:
    """The reason, with what it does not rest on."""
    left_out = int((~skill.defined & ~skill.broken).sum())
    if left_out:
        reason += f"; {left_out} of {len(skill.defined)} steps left out: {NOTHING_MOVED}"
    alone = int((skill.defined & (skill.count < 2)).sum())
    if alone:
        reason += f"; {alone} steps in one window only, judged without an interval"
    return reason
