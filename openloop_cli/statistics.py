"""Confidence intervals over windows. Values (B, …), one row for each window; NaN is left out.

Windows are the unit that is drawn at random, so they alone are resampled; the other axes are
columns with an interval of their own each, from the same resamples. All intervals rest on one
thing, the bootstrap distribution of a mean over its own standard error (bootstrap-t):

    t* = (mean* - mean) / max(se*, se / 3),    se = s / sqrt(n),    s² = Σ(x - mean)² / (n - 1)

Resamples are drawn from n windows with replacement, n at a time. With t_lo and t_hi the
quantiles of t* the interval is [mean - t_hi se, mean - t_lo se]. Efron & Tibshirani 1993, *An
Introduction to the Bootstrap*, chapter 12.5. Errors are skewed, windows are few: there the
percentile bootstrap and Student's t cover too seldom (n = 16, exponential: 90 % and 92 %; this
one 95 %). The floor of se / 3 is ours: it keeps a resample that happens to miss an outlier, and
so has next to no variance, from making the interval endless. It costs no coverage from 8 windows
on. Below 6 windows resamples are too few to tell a tail, and each quantile is at least as far out
as Student's t.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from openloop_cli.arrays import Array

Verdict = Literal["better", "worse", "same"]

# Resamples beyond each end of the interval: 2,000 in all at 95 %, more at higher levels.
_PER_TAIL = 50
_SE_FLOOR = 1 / 3
_FEW = 6
# Numbers in the largest array that is held at once.
_CELLS = 1 << 21


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval, each (…) as the columns were.

    Attributes:
      mean: The mean over windows, or the ratio of two; NaN where there is none.
      low, high: The ends. NaN where fewer than two windows are left: one value tells nothing
        about the next. Infinite where a ratio has no such bound.
      count: How many windows were used.
    """

    mean: Array
    low: Array
    high: Array
    count: Array


def interval(
    per_window: Array, *, level: float = 0.95, resamples: int | None = None, seed: int = 0
) -> Interval:
    """The mean over windows and its bootstrap-t interval: (B, …) -> (…).

    Args:
      level: The share of intervals that hold the true mean, between 0 and 1.
      resamples: None takes as many as put 50 beyond each end.
      seed: Of the resamples; the same seed gives the same bits.
    """
    values = _columns(per_window)
    mean, low, high = (np.full(values.shape[1], np.nan) for _ in range(3))
    for rows, columns in _alike(np.isnan(values)):
        part = values[np.ix_(rows, columns)]
        mean[columns] = part.mean(0)
        usable = columns[np.isfinite(mean[columns])]
        if len(rows) < 2 or not len(usable):
            continue
        residuals = values[np.ix_(rows, usable)] - mean[usable]
        lower, upper = _quantiles(residuals, level, resamples, seed)
        error = _standard_error(residuals)
        low[usable], high[usable] = mean[usable] - upper * error, mean[usable] - lower * error
    return _shaped(per_window, mean, low, high, (~np.isnan(values)).sum(0))


def ratio(
    numerator: Array,
    denominator: Array,
    *,
    level: float = 0.95,
    resamples: int | None = None,
    seed: int = 0,
) -> Interval:
    """mean(numerator) / mean(denominator) over the same windows: (B, …) twice -> (…).

    The interval holds every ratio r for which mean(numerator - r denominator), over its standard
    error, lies between the bootstrap-t quantiles of the residuals at the estimate. That is
    Fieller's theorem with bootstrap quantiles for normal ones (Hwang 1995, *Fieller's problems
    and resampling techniques*, Statistica Sinica 5). Unlike the delta method it stays honest
    where the denominator is small: where the denominator cannot be told from zero an end is
    infinite. A window that is NaN in either is left out of both. NaN where the mean
    denominator is zero.
    """
    assert numerator.shape == denominator.shape, f"{numerator.shape}, {denominator.shape}"
    above, below = _columns(numerator), _columns(denominator)
    missing = np.isnan(above) | np.isnan(below)
    value, low, high = (np.full(above.shape[1], np.nan) for _ in range(3))
    for rows, columns in _alike(missing):
        n, d = above[np.ix_(rows, columns)], below[np.ix_(rows, columns)]
        with np.errstate(divide="ignore", invalid="ignore"):
            value[columns] = n.mean(0) / d.mean(0)
        good = np.isfinite(value[columns])
        if len(rows) < 2 or not good.any():
            continue
        n, d, columns = n[:, good], d[:, good], columns[good]
        # So that a larger ratio always means smaller residuals.
        d = d * (sign := np.sign(d.mean(0)))
        residuals = n * sign - value[columns] * d
        lower, upper = _quantiles(residuals, level, resamples, seed)
        low[columns] = value[columns] + _fieller(residuals, d, upper, -1)
        high[columns] = value[columns] + _fieller(residuals, d, lower, 1)
    return _shaped(numerator, value, low, high, (~missing).sum(0))


