"""Windows of one episode: how much wider their intervals are, and what they are worth."""

import numpy as np
import pytest

from openloop_cli.measures.clusters import clusters, unrelated
from openloop_cli.measures.statistics import interval, ratio


def test_windows_that_have_nothing_in_common_change_nothing():
    values = np.random.default_rng(0).lognormal(size=(16, 3))
    own = interval(values, shared=unrelated(16))
    assert own.low.tolist() == interval(values).low.tolist()
    assert clusters(range(16)).independent == pytest.approx(16)


@pytest.mark.parametrize(
    ("episodes", "apart", "worth"),
    [
        ([5] * 4 + [1] * 4 + [2] * 4 + [7] * 4, None, 1 / (0.7 / 16 + 0.3 / 4)),
        ([0] * 16, None, 1 / (0.7 / 16 + 0.3)),
        ([0] * 32 + [1] * 32, 24, 1 / (0.7 / 24 + 0.3 / 2)),
    ],
)
def test_what_windows_are_worth_by_hand(episodes, apart, worth):
    shared = clusters(episodes, apart)
    assert shared.independent == pytest.approx(worth)
    assert shared.episodes == len(set(episodes))


def test_what_the_episodes_tell_counts_as_they_grow_many():
    """With 32 episodes an interval is about as wide as that of their means."""
    rng = np.random.default_rng(1)
    for icc in (0.0, 0.8):
        episodes = np.repeat(np.arange(32), 4)
        values = np.sqrt(icc) * rng.standard_normal(32)[episodes]
        values += np.sqrt(1 - icc) * rng.standard_normal(128)
        found = interval(values, shared=clusters(list(episodes)))
        means = interval(values.reshape(32, 4).mean(1))
        assert found.high - found.low == pytest.approx(means.high - means.low, rel=0.25)


def test_overlapping_windows_are_no_further_ones():
    values = np.random.default_rng(2).standard_normal(16)
    wide = [interval(values, shared=clusters([0] * 8 + [1] * 8, n)) for n in (16, 8, 4)]
    widths = [float(x.high - x.low) for x in wide]
    assert widths == sorted(widths)
    assert widths[0] < widths[1] < widths[2]


def test_a_ratio_is_as_wide_as_the_test_of_its_ends():
    rng = np.random.default_rng(3)
    below = rng.lognormal(0, 0.3, 16)
    above = below * rng.lognormal(0, 0.4, 16)
    shared = clusters([0] * 4 + [1] * 4 + [2] * 8)
    found = ratio(above, below, shared=shared)
    for end, side in ((found.low, "low"), (found.high, "high")):
        tested = interval(above - end * below, shared=shared)
        assert getattr(tested, side) == pytest.approx(0, abs=1e-3)


def test_missing_windows_leave_their_episodes():
    values = np.random.default_rng(4).standard_normal((16, 1))
    values[:8] = np.nan
    shared = clusters([0] * 8 + [1, 1, 2, 2, 3, 3, 4, 4])
    left = interval(values[8:], shared=clusters([1, 1, 2, 2, 3, 3, 4, 4]))
    assert interval(values, shared=shared).low == pytest.approx(left.low)
