"""Skill and reconstruction skill: cases with a known answer, and their edges."""

import warnings
from typing import NamedTuple

import numpy as np
import pytest

from openloop_cli.measures.skill import moves, of_all_steps, reconstruction_skill, skill
from openloop_cli.measures.statistics import interval

STEPS = 25


class Errors(NamedTuple):
    """What skill is made of, each (B, H)."""

    error: np.ndarray
    floor: np.ndarray
    persistence: np.ndarray


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def scene(windows=16, *, lost=0.3, seed=0, steps=STEPS):
    """Errors of a scene that moves more and more; the model loses `lost` of the movement."""
    rng = np.random.default_rng(seed)
    floor = 6e-4 * np.exp(0.3 * rng.standard_normal((windows, steps)))
    pace = np.exp(0.5 * rng.standard_normal((windows, 1)) - 0.125)
    moved = 2e-3 * pace * np.linspace(0.3, 1, steps)
    luck = np.exp(0.3 * rng.standard_normal((windows, steps)) - 0.045)
    return Errors(floor + lost * moved * luck, floor, floor + moved)


def still(windows=16, seed=0, steps=STEPS):
    """A scene in which nothing moves, seen through the noise of sampled latents."""
    rng = np.random.default_rng(seed)
    base = 6e-4 * np.exp(0.3 * rng.standard_normal((windows, 1)))
    blur = 3e-5 * rng.standard_normal((3, windows, steps))
    # One reconstruction is repeated: its error is the same at each step of a still scene.
    last = 3e-5 * rng.standard_normal((windows, 1))
    return Errors(base + blur[0], base + blur[1], base + last + 0 * blur[2])


def test_skill_by_hand():
    floor = np.full((4, 2), 1.0)
    persistence = np.array([[2.0, 3.0], [2.0, 3.0], [2.1, 3.1], [1.9, 2.9]])
    error = np.array([[1.2, 2.0], [1.3, 2.0], [1.2, 2.1], [1.3, 1.9]])
    found = skill(error, floor, persistence)
    np.testing.assert_allclose(found.value, [1 - 0.25 / 1, 1 - 1 / 2])
    assert (found.low < found.value).all()
    assert (found.value < found.high).all()
    assert found.defined.all()
    assert found.count.tolist() == [4, 4]


def test_a_model_that_repeats_its_last_reconstruction_has_no_skill():
    errors = scene()
    found = skill(errors.persistence, errors.floor, errors.persistence)
    assert found.defined.all()
    assert found.value.tolist() == found.low.tolist() == found.high.tolist() == [0.0] * STEPS


def test_a_model_that_imagines_its_posterior_is_perfect():
    errors = scene()
    found = skill(errors.floor, errors.floor, errors.persistence)
    assert found.value.tolist() == found.low.tolist() == found.high.tolist() == [1.0] * STEPS


def test_a_still_scene_has_no_defined_skill():
    found = skill(*still())
    assert not found.defined.any()
    assert np.isnan([found.value, found.low, found.high]).all()
    assert not moves(*still()[1:])


def test_still_scenes_are_seldom_taken_for_moving_ones():
    moving = [skill(*still(seed=seed, steps=10)).defined.any() for seed in range(100)]
    assert np.mean(moving) <= 0.05


@pytest.mark.parametrize("windows", [1, 2, 16])
def test_a_perfectly_still_scene_has_no_defined_skill(windows):
    floor = np.full((windows, 3), 1e-3)
    assert not skill(floor, floor, floor).defined.any()
    assert not skill(floor, floor, floor * (1 + 1e-7)).defined.any()
    assert not skill(floor, 0 * floor, 0 * floor + 1e-12).defined.any()
    assert skill(floor, 0 * floor, 0 * floor + 1e-12, invisible=0).defined.all()


def test_steps_before_anything_moves_are_left_out():
    moving, quiet = scene(), still(seed=3)
    parts = [np.where(np.arange(STEPS) < 5, a, b) for a, b in zip(quiet, moving, strict=True)]
    found = skill(*parts)
    assert found.defined[5:].all()
    assert found.defined[:5].sum() <= 1