def paired(
    a: Array, b: Array, *, level: float = 0.95, resamples: int | None = None, seed: int = 0
) -> Interval:
    """mean(a - b) over the windows that both measured, in the same order: (B, …) twice -> (…).

    Differences within a window cancel what makes windows hard or easy.
    """
    assert a.shape == b.shape, f"{a.shape} against {b.shape}: not the same windows"
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    return interval(difference, level=level, resamples=resamples, seed=seed)


def paired_ratios(
    a: tuple[Array, Array],
    b: tuple[Array, Array],
    *,
    level: float = 0.95,
    resamples: int | None = None,
    seed: int = 0,
) -> Interval:
    """ratio(a) - ratio(b) over the same windows: two (numerator, denominator), (B, …) -> (…).

    To first order a ratio moves with the mean of (numerator - ratio · denominator) /
    mean(denominator), its linearisation (delta method); the interval is that of the difference of
    the two linearisations. It holds its level where the ratios are equal, which is what a test for
    a change asks, and a few points less where they lie far apart.
    """
    missing = np.isnan(np.stack([*a, *b])).any(0)
    parts = [np.where(missing, np.nan, x) for x in (*a, *b)]
    means = [mean_over_windows(x) for x in parts]
    with np.errstate(divide="ignore", invalid="ignore"):
        values = [means[0] / means[1], means[2] / means[3]]
        linear = [
            value + (n - value * d) / mean
            for value, n, d, mean in zip(values, parts[::2], parts[1::2], means[1::2], strict=True)
        ]
        return interval(linear[0] - linear[1], level=level, resamples=resamples, seed=seed)


def mean_over_windows(per_window: Array) -> Array:
    """The mean over the windows that are not NaN, NaN where none is left: (B, …) -> (…)."""
    count = (~np.isnan(per_window)).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.nansum(per_window, axis=0, dtype=np.float64) / count)


def verdict(change: Interval, *, lower_is_better: bool, margin: float = 0.0) -> Verdict:
    """What a change (new - old, one number) says: `same` unless the whole interval is beyond.

    Args:
      margin: A change that is too small to matter. Give one where the numbers were computed on
        two machines: rounding shifts all windows alike, and is then significant.
    """
    low, high = float(change.low), float(change.high)
    if low > margin:
        return "worse" if lower_is_better else "better"
    if high < -margin:
        return "better" if lower_is_better else "worse"
    return "same"


def familywise(level: float, count: int) -> float:
    """The level of each of `count` intervals so that all hold at once at `level` (Bonferroni).

    It needs nothing of how the numbers depend on each other, and each verdict can still be read
    off its own interval, which Holm's steps would not leave. A change in either direction has
    half of what is left: at 0.95 two seeds of one checkpoint read `worse` somewhere in at most
    2.5 of 100 comparisons, whatever the count.
    """
    assert count >= 1, f"a family of {count}"
    return 1 - (1 - level) / count


def _columns(per_window: Array) -> Array:
    """(B, …) -> (B, columns) float64."""
    assert per_window.ndim >= 1, "expected (B, …), found a number"
    assert len(per_window), "no window"
    return np.asarray(per_window, np.float64).reshape(len(per_window), -1)


def _shaped(like: Array, mean: Array, low: Array, high: Array, count: Array) -> Interval:
    return Interval(*(x.reshape(like.shape[1:]) for x in (mean, low, high, count)))


def _alike(missing: Array) -> Iterator[tuple[Array, Array]]:
    """Columns that miss the same windows, together: (windows that are left, columns)."""
    patterns, which = np.unique(missing, axis=1, return_inverse=True)
    which = which.reshape(-1)  # numpy 2.0 returned it with a further axis
    for number, pattern in enumerate(patterns.T):
        if not pattern.all():
            yield np.flatnonzero(~pattern), np.flatnonzero(which == number)


