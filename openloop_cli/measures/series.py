"""Numbers of many windows -> means over windows with their intervals, all in one bootstrap.

A tree is built of `Series` first; `resolve` then resamples the windows once for all of them,
which is several times faster than once for each.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from openloop_cli.arrays import Array, PerFrame
from openloop_cli.measures import metrics
from openloop_cli.measures.statistics import Interval, interval, mean_over_windows


@dataclass(frozen=True, eq=False)
class Series:
    """(B, N): a number for each window and step, of which its mean is always told.

    Attributes:
      steps: Also the mean over windows at each step.
      bounds: And its interval there.
      decibels: Shows a mean squared error as PSNR.
    """

    per_window: PerFrame
    steps: bool = True
    bounds: bool = True
    decibels: bool = False


def resolve(tree: Any) -> Any:
    """The tree with each Series as `mean`, `mean_low`, `mean_high`, and where they are asked for
    `per_step`, `low`, `high`: the bounds of 95 % intervals."""
    found = {id(series.per_window): series.per_window for series in _all_series(tree)}
    with_bounds = {id(series.per_window) for series in _all_series(tree) if series.bounds}
    intervals = dict(zip(found, _intervals(found, with_bounds), strict=True))
    return _replaced(tree, intervals)


def _intervals(
    arrays: Mapping[int, PerFrame], with_bounds: Set[int]
) -> Iterator[tuple[Interval, Interval]]:
    """For each (B, N): the intervals of its N columns, where they are wanted, and of its mean over
    columns."""
    if not arrays:
        return
    means = [_mean_over_steps(x) for x in arrays.values()]
    wanted = [x for name, x in arrays.items() if name in with_bounds]
    bounds = interval(np.column_stack([*means, *wanted]))
    start = len(means)
    for index, (name, array) in enumerate(arrays.items()):
        whole = _part(bounds, slice(index, index + 1))
        if name in with_bounds:
            yield _part(bounds, slice(start, start := start + array.shape[1])), whole
        else:
            nothing = np.full(array.shape[1], np.nan)
            yield Interval(mean_over_windows(array), nothing, nothing, nothing), whole


def _part(bounds: Interval, columns: slice) -> Interval:
    return Interval(*(x[columns] for x in (bounds.mean, bounds.low, bounds.high, bounds.count)))


def _mean_over_steps(per_window: PerFrame) -> Array:
    """(B, N) -> (B,): over the steps that any window has."""
    defined = np.isfinite(per_window).any(0)
    if not defined.any():
        return np.full(len(per_window), np.nan)
    return np.asarray(per_window[:, defined].mean(1))


def _all_series(tree: Any) -> Iterator[Series]:
    if isinstance(tree, Series):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from _all_series(value)


def _replaced(tree: Any, intervals: dict[int, tuple[Interval, Interval]]) -> Any:
    if isinstance(tree, dict):
        return {key: _replaced(value, intervals) for key, value in tree.items()}
    if not isinstance(tree, Series):
        return tree
    steps, whole = intervals[id(tree.per_window)]
    found = {"mean": whole.mean[0], "mean_low": whole.low[0], "mean_high": whole.high[0]}
    if tree.steps:
        found["per_step"] = steps.mean
    if tree.bounds:
        found |= {"low": steps.low, "high": steps.high}
    return _in_decibels(found) if tree.decibels else found


def _in_decibels(mse: dict[str, Any]) -> dict[str, Any]:
    """PSNR falls as the error grows, so the bounds change places."""
    names = {"mean_low": "mean_high", "mean_high": "mean_low", "low": "high", "high": "low"}
    return {name: metrics.psnr_of(mse[names.get(name, name)]) for name in mse}
