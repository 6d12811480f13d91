"""Windows that share their luck: those of one episode, and those that share steps.

A mean over n windows has the variance

    V = σ_w² / apart + σ_b² Σ m² / n²

where m are the windows of each of G episodes, σ_b² is the variance between episodes, σ_w² that
within them, and `apart` is how many windows share no step. Intervals are made as if the windows
were independent, and are then widened by sqrt(V) over what that assumes.

Few episodes tell next to nothing of σ_b² themselves, so the ratio of the mean squares (between over
within) is moderated as Smyth 2004 does it (*Linear models and empirical Bayes methods for assessing
differential expression*, section 3): it is averaged with the one that SHARED would give, which
counts as much as PRIOR degrees of freedom. With 30 % of the variance between episodes and no change
at all, a paired test at 5 % then says one in 4 % of cases for 4 episodes of 4 windows and 3 % for 2
of 8; without it in 14 % and 26 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.measures.resampling import student_quantile

# The share of the variance that lies between episodes where nothing else is known, and how many
# episodes' worth that guess is.
SHARED, PRIOR = 0.3, 8


@dataclass(frozen=True, eq=False)
class Clusters:
    """Which of B windows lie in one episode.

    Attributes:
      labels: (B,) the episode of each, numbered from 0.
      apart: The largest number of windows of which no two share a step.
    """

    labels: Array
    apart: int

    @property
    def episodes(self) -> int:
        """How many there are."""
        return len(self._sizes)

    @property
    def independent(self) -> float:
        """As many independent windows tell as much, if SHARED of the variance lies between
        episodes."""
        return 1 / ((1 - SHARED) / self.apart + SHARED * self._squares)

    def part(self, windows: Array) -> "Clusters":
        """Some of the windows, by index."""
        labels = np.unique(self.labels[windows], return_inverse=True)[1].reshape(-1)
        return Clusters(labels, min(self.apart, len(labels)))

    def products(self, x: Array, y: Array) -> Array:
        """Between episodes and in all, of residuals: (C, B) twice -> (2, C) sums of products."""
        total = (x * y).sum(1)
        if self._unrelated:
            return np.stack([total, total])
        members = np.eye(len(self._sizes))[self.labels]
        between = ((x @ members) * (y @ members) / self._sizes).sum(1)
        return np.stack([between, total])

    def widening(self, products: Array, level: float) -> Array:
        """By how much an interval that takes windows for independent is too narrow: (2, C) -> (C,).

        Args:
          products: Of the residuals with themselves.
          level: Of the interval.
        """
        between, total = np.maximum(products, np.finfo(np.float64).tiny)
        count, groups = len(self.labels), len(self._sizes)
        if self._unrelated:
            return np.ones(len(total))
        shared, spread = SHARED / (1 - SHARED), count * (1 - self._squares)
        if 1 < groups < count:
            size = spread / (groups - 1)
            within = np.maximum(total - between, np.finfo(np.float64).tiny) / (count - groups)
            mean_square = between / (groups - 1) / within
            weights = PRIOR, groups - 1
            moderated = np.average(
                [np.full_like(total, 1 + size * shared), mean_square], 0, weights
            )
            shared = np.maximum(moderated - 1, 0) / size
        inside = total / (count - 1 + shared * spread)
        variance = inside * (1 / self.apart + shared * self._squares)
        freedom = min(count - 1, PRIOR + groups - 1)
        below = (1 + level) / 2
        heavier = student_quantile(freedom, below) / student_quantile(count - 1, below)
        wider = np.sqrt(variance * count * (count - 1) / total)
        return np.asarray(np.maximum(1, wider) * heavier)

    @property
    def _sizes(self) -> Array:
        return np.bincount(self.labels)

    @property
    def _squares(self) -> float:
        """Σ m² / n²: one over how many episodes of equal size would be as uneven."""
        return float(np.square(self._sizes / len(self.labels)).sum())

    @property
    def _unrelated(self) -> bool:
        return len(self._sizes) == len(self.labels) == self.apart


def clusters(episodes: Sequence[int], apart: int | None = None) -> Clusters:
    """Of each window's episode; all apart if not said otherwise."""
    labels = np.unique(np.asarray(episodes), return_inverse=True)[1].reshape(-1)
    return Clusters(labels, len(labels) if apart is None else min(apart, len(labels)))


def unrelated(count: int) -> Clusters:
    """Windows that have nothing in common."""
    return Clusters(np.arange(count), count)