def _standard_error(residuals: Array) -> Array:
    """(n, columns), less their mean -> (columns,)."""
    count = len(residuals)
    return np.asarray(np.sqrt(np.square(residuals).mean(0) / (count - 1)))


def _quantiles(
    residuals: Array, level: float, resamples: int | None, seed: int
) -> tuple[Array, Array]:
    """Of t*, at both ends: (n, columns), n at least 2 -> (columns,) twice."""
    assert 0 < level < 1, f"level {level}"
    tail = (1 - level) / 2
    resamples = math.ceil(_PER_TAIL / tail) if resamples is None else resamples
    count, columns = residuals.shape
    residuals = residuals - residuals.mean(0)
    first = min(max(int(tail * (resamples + 1)), 1), (resamples + 1) // 2) - 1
    last = resamples - 1 - first
    ends = np.empty((2, columns))
    width = max(1, _CELLS // resamples)
    for start in range(0, columns, width):
        part = np.ascontiguousarray(residuals[:, start : start + width].T)
        draws = _shares(count, resamples, seed)
        pivots = np.concatenate([_pivots(part, shares) for shares in draws], 1)
        pivots.partition((first, last), axis=1)
        ends[:, start : start + width] = pivots[:, first], pivots[:, last]
    if count < _FEW:
        least = _student(count - 1, 1 - tail) * (_standard_error(residuals) > 0)
        ends = np.stack([np.minimum(ends[0], -least), np.maximum(ends[1], least)])
    return ends[0], ends[1]


def _shares(count: int, resamples: int, seed: int) -> Iterator[Array]:
    """How large a share of each resample every window is: blocks of (n, resamples)."""
    rng = np.random.default_rng(seed)
    most = max(1, _CELLS // count)
    for done in range(0, resamples, most):
        size = min(most, resamples - done)
        drawn = rng.integers(count, size=(size, count), dtype=np.int32)
        drawn += np.arange(size, dtype=np.int32)[:, None] * count
        counts = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        yield counts.T / count


def _pivots(residuals: Array, shares: Array) -> Array:
    """t* of each resample: (columns, n), (n, resamples) -> (columns, resamples)."""
    count = residuals.shape[1]
    means = residuals @ shares
    variances = np.square(residuals) @ shares
    variances -= np.square(means)
    whole = np.square(residuals).mean(1)[:, None]
    np.maximum(variances, whole * _SE_FLOOR**2, out=variances)
    # Where all windows agree, all resamples do.
    np.maximum(variances, np.finfo(np.float64).tiny, out=variances)
    return np.asarray(means * math.sqrt(count - 1) / np.sqrt(variances))


def _student(freedom: int, below: float) -> float:
    """The quantile of Student's t with 1 to 4 degrees of freedom (Abramowitz & Stegun 26.7.3-4)."""
    share: dict[int, Callable[[float], float]] = {
        1: lambda x: 2 / math.pi * x,
        2: math.sin,
        3: lambda x: 2 / math.pi * (x + math.sin(x) * math.cos(x)),
        4: lambda x: math.sin(x) * (1 + math.cos(x) ** 2 / 2),
    }
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if share[freedom](middle) < 2 * below - 1 else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _fieller(residuals: Array, d: Array, quantile: Array, side: int) -> Array:
    """How far the ratio moves, up (1) or down (-1), until the residuals' mean lies `quantile`
    standard errors from zero: (n, columns) twice, (columns,) -> (columns,).

    With x moved, that is mean(d)² x² = q² (s_ee - 2 x s_ed + x² s_dd) / (n - 1), a quadratic whose
    terms under the root are never negative: no rounding where all windows agree.
    """
    under, scale = d.mean(0), np.square(quantile) / (len(d) - 1)
    e, d = residuals - residuals.mean(0), d - under
    square = np.square(under) - scale * np.square(d).mean(0)
    cross = scale * (e * d).mean(0)
    root = np.sqrt(np.square(cross) + np.maximum(square, 0) * scale * np.square(e).mean(0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(square > 0, (side * root - cross) / square, side * np.inf)
