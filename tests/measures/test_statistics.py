"""Intervals against brute force, SciPy, hand calculations, and simulations of their coverage."""

import math
import warnings

import numpy as np
import pytest

from openloop_cli.measures import resampling
from openloop_cli.measures.statistics import (
    familywise,
    interval,
    ratio,
    verdict,
)

RUNS = 1000


def paired(a, b, **options):
    """The change between two measurements of the same windows."""
    return interval(a - b, **options)


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def draws(name, shape, seed=0):
    """Values and their true mean."""
    rng = np.random.default_rng(seed)
    if name == "normal":
        return rng.standard_normal(shape), 0.0
    if name == "exponential":
        return rng.exponential(size=shape), 1.0
    if name == "heavy":
        return rng.standard_t(3, size=shape), 0.0
    # Like the MSE of windows: the sample run's spread 0.3 to 0.7 in the logarithm.
    sigma = 0.5
    return np.exp(sigma * rng.standard_normal(shape)), math.exp(sigma**2 / 2)


def covered(found, truth):
    return float(((found.low <= truth) & (truth <= found.high)).mean())


@pytest.mark.parametrize("windows", [8, 16, 32])
@pytest.mark.parametrize("name", ["normal", "lognormal", "exponential", "heavy"])
def test_the_interval_of_a_mean_covers_it(name, windows):
    values, truth = draws(name, (windows, RUNS))
    assert 0.92 <= covered(interval(values), truth) <= 0.98


@pytest.mark.parametrize("windows", [2, 3, 4, 5])
def test_few_windows_are_covered_too_where_values_are_normal(windows):
    values, truth = draws("normal", (windows, RUNS), seed=1)
    assert 0.92 <= covered(interval(values), truth) <= 0.985


def test_steps_that_follow_each_other_are_covered():
    rng = np.random.default_rng(2)
    steps, runs = 20, 200
    noise = rng.standard_normal((16, runs, steps))
    walk = np.empty_like(noise)
    walk[..., 0] = noise[..., 0]
    for t in range(1, steps):
        walk[..., t] = 0.9 * walk[..., t - 1] + math.sqrt(1 - 0.81) * noise[..., t]
    scale = np.linspace(0.01, 0.03, steps)
    found = interval(scale * np.exp(0.5 * walk))
    assert found.mean.shape == (runs, steps)
    assert 0.92 <= covered(found, scale * math.exp(0.125)) <= 0.98


def test_other_levels_are_covered():
    values, truth = draws("normal", (16, RUNS), seed=3)
    assert covered(interval(values, level=0.8), truth) == pytest.approx(0.8, abs=0.02)
    assert covered(interval(values[:, :1000], level=0.99), truth) >= 0.98


def test_the_interval_by_brute_force():
    x = draws("lognormal", 7, seed=4)[0]
    rng = np.random.default_rng(5)
    error = x.std(ddof=1) / math.sqrt(7)
    pivots = []
    for _ in range(40_000):
        again = x[rng.integers(7, size=7)]
        pivots.append((again.mean() - x.mean()) / max(again.std(ddof=1) / math.sqrt(7), error / 3))
    low, high = np.quantile(pivots, (0.025, 0.975))
    low, high = min(low, -2.4469), max(high, 2.4469)  # Student's t with 6 degrees of freedom
    found = interval(x, resamples=40_000)
    assert found.mean == pytest.approx(x.mean())
    assert found.low == pytest.approx(x.mean() - high * error, abs=0.06 * error)
    assert found.high == pytest.approx(x.mean() - low * error, abs=0.06 * error)


def test_an_outlier_does_not_make_the_interval_endless():
    found = interval(np.array([1e-4 * k for k in range(15)] + [1.0]))
    assert found.low < found.mean < found.high < 0.4


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 15, 16, 255])
def test_student_quantiles_agree_with_scipy(freedom):
    scipy_stats = pytest.importorskip("scipy.stats")
    for below in (0.75, 0.975, 0.999):
        expected = scipy_stats.t.ppf(below, freedom)
        assert resampling.student_quantile(freedom, below) == pytest.approx(expected, rel=1e-9)


def test_two_windows_have_students_interval():
    found = interval(np.array([1.0, 3.0]))
    assert found.low == pytest.approx(2 - 12.7062, abs=1e-4)
    assert found.high == pytest.approx(2 + 12.7062, abs=1e-4)


def test_one_window_has_a_mean_and_no_interval():
    found = interval(np.array([[1.0, 2.0]]))
    assert found.mean.tolist() == [1, 2]
    assert found.count.tolist() == [1, 1]
    assert np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize("windows", [2, 3, 16])
def test_windows_that_agree_leave_no_doubt(windows):
    found = interval(np.full((windows, 2), 0.5))
    assert found.low.tolist() == found.mean.tolist() == found.high.tolist() == [0.5, 0.5]


