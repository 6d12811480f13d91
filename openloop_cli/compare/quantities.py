"""Numbers that are compared between checkpoints: what each is made of, by window.

A `Quantity` gives the interval of its own value and that of its change from another's over the
same windows. Each rests on a mean over windows where that is exact, and on a ratio of means or on
a linearisation where it is not:

- an error: on the differences of errors;
- a PSNR: on the ratio of the two mean errors, which is what a difference in dB is;
- reconstruction skill: on the difference of the floors over climatology, which depends on the
  windows alone and so is the same for both;
- skill: on the differences of its linearisations (delta method), step by step as it is averaged.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.measures.metrics import MSE_FLOOR, psnr_of
from openloop_cli.measures.statistics import Interval, interval, ratio
from openloop_cli.results.entries import Entry
from openloop_cli.results.metric_names import path_text


@dataclass(frozen=True)
class Quantity(ABC):
    """A number of one checkpoint and what its windows say about it.

    Attributes:
      name: Its path in metrics.json.
      value: None where it is undefined.
      windows: (B, …) what each window adds; NaN where it adds nothing.
    """

    name: str
    value: float | None
    windows: Array

    lower_is_better = False

    @property
    def margin(self) -> float:
        """A change that is too small to matter, and that other processors' rounding may make."""
        return 0.001

    @property
    def undefined(self) -> int:
        """Windows that have no number."""
        return int(np.isnan(self.windows).any(tuple(range(1, self.windows.ndim))).sum())

    @abstractmethod
    def own(self, level: float) -> Interval:
        """The interval of the number itself."""

    @abstractmethod
    def change(self, old: "Quantity", level: float) -> Interval:
        """The interval of this number less the old one, over the same windows."""


class Error(Quantity):
    """A mean error, windows (B,)."""

    lower_is_better = True

    @property
    def margin(self) -> float:
        """A thousandth of it."""
        return 0.001 * abs(self.value or 0)

    def own(self, level: float) -> Interval:
        """Of the mean."""
        return interval(self.windows, level=level)

    def change(self, old: Quantity, level: float) -> Interval:
        """Of the mean difference."""
        return interval(self.windows - old.windows, level=level)


class Psnr(Quantity):
    """The PSNR of a mean squared error, windows (B,) of which are MSE."""

    @property
    def margin(self) -> float:
        """A hundredth of a dB."""
        return 0.01

    def own(self, level: float) -> Interval:
        """Of the mean error, in dB."""
        found = interval(self.windows, level=level)
        mean, low, high = (psnr_of(x) for x in (found.mean, found.high, found.low))
        return Interval(mean, low, high, found.count)

    def change(self, old: Quantity, level: float) -> Interval:
        """Of the ratio of both mean errors, in dB."""
        errors = [np.maximum(x.windows, MSE_FLOOR) for x in (self, old)]
        found = ratio(errors[0], errors[1], level=level)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean, low, high = (
                -10 * np.log10(np.maximum(x, 0)) for x in (found.mean, found.high, found.low)
            )
        return Interval(mean, low, high, found.count)


class Reconstruction(Quantity):
    """`1 - floor / climatology`, windows (B, 2) of both errors."""

    def own(self, level: float) -> Interval:
        """Of the ratio."""
        found = ratio(*self.windows.T, level=level)
        return Interval(1 - found.mean, 1 - found.high, 1 - found.low, found.count)

    def change(self, old: Quantity, level: float) -> Interval:
        """Of the ratio of how much the floor sank to climatology."""
        sank = old.windows[:, 0] - self.windows[:, 0]
        return ratio(sank, old.windows[:, 1], level=level)


class SkillMean(Quantity):
    """Mean skill over the steps at which it is defined, windows (B, H) its linearisations."""

    @property
    def undefined(self) -> int:
        """Of the steps that are defined, windows that have no number."""
        defined = ~np.isnan(self.windows).all(0)
        return int(np.isnan(self.windows[:, defined]).any(1).sum())

    def own(self, level: float) -> Interval:
        """Of the mean over the steps that are defined."""
        each = self.windows[:, ~np.isnan(self.windows).all(0)].mean(1)
        return interval(each, level=level)

    def change(self, old: Quantity, level: float) -> Interval:
        """Of the mean over the steps that are defined in both."""
        both = self.windows - old.windows
        each = both[:, ~np.isnan(both).all(0)].mean(1)
        return interval(each, level=level)


def imagined_quantity(entry: Entry, key: str) -> Quantity:
    """The model's mean error over the imagined steps."""
    errors = entry.rows("observations", key, "per_window", "model")
    return _error(entry, key, errors.mean(1), "imagined")


def step_quantity(entry: Entry, key: str, step: int) -> Quantity:
    """The model's error at an imagined step, counted from 1."""
    errors = entry.rows("observations", key, "per_window", "model")
    return _error(entry, key, errors[:, step - 1], "at", str(step))


def context_quantity(entry: Entry, key: str) -> Quantity:
    """The model's mean error while observing."""
    return _error(entry, key, entry.column("observations", key, "per_window", "context"), "context")


def skill_quantity(entry: Entry, key: str) -> SkillMean:
    """The mean skill over the steps at which it is defined."""
    error, floor, persistence = (
        entry.rows("observations", key, "per_window", path)
        for path in ("model", "floor", "last_reconstruction")
    )
    defined = ~np.isnan(entry.steps("observations", key, "skill", "per_step"))
    terms = np.where(defined, 1 - _linear_ratio(error - floor, persistence - floor), np.nan)
    path = ("headline", key, "skill")
    return SkillMean(path_text(*path), entry.number(*path), terms)


def reconstruction_quantity(entry: Entry, key: str) -> Quantity:
    """`1 - floor / climatology` over the imagined steps."""
    parts = [
        entry.rows("observations", key, "per_window", path).mean(1)
        for path in ("floor", "climatology")
    ]
    path = ("headline", key, "reconstruction_skill")
    return Reconstruction(path_text(*path), entry.number(*path), np.stack(parts, 1))


def reward_quantity(entry: Entry) -> Quantity:
    """The mean absolute error of the reward over the imagined steps."""
    path = ("reward", "imagined", "mae", "mean")
    errors = entry.rows("reward", "per_window", "model").mean(1)
    return Error(path_text(*path), entry.number(*path), errors)


def _error(entry: Entry, key: str, windows: Array, *names: str) -> Quantity:
    path = ("headline", key, *names)
    kind = Psnr if entry.part(str, "headline", key, "metric") == "psnr" else Error
    return kind(path_text(*path), entry.number(*path), windows)


def _linear_ratio(numerator: Array, denominator: Array) -> Array:
    """mean(numerator) / mean(denominator) + each window's influence on it: (B, …) -> (B, …)."""
    missing = np.isnan(numerator) | np.isnan(denominator)
    n, d = (np.where(missing, np.nan, x) for x in (numerator, denominator))
    count = (~missing).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.nansum(d, 0) / count
        value = np.nansum(n, 0) / count / below
        return np.asarray(value + (n - value * d) / below)
