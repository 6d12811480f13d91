"""The bootstrap of a mean over windows, in units of its own standard error (bootstrap-t).

Columns (C, n): one row for each quantity, one column for each window. With x a row,

    t* = (mean* - mean) / max(se*, se / 3),    se = s / sqrt(n),    s² = Σ(x - mean)² / (n - 1)

where stars mark a resample: n windows, drawn with replacement. Efron & Tibshirani 1993, *An
Introduction to the Bootstrap*, chapter 12.5. Three things are ours, chosen by simulation:

- The floor of se / 3. It keeps a resample that happens to miss an outlier, and so has next to no
  variance, from making an interval endless. It costs no coverage from 8 windows on.
- Each quantile is at least as far out as Student's t, which the bootstrap falls short of where
  tails are heavy on both sides, as those of differences between two seeds are.
- Levels that share 5 % between hundreds of comparisons ask for quantiles beyond what MOST resamples
  reach. There the farthest quantile in reach is moved outwards as Student's t would move it.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache

import numpy as np

from openloop_cli.arrays import Array

# Resamples beyond each end of an interval: 2,000 in all at 95 %, more at higher levels, at most
# MOST; without an end forty checkpoints would take minutes to compare.
PER_TAIL = 50
MOST = 20_000
SE_FLOOR = 1 / 3
# Numbers in the largest array that is held at once.
CELLS = 1 << 20
# Numbers in the largest draw that is kept for the next quantity: 8 MB.
_KEPT = 1 << 20


def enough(level: float) -> int:
    """How many resamples put PER_TAIL beyond each end, or are the most that we take."""
    return min(MOST, math.ceil(PER_TAIL / _tail(level)))


def alike(missing: Array) -> Iterator[tuple[Array, Array]]:
    """Quantities that miss the same windows, together: (C, n) bool -> (quantities, windows left).

    Those that miss all are left out.
    """
    patterns, which = np.unique(missing, axis=0, return_inverse=True)
    which = which.reshape(-1)  # numpy 2.0 returned it with a further axis
    for number, pattern in enumerate(patterns):
        if not pattern.all():
            yield np.flatnonzero(which == number), np.flatnonzero(~pattern)


def averages(terms: Sequence[Array], resamples: int, seed: int) -> list[Array]:
    """Of the same resamples, the mean of each term: (C, n) each -> (C, resamples) each."""
    found = [np.empty((len(term), resamples)) for term in terms]
    done = 0
    for shares in _shares(terms[0].shape[1], resamples, seed):
        here = slice(done, done := done + shares.shape[1])
        for term, out in zip(terms, found, strict=True):
            np.matmul(term, shares, out=out[:, here])
    return found


def quantiles(
    means: Array, variances: Array, whole: Array, count: int, level: float
) -> tuple[Array, Array]:
    """Of t*, at both ends: (C,) twice.

    Args:
      means, variances: Of each resample, divided by n, of values less their mean; (C, resamples).
      whole: The variance of all windows, divided by n; (C,).
      count: n, at least 2.
    """
    tail, resamples = _tail(level), means.shape[1]
    reached = max(tail, PER_TAIL / resamples) if resamples >= MOST else tail
    # Where all windows agree, all resamples do.
    least = np.maximum(whole * SE_FLOOR**2, np.finfo(np.float64).tiny)
    pivots = means * math.sqrt(count - 1) / np.sqrt(np.maximum(variances, least[:, None]))
    first = min(max(int(reached * (resamples + 1)), 1), (resamples + 1) // 2) - 1
    last = resamples - 1 - first
    pivots.partition((first, last), axis=1)
    student = student_quantile(count - 1, 1 - tail)
    beyond = student / student_quantile(count - 1, 1 - reached)
    low, high = pivots[:, first] * beyond, pivots[:, last] * beyond
    least_far = student * (whole > 0)
    return np.minimum(low, -least_far), np.maximum(high, least_far)


@cache
def student_quantile(freedom: int, below: float) -> float:
    """The quantile of Student's t, above one half."""
    freedom = min(freedom, 1000)  # beyond, it is normal to three digits
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        central = _central(freedom, math.sin(middle), math.cos(middle))
        low, high = (middle, high) if central < 2 * below - 1 else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _central(freedom: int, sine: float, cosine: float) -> float:
    """P(|t| < sqrt(freedom) · sine / cosine): Abramowitz & Stegun 26.7.3 and 26.7.4."""
    odd = freedom % 2
    term, total = cosine if odd else 1.0, 0.0
    for k in range(1, freedom // 2 + 1):
        total += term
        term *= cosine**2 * (2 * k - 1 + odd) / (2 * k + odd)
    if not odd:
        return sine * total
    return 2 / math.pi * (math.atan2(sine, cosine) + sine * total)


def _tail(level: float) -> float:
    assert 0 < level < 1, f"level {level}"
    return (1 - level) / 2


def _shares(count: int, resamples: int, seed: int) -> Iterable[Array]:
    """How large a share of each resample every window is: blocks of (n, resamples)."""
    if count * resamples <= _KEPT:
        return _few_shares(count, resamples, seed)
    return _drawn_shares(count, resamples, seed)


@lru_cache(maxsize=16)
def _few_shares(count: int, resamples: int, seed: int) -> tuple[Array, ...]:
    """All numbers of a report resample the same few windows, so they are drawn once."""
    return tuple(_drawn_shares(count, resamples, seed))


def _drawn_shares(count: int, resamples: int, seed: int) -> Iterator[Array]:
    rng = np.random.default_rng(seed)
    most = max(1, CELLS // count)
    for done in range(0, resamples, most):
        size = min(most, resamples - done)
        drawn = rng.integers(count, size=(size, count), dtype=np.int32)
        drawn += np.arange(size, dtype=np.int32)[:, None] * count
        counts = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        yield counts.T / count