def test_missing_values_are_left_out_of_their_column_only():
    values = draws("lognormal", (12, 5), seed=6)[0]
    holes = values.copy()
    holes[3, 1] = holes[[0, 7], 2] = holes[1:, 3] = np.nan
    holes[:, 4] = np.nan
    found = interval(holes)
    for column, rows in enumerate([np.arange(12), np.r_[:3, 4:12], np.r_[1:7, 8:12]]):
        alone = interval(values[rows, column])
        for name in ("mean", "low", "high", "count"):
            assert getattr(found, name)[column] == pytest.approx(getattr(alone, name), rel=1e-12)
    assert found.count.tolist() == [12, 11, 10, 1, 0]
    assert found.mean[3] == values[0, 3]
    assert np.isnan(found.low[3:]).all()
    assert np.isnan(found.mean[4])


def test_an_infinite_value_is_not_hidden():
    found = interval(np.array([[1.0, 1.0], [2.0, np.inf], [3.0, 1.0]]))
    assert found.mean.tolist() == [2, np.inf]
    assert np.isfinite(found.low[0])
    assert np.isnan(found.low[1])


def test_the_same_seed_gives_the_same_bits_and_blocks_change_nothing(monkeypatch):
    values = draws("lognormal", (9, 3, 4), seed=7)[0]
    first = interval(values, seed=3)
    assert first.low.shape == (3, 4)
    assert interval(values, seed=3).low.tobytes() == first.low.tobytes()
    assert (interval(values, seed=4).low != first.low).any()
    monkeypatch.setattr(resampling, "CELLS", 9 * 700)
    blocked = interval(values, seed=3)
    np.testing.assert_allclose(blocked.low, first.low, rtol=1e-12)
    np.testing.assert_allclose(blocked.high, first.high, rtol=1e-12)


def test_scale_and_shift_carry_over():
    values = draws("lognormal", (16, 3), seed=8)[0]
    found, moved = interval(values), interval(1e-6 * values + 5)
    np.testing.assert_allclose(moved.low, 1e-6 * found.low + 5, rtol=1e-12)
    mirrored = interval(-values)
    assert (mirrored.low < mirrored.mean).all()
    np.testing.assert_allclose(mirrored.high, -found.low, rtol=1e-12)


def test_pairing_cancels_what_windows_share():
    rng = np.random.default_rng(9)
    hard = 10 * rng.exponential(size=16)
    a, b = hard + 1 + 0.1 * rng.standard_normal(16), hard
    found = paired(a, b)
    assert found.mean == pytest.approx(1, abs=0.1)
    assert 0.8 < found.low < found.high < 1.2
    assert verdict(found, lower_is_better=True) == "worse"
    assert verdict(found, lower_is_better=False) == "better"
    assert verdict(found, lower_is_better=True, margin=2) == "same"
    assert verdict(paired(b, a), lower_is_better=True) == "better"
    assert verdict(interval(a), lower_is_better=True) == "worse"


def test_a_checkpoint_is_the_same_as_itself():
    a = draws("lognormal", 16, seed=10)[0]
    assert verdict(paired(a, a), lower_is_better=True) == "same"
    assert verdict(paired(a[:1], a[:1] + 1), lower_is_better=True) == "same"


def seeds(runs, numbers, windows=16, seed=11):
    """Two measurements of each window that differ by luck: (windows, runs, numbers) twice.

    The luck of a window is skewed and shared in part by all numbers, as errors at several steps
    of one imagined future share theirs.
    """
    rng = np.random.default_rng(seed)
    hard = np.exp(0.7 * rng.standard_normal((windows, runs, 1)))

    def measure():
        shared = rng.standard_normal((windows, runs, 1))
        own = rng.standard_normal((windows, runs, numbers))
        return hard * np.exp(0.4 * shared + 0.3 * own)

    return measure(), measure()


@pytest.mark.parametrize("numbers", [1, 6])
def test_two_seeds_of_one_checkpoint_are_seldom_called_worse(numbers):
    a, b = seeds(400, numbers)
    found = paired(a, b, level=familywise(0.95, numbers))
    assert ((found.low > 0).any(-1)).mean() <= 0.05


def test_a_worse_checkpoint_is_called_worse():
    a, b = seeds(100, 6)
    found = paired(3 * a, b, level=familywise(0.95, 6))
    assert ((found.low > 0).any(-1)).mean() >= 0.9


def test_the_level_of_a_family():
    assert familywise(0.95, 1) == pytest.approx(0.95)
    assert familywise(0.95, 10) == pytest.approx(0.995)