def test_skill_is_above_zero_where_the_model_beats_persistence():
    rng = np.random.default_rng(20)
    errors = scene(seed=20, lost=0.8)
    error = errors.error + 4e-4 * rng.standard_normal(errors.error.shape)
    found = skill(error, *errors[1:])
    assert found.defined.all()
    beats = interval(errors.persistence - error).low > 0
    np.testing.assert_array_equal(found.low > 0, beats)
    assert 0 < beats.sum() < STEPS


def test_reconstruction_skill_by_hand():
    floor = np.array([[1.0, 3.0], [2.5, np.nan], [1.0, 1.0]])
    climatology = np.array([[4.0, 8.0], [6.0, 100.0], [4.0, 7.0]])
    found = reconstruction_skill(floor, climatology)
    assert found.mean == pytest.approx(1 - 8.5 / 29)
    assert found.low < found.mean < found.high
    assert found.count == 3


def test_reconstruction_skill_covers_the_truth():
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(300):
        level = np.exp(0.4 * rng.standard_normal((16, 1)))
        climatology = 2e-3 * level * np.exp(0.2 * rng.standard_normal((16, 10)))
        luck = np.exp(0.3 * rng.standard_normal((16, 1)) - 0.045)
        found = reconstruction_skill(0.25 * climatology * luck, climatology)
        hits += found.low <= 0.75 <= found.high
    assert 0.92 <= hits / 300 <= 0.98


@pytest.mark.parametrize("climatology", [0.0, 1e-12, np.nan])
def test_a_replay_without_variety_has_no_reconstruction_skill(climatology):
    found = reconstruction_skill(np.full((4, 3), 1e-3), np.full((4, 3), climatology))
    assert np.isnan([found.mean, found.low, found.high]).all()


def test_one_window_is_judged_by_its_values():
    errors = scene(1, seed=8)
    found = skill(*errors)
    assert np.isnan([found.low, found.high]).all()
    np.testing.assert_allclose(
        found.value, 1 - ((errors.error - errors.floor) / (errors.persistence - errors.floor))[0]
    )


def test_windows_that_are_not_measured_at_a_step_are_left_out_there():
    errors = scene(seed=9)
    error = errors.error.copy()
    error[:6, 12:] = np.nan
    error[:, 20:] = np.nan
    found = skill(error, *errors[1:])
    alone = skill(*(x[6:, 12:20] for x in errors))
    assert found.count.tolist() == [16] * 12 + [10] * 8 + [0] * 5
    np.testing.assert_allclose(found.value[12:20], alone.value)
    np.testing.assert_allclose(found.low[12:20], alone.low)
    assert not found.defined[20:].any()
    assert np.isfinite(found.low[:20]).all()


def test_the_interval_of_skill_covers_it():
    covered = []
    for seed in range(100):
        found = skill(*scene(seed=100 + seed, steps=5))
        covered.append(((found.low <= 0.7) & (found.high >= 0.7))[found.defined].mean())
    assert 0.92 <= np.mean(covered) <= 0.98


def test_skill_does_not_depend_on_units():
    errors = scene(seed=10)
    found, scaled = skill(*errors), skill(*(1e6 * x for x in errors))
    np.testing.assert_allclose(scaled.low, found.low, rtol=1e-9)


def test_errors_of_other_windows_are_our_own_bug():
    errors = scene()
    with pytest.raises(AssertionError, match="different windows"):
        skill(errors.error[:3], *errors[1:])


def test_skill_over_all_steps_sums_before_it_divides():
    errors = scene(seed=11)
    lost = (errors.error - errors.floor).sum() / (errors.persistence - errors.floor).sum()
    found = of_all_steps(*errors)
    assert found.mean == pytest.approx(1 - lost)
    assert found.low < found.mean < found.high
    quiet = errors.error.copy()
    quiet[:3, 5] = np.nan  # a window's step that is not measured counts for none of the three
    assert of_all_steps(quiet, *errors[1:]).count == 16
    assert of_all_steps(quiet, *errors[1:]).mean == pytest.approx(found.mean, abs=0.01)
