"""Two metrics trees over the same windows -> how their numbers changed, by paired intervals."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.compare.quantities import (
    Quantity,
    Reconstruction,
    Skill,
    Steps,
    context_quantity,
    horizon_quantity,
    imagined_quantity,
    reconstruction_quantity,
    reward_quantity,
    skill_quantity,
)
from openloop_cli.measures.statistics import Interval, Verdict, familywise, verdict
from openloop_cli.results.entries import Entry


@dataclass(frozen=True)
class Change:
    """A number before and after.

    Attributes:
      name: Its path in metrics.json.
      old, new: None where undefined.
      change, low, high: new - old and its interval; None where it has none.
      verdict: `better` or `worse` only where the whole interval lies beyond a change that is too
        small to matter.
      note: What the verdict rests on, where that is not the interval alone.
    """

    name: str
    old: float | None
    new: float | None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: Verdict = "same"
    note: str = ""

    @property
    def text(self) -> str:
        """The difference such as `-5.8 (-8.7 to -2.4)`; empty where there is none."""
        if not self.change:
            return ""
        text = f"{self.change:+.3g}"
        if self.low is None and self.high is None:
            return text
        low = "-∞" if self.low is None else f"{self.low:+.3g}"
        high = "∞" if self.high is None else f"{self.high:+.3g}"
        return f"{text} ({low} to {high})"


def headline_changes(old: Entry, new: Entry, *, level: float) -> list[Change]:
    """Of every number of the headline, by key, and of the reward; the level holds for all at once.

    Raises:
      MetricsError: The new metrics lack what the old ones have.
    """
    pairs = [pair for key in old.keys for pair in _headline_pairs(old, new, key)]
    if old.has("reward"):
        pairs.append((reward_quantity(old), reward_quantity(new)))
    horizons = [key for key in old.keys if old.has("headline", key, "useful_horizon")]
    pairs = [(horizon_quantity(old, key), horizon_quantity(new, key)) for key in horizons] + pairs
    each = familywise(level, len(pairs))
    return [judge(before, after, level=each) for before, after in pairs]


def judge(old: Quantity, new: Quantity, *, level: float, paired: bool = True) -> Change:
    """The change from old to new.

    A number that is undefined, or misses windows, where the old one did not is worse; an undefined
    skill or horizon is not: nothing moved, and the errors tell whether the decoder is to blame.

    Args:
      level: Of its interval.
      paired: Whether both measured the same windows, in the same order; if not, the interval is
        that of independent windows, and wider.
    """
    plain = Change(new.name, old.value, new.value)
    if old.value is None or new.value is None:
        worse = old.value is not None and not isinstance(new, (Skill, Reconstruction, Steps))
        reason = new.reason if new.value is None else old.reason
        note = f"undefined: {reason}" if reason else "undefined"
        return replace(plain, verdict="worse" if worse else "same", note=note)
    if paired and new.undefined > old.undefined:
        note = f"undefined in {new.undefined} of {len(new.windows)} windows"
        return replace(plain, verdict="worse", note=note)
    found = new.change(old, level) if paired else independent(new.own(level), old.own(level))
    return replace(
        plain,
        change=_number(found.mean),
        low=_number(found.low),
        high=_number(found.high),
        verdict=verdict(found, lower_is_better=new.lower_is_better, margin=old.margin),
        note="" if found.count > 1 else "fewer than two windows: no interval",
    )


def independent(a: Interval, b: Interval) -> Interval:
    """a - b of estimates that have nothing in common, each with its own interval.

    Zou & Donner 2008, *Construction of confidence limits about effect measures*, Statistics in
    Medicine 27.
    """
    with np.errstate(invalid="ignore"):
        low = np.hypot(a.mean - a.low, b.high - b.mean)
        high = np.hypot(a.high - a.mean, b.mean - b.low)
        mean = a.mean - b.mean
        return Interval(mean, mean - low, mean + high, np.minimum(a.count, b.count))


def _headline_pairs(old: Entry, new: Entry, key: str) -> list[tuple[Quantity, Quantity]]:
    makers: list[Callable[[Entry, str], Quantity]] = [context_quantity, imagined_quantity]
    if old.has("headline", key, "skill"):
        makers.append(skill_quantity)
    if old.has("headline", key, "reconstruction_skill"):
        makers.append(reconstruction_quantity)
    return [(maker(old, key), maker(new, key)) for maker in makers]


def _number(value: Array) -> float | None:
    return float(value) if np.isfinite(value) else None