def movement(shape, *, spread, seed, lost=0.4):
    """A denominator as windows move, a numerator that loses `lost` of it on average."""
    rng = np.random.default_rng(seed)
    below = np.exp(spread * rng.standard_normal(shape) - spread**2 / 2)
    below += 0.2 * rng.standard_normal(shape)
    luck = np.exp(0.5 * rng.standard_normal(shape) - 0.125)
    return lost * below * luck, below, lost


@pytest.mark.parametrize("windows", [8, 16, 32])
@pytest.mark.parametrize("spread", [0.0, 0.3, 0.5])
def test_the_interval_of_a_ratio_covers_it(windows, spread):
    above, below, truth = movement((windows, 700), spread=spread, seed=12)
    assert 0.92 <= covered(ratio(above, below), truth) <= 0.98


def test_a_ratio_is_honest_where_its_denominator_is_small():
    rng = np.random.default_rng(13)
    below = 0.5 + rng.standard_normal((16, 1000))
    above = 0.5 * below + 0.5 * rng.standard_normal((16, 1000))
    found, moved = ratio(above, below), interval(below)
    assert covered(found, 0.5) >= 0.92
    endless = np.isinf(found.low) | np.isinf(found.high)
    np.testing.assert_array_equal(endless, (moved.low <= 0) & (moved.high >= 0))
    assert 0.1 < endless.mean() < 0.9


def test_a_ratio_with_normal_quantiles_is_fiellers(monkeypatch):
    rng = np.random.default_rng(14)
    above, below = rng.normal(2, 1, 16), rng.normal(3, 1, 16)
    q = 2.131
    monkeypatch.setattr(
        resampling, "quantiles", lambda x, *_: (np.full(len(x), -q), np.full(len(x), q))
    )
    found = ratio(above, below)
    (snn, snd), (_, sdd) = np.cov(above, below) / 16
    n, d = above.mean(), below.mean()
    terms = [d * d - q * q * sdd, -2 * (n * d - q * q * snd), n * n - q * q * snn]
    np.testing.assert_allclose([found.low, found.high], np.sort(np.roots(terms)), rtol=1e-5)


def test_a_ratio_ends_where_a_paired_test_begins_to_tell():
    above, below, _ = movement((16, 20), spread=0.5, seed=15)
    found = ratio(above, below)
    assert (found.low < found.mean).all()
    assert (found.mean < found.high).all()
    slack = 1e-4 * (found.high - found.low)
    for end, beyond in ((found.low, -slack), (found.high, slack)):
        held = paired(above, (end - beyond) * below)
        assert ((held.low < 0) & (held.high > 0)).all()
        told = paired(above, (end + beyond) * below)
        assert ((told.low > 0) | (told.high < 0)).all()


def test_a_ratio_that_all_windows_share_has_no_width():
    below = draws("exponential", (16, 2), seed=16)[0]
    for share in (0.0, 1.0):
        found = ratio(share * below, below)
        assert found.low.tolist() == found.mean.tolist() == found.high.tolist() == [share] * 2


def test_a_ratio_does_not_care_for_signs_common_to_both():
    above, below, _ = movement((16, 4), spread=0.3, seed=17)
    found, other = ratio(above, below), ratio(-above, -below)
    np.testing.assert_allclose(other.low, found.low, rtol=1e-9)
    negative = ratio(above, -below)
    assert (negative.low < negative.mean).all()
    assert (negative.mean < negative.high).all()
    np.testing.assert_allclose(negative.mean, -found.mean)


def test_a_ratio_without_a_denominator_is_none():
    found = ratio(np.ones((4, 1)), np.zeros((4, 1)))
    assert not np.isfinite(found.mean[0])
    assert np.isnan([found.low[0], found.high[0]]).all()


def test_a_window_missing_in_one_part_of_a_ratio_is_left_out_of_both():
    above, below, _ = movement((10, 1), spread=0.3, seed=18)
    holes = above.copy()
    holes[2] = np.nan
    found, alone = ratio(holes, below), ratio(np.delete(above, 2, 0), np.delete(below, 2, 0))
    assert found.count[0] == 9
    assert found.low[0] == pytest.approx(alone.low[0], rel=1e-12)


def test_levels_beyond_the_resamples_in_reach_are_judged_by_the_farthest_one():
    """A family of 160 numbers, with 20,000 resamples as with so many that none is missing."""
    values = np.random.default_rng(0).normal(size=(16, 24))
    level = 1 - 0.05 / 160
    few, many = (interval(values, level=level, resamples=n) for n in (None, 320_000))
    assert resampling.enough(level) == resampling.MOST < 50 / (0.05 / 320)
    ratios = (few.high - few.low) / (many.high - many.low)
    assert 0.95 < np.median(ratios) < 1.1
    assert np.mean((ratios > 0.8) & (ratios < 1.4)) > 0.9
    wider = interval(values, level=1 - (1 - level) / 10)
    assert (wider.low < few.low).all()
    assert (wider.high > few.high).all()
