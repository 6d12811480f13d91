"""How far ahead a model sees: the useful horizon, and how sure it is. Errors (B, H), as in `skill`.

Skill is taken to fall with the steps, and the horizon is the last step at which that falling skill
is at least LEAST_SKILL. The falling skill is the monotone (isotonic) fit to the skill of each step,
weighted by how much moved there; the step at which it passes below a level s is where the sum

    Σ_j≤k  (persistence_j - error_j) - s · (persistence_j - floor_j)

is largest (Barlow, Bartholomew, Bremner & Brunk 1972, *Statistical inference under order
restrictions*, section 1.2). So there is no fit to be made, and a single step decides nothing:
errors are summed before anything is divided, steps at which hardly anything moved neither help nor
end a horizon, and a dip that is made good again does not end it either. s is above 0 because of a
model that stands still from some step on: its skill is 0 there, which no data can tell from a
little more.

The interval is of the horizons of resampled windows, by the Bayesian bootstrap (Rubin 1981, *The
Bayesian bootstrap*, Annals of Statistics 9): each window is given a random weight, whose variance
is that of resampling only as many windows as are independent (`clusters`). No weight is negative,
so that where every window sees to the end all resamples do, however few they are.
`benchmarks/horizon.py` shows how stable it is, and how often the interval holds the true horizon.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from openloop_cli.arrays import Array, PerFrame
from openloop_cli.measures import resampling
from openloop_cli.measures.clusters import Clusters, unrelated
from openloop_cli.measures.resampling import student_quantile
from openloop_cli.measures.skill import (
    DECODER,
    INVISIBLE,
    NOT_NUMBERS,
    NOTHING_MOVED,
    broken_steps,
    moves,
    reconstruction_skill,
    step_sums,
)

LEAST_SKILL = 0.1
LEAST_WINDOWS = 8
# Of the interval by which something moved: one still scene in twenty passes, and no more than that
# is asked of scenes that move little.
MOVES = 0.9


@dataclass(frozen=True)
class Horizon:
    """How far ahead the model sees.

    Attributes:
      steps: The useful horizon; None where there is no telling.
      censored: No end was found: the horizon is at least `steps`, all that were imagined.
      low, high: The ends of its interval; None without one.
      high_censored: The upper end is at least `high`.
      of: How many steps were imagined.
      reason: Why it is that number, in words; never empty.
      judged: There was something to judge: enough windows, movement, and a decoder that shows it.
    """

    steps: int | None
    censored: bool
    low: int | None
    high: int | None
    high_censored: bool
    of: int
    reason: str
    judged: bool

    def __str__(self) -> str:
        if self.steps is None:
            return "undefined"
        return f"≥ {self.steps}" if self.censored else str(self.steps)


@dataclass(frozen=True, eq=False)
class Parts:
    """What a horizon is made of, by window.

    Attributes:
      gains: (B, K + 1) the sum above up to each step, 0 before the first.
      shows: (B,) by how much the floor is below climatology; None where that is not asked.
    """

    gains: Array
    shows: Array | None

    @property
    def steps(self) -> int:
        """The horizon."""
        if self.shows is not None and not self.shows.mean() > 0:
            return 0
        return int(self.gains.mean(0).argmax())

    def resampled(self, shared: Clusters, level: float, seed: int = 0) -> Array:
        """The horizons of resampled windows: (R,). Parts of the same windows are resampled alike.

        Args:
          level: Of the interval whose ends are their quantiles.
        """
        weights = _weights(len(self.gains), shared.independent, resampling.enough(level), seed)
        steps = (weights @ self.gains).argmax(1)
        return steps if self.shows is None else np.where(weights @ self.shows > 0, steps, 0)


def horizon_parts(
    error: PerFrame,
    floor: PerFrame,
    persistence: PerFrame,
    climatology: PerFrame | None = None,
    *,
    recorded: PerFrame | None = None,
) -> Parts:
    """What the windows say about the horizon; nothing lies beyond the first step without numbers.

    What a window lacks at a step is filled with the others' mean.

    Args:
      climatology: Whose skill the decoder must show first; None does not ask.
      recorded: As in `skill`.
    """
    broken = np.flatnonzero(broken_steps(error, floor, persistence, recorded))
    end = int(broken[0]) if len(broken) else error.shape[1]
    gained = (persistence - error) - LEAST_SKILL * (persistence - floor)
    gained = _filled(np.asarray(gained, np.float64)[:, :end])
    gains = np.concatenate([np.zeros((len(error), 1)), np.cumsum(gained, 1)], 1)
    if climatology is None or not np.nanmean(climatology) > INVISIBLE:
        return Parts(gains, None)
    return Parts(gains, _filled(np.asarray(climatology - floor, np.float64)).mean(1))


def useful_horizon(
    error: PerFrame,
    floor: PerFrame,
    persistence: PerFrame,
    climatology: PerFrame | None = None,
    *,
    recorded: PerFrame | None = None,
    level: float = 0.95,
    seed: int = 0,
    invisible: float = INVISIBLE,
    shared: Clusters | None = None,
) -> Horizon:
    """The useful horizon with its interval.

    There is none where predictions are not numbers from the first step on, with fewer than
    LEAST_WINDOWS windows, and where nothing moved beyond noise over all steps together. A decoder
    whose reconstruction skill is at or below 0 has a useful horizon of 0, whatever the skill.

    Args:
      climatology: None does without the reconstruction skill.
      recorded, invisible: As in `skill`.
      shared: Which windows share their luck; None takes all for independent.
    """
    shared = shared or unrelated(len(error))
    of = error.shape[1]
    parts = horizon_parts(error, floor, persistence, climatology, recorded=recorded)
    end = parts.gains.shape[1] - 1

    def none(reason: str) -> Horizon:
        return Horizon(None, False, None, None, False, of, reason, False)

    if end == 0:
        return none(NOT_NUMBERS)
    if len(error) < LEAST_WINDOWS:
        return none(f"too few windows ({len(error)}): try --num-windows 16")
    blind = parts.shows is not None and not parts.shows.mean() > 0
    if not blind and not moves(floor, persistence, MOVES, seed, invisible):
        return none(NOTHING_MOVED)
    if blind:
        assert climatology is not None
        shown = float(reconstruction_skill(floor, climatology).mean)
        reason = f"{DECODER} (reconstruction skill {shown:.2f})"
    else:
        reason = _reason(parts.steps, end, of, (error, floor, persistence))
    steps = parts.steps
    low, high = ends(parts.resampled(shared, level, seed), level, len(error))
    low, high = min(low, steps), max(high, steps)
    return Horizon(steps, steps == of, low, high, high == of, of, reason, not blind)


def ends(drawn: Array, level: float, count: int) -> tuple[int, int]:
    """The ends of an interval, of what was resampled from `count` windows: (R,) -> two steps."""
    # Chosen by simulation, as the spread of the weights is: few windows ask for more.
    tail = (1 - level) / 2 * (1 - 3 / count)
    low = np.quantile(drawn, tail, method="lower")
    return int(low), int(np.quantile(drawn, 1 - tail, method="higher"))


@lru_cache(maxsize=16)
def _weights(count: int, independent: float, resamples: int, seed: int) -> Array:
    """(resamples, count) of mean 1: the same for all that is asked of the same windows."""
    few = (count / (count - 1)) ** 2 * student_quantile(count - 1, 0.975) / 1.96
    shape = independent / count / few**2
    drawn = np.random.default_rng(seed).standard_gamma(shape, (resamples, count))
    # Where hardly any window is independent all weights may round to 0.
    return np.asarray(drawn + np.finfo(np.float64).tiny)


def _reason(steps: int, end: int, of: int, errors: tuple[PerFrame, PerFrame, PerFrame]) -> str:
    """What the skill is before and after the horizon ends."""

    def skill(first: int, stop: int) -> str:
        sums = step_sums(*(x[:, first:stop] for x in errors))
        error, floor, persistence = (float(np.nansum(x)) for x in sums)
        words = f"step {first + 1}" if stop == first + 1 else f"steps {first + 1} to {stop}"
        if not persistence - floor > 0:
            return f"undefined over {words}"
        return f"{1 - (error - floor) / (persistence - floor):.2f} over {words}"

    if steps == of:
        return f"skill {skill(0, of)}, no end found"
    if steps == end:
        return f"skill {skill(0, end)}, from step {end + 1} on {NOT_NUMBERS}"
    if steps == 0:
        return f"skill {skill(0, end)}: at no step better than standing still by {LEAST_SKILL}"
    return f"skill {skill(0, steps)}, {skill(steps, end)}"


def _filled(x: Array) -> Array:
    """(B, N) with the mean over windows wherever one has no number; 0 where none has."""
    missing = ~np.isfinite(x)
    if not missing.any():
        return x
    count = (~missing).sum(0)
    mean = np.where(missing, 0, x).sum(0) / np.maximum(count, 1)
    return np.where(missing, mean, x)
