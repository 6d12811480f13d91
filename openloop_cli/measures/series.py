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
from openloop_cli.measures.clusters import Clusters
from openloop_cli.measures.statistics import Interval, interval, mean_over_windows

Limits = tuple[float | None, float | None]


@dataclass(frozen=True, eq=False)
class Series:
    """(B, N): a number for each window and step, of which its mean is always told.

    Attributes:
      steps: Also the mean over windows at each step.
      bounds: And its interval there.
      decibels: Shows a mean squared error as PSNR.
      limits: What a number can be at least and at most; no interval reaches beyond.
    """

    per_window: PerFrame
    steps: bool = True
    bounds: bool = True
    decibels: bool = False
    limits: Limits = (None, None)


def resolve(tree: Any, shared: Clusters | None = None) -> Any:
    """The tree with each Series as `mean`, `mean_low`, `mean_high`, and where they are asked for
    `per_step`, `low`, `high`: the bounds of 95 % intervals.

    Args:
      shared: Which windows share their luck; None takes all for independent.
    """
    found = {id(series.per_window): series.per_window for series in _all_series(tree)}
    with_bounds = {id(series.per_window) for series in _all_series(tree) if series.bounds}
    intervals = dict(zip(found, _intervals(found, with_bounds, shared), strict=True))
    return _replaced(tree, intervals)


def _intervals(
    arrays: Mapping[int, PerFrame], with_bounds: Set[int], shared: Clusters | None
) -> Iterator[tuple[Interval, Interval]]:
    """For each (B, N): the intervals of its N columns, where they are wanted, and of its mean over
    columns."""
    if not arrays:
        return
    means = [_mean_over_steps(x) for x in arrays.values()]
    wanted = [x for name, x in arrays.items() if name in with_bounds]
    bounds = interval(np.column_stack([*means, *wanted]), shared=shared)
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
    return _in_decibels(found) if tree.decibels else _within(found, tree.limits)


def _within(found: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """Ends that are numbers which the quantity can be: what it is a mean of lies within."""
    lowest, highest = (-np.inf if limits[0] is None else limits[0],
                       np.inf if limits[1] is None else limits[1])  # fmt: skip
    ends = ("mean_low", "mean_high", "low", "high")
    return {k: np.clip(x, lowest, highest) if k in ends else x for k, x in found.items()}


def _in_decibels(mse: dict[str, Any]) -> dict[str, Any]:
    """PSNR falls as the error grows, so the bounds change places.

    The error's lower end is taken as far below its mean in proportion as it is in difference, so
    that it stays above 0 and the PSNR's upper end is a number: mean · exp(-(mean - low) / mean).
    """
    for end, of in (("mean_low", "mean"), ("low", "per_step")):
        if end in mse:
            mean = np.maximum(mse[of], metrics.MSE_FLOOR)
            mse = mse | {end: mean * np.exp(np.minimum(mse[end] - mean, 0) / mean)}
    names = {"mean_low": "mean_high", "mean_high": "mean_low", "low": "high", "high": "low"}
    return {name: metrics.psnr_of(mse[names.get(name, name)]) for name in mse}
