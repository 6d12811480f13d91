"""Skill, useful horizon and reconstruction skill: cases with a known answer, and their edges."""

import warnings
from typing import NamedTuple

import numpy as np
import pytest

from openloop_cli.measures.skill import (
    DECODER,
    NOTHING_MOVED,
    Skill,
    reconstruction_skill,
    skill,
    useful_horizon,
)
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


def judged(errors, reconstruction=None):
    return useful_horizon(skill(*errors), reconstruction)


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
    horizon = useful_horizon(found)
    assert (horizon.steps, horizon.censored) == (0, False)
    assert horizon.reason == "at step 1 skill is 0.00, its interval from 0.00"


def test_one_that_repeats_it_has_no_horizon_where_the_first_steps_are_still():
    errors = scene()
    quiet = errors.floor.copy()
    quiet[:, 3:] = errors.persistence[:, 3:]
    horizon = judged((quiet, errors.floor, quiet))
    assert (horizon.steps, horizon.undefined) == (0, 3)


def test_a_model_that_imagines_its_posterior_is_perfect():
    errors = scene()
    found = skill(errors.floor, errors.floor, errors.persistence)
    assert found.value.tolist() == found.low.tolist() == found.high.tolist() == [1.0] * STEPS
    horizon = useful_horizon(found)
    assert (horizon.steps, horizon.censored, horizon.undefined) == (STEPS, True, 0)
    assert str(horizon) == f"≥ {STEPS}"


def test_a_still_scene_has_no_defined_skill():
    found = skill(*still())
    assert not found.defined.any()
    assert np.isnan([found.value, found.low, found.high]).all()
    horizon = useful_horizon(found)
    assert (horizon.steps, horizon.censored, horizon.undefined) == (None, False, STEPS)
    assert horizon.reason == NOTHING_MOVED
    assert str(horizon) == "undefined"


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


def test_steps_before_anything_moves_are_left_out_and_told():
    moving, quiet = scene(), still(seed=3)
    parts = [np.where(np.arange(STEPS) < 5, a, b) for a, b in zip(quiet, moving, strict=True)]
    found = skill(*parts)
    assert found.defined[5:].all()
    assert found.defined[:5].sum() <= 1
    horizon = useful_horizon(found)
    assert horizon.censored
    assert f"{horizon.undefined} of {STEPS} steps left out: {NOTHING_MOVED}" in horizon.reason


def test_the_horizon_ends_where_the_lower_end_reaches_zero():
    errors = scene(seed=4)
    error = errors.error.copy()
    error[:, 10:] = errors.persistence[:, 10:] * 1.01
    assert judged((error, *errors[1:])).steps == 10
    noise = np.random.default_rng(5).standard_normal(16) * 4e-3
    unsure = errors.error.copy()
    unsure[:, 7] += noise - noise.mean()
    found = skill(unsure, *errors[1:])
    assert found.value[7] > 0.5
    assert found.low[7] < 0
    assert useful_horizon(found).steps == 7


def test_skill_is_above_zero_where_the_model_beats_persistence():
    rng = np.random.default_rng(20)
    errors = scene(seed=20, lost=0.8)
    error = errors.error + 4e-4 * rng.standard_normal(errors.error.shape)
    found = skill(error, *errors[1:])
    assert found.defined.all()
    beats = interval(errors.persistence - error).low > 0
    np.testing.assert_array_equal(found.low > 0, beats)
    assert 0 < beats.sum() < STEPS


def made(low, defined=None):
    low = np.array(low, float)
    defined = np.ones(len(low), bool) if defined is None else np.array(defined, bool)
    low = np.where(defined, low, np.nan)
    whole = np.zeros(len(low), bool)
    return Skill(low + 0.1, low, low + 0.2, defined, np.full(len(low), 16), whole)


@pytest.mark.parametrize(
    ("low", "defined", "steps", "censored"),
    [
        ([0.5, 0.4, 0.3], [1, 1, 1], 3, True),
        ([0.5, 0.0, 0.3], [1, 1, 1], 1, False),
        ([-0.1, 0.4, 0.3], [1, 1, 1], 0, False),
        ([-0.1, 0.4, 0.3], [0, 1, 1], 3, True),
        ([0.5, 0.4, 0.3], [1, 1, 0], 3, True),
        # Steps that show nothing do not lengthen a horizon that ends.
        ([0.5, 0.4, -0.3], [1, 0, 1], 1, False),
        ([0.5, 0.4, -0.3], [0, 0, 1], 0, False),
    ],
)
def test_horizons_by_hand(low, defined, steps, censored):
    horizon = useful_horizon(made(low, defined))
    assert (horizon.steps, horizon.censored) == (steps, censored)
    assert horizon.undefined == defined.count(0)


def test_a_decoder_that_shows_no_movement_has_no_dynamics_to_judge():
    rng = np.random.default_rng(6)
    floor = 5e-3 * np.exp(0.1 * rng.standard_normal((16, STEPS)))
    shown = reconstruction_skill(floor, 0.9 * floor)
    assert shown.mean == pytest.approx(1 - 1 / 0.9)
    noise = 1e-6 * rng.standard_normal((2, 16, STEPS))
    horizon = judged((floor + noise[0], floor, floor + noise[1]), shown)
    assert (horizon.steps, horizon.censored) == (0, False)
    assert horizon.reason == f"{DECODER} (reconstruction skill -0.11)"
    perfect = made([0.9, 0.9])
    assert useful_horizon(perfect, shown).steps == 0
    assert useful_horizon(perfect, reconstruction_skill(floor, floor)).steps == 0
    assert useful_horizon(perfect, reconstruction_skill(floor, 2 * floor)).steps == 2


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
    horizon = useful_horizon(made([0.5]), found)
    assert horizon.steps == 1


def test_one_window_is_judged_by_its_values_and_says_so():
    errors = scene(1, seed=8)
    found = skill(*errors)
    assert np.isnan([found.low, found.high]).all()
    np.testing.assert_allclose(
        found.value, 1 - ((errors.error - errors.floor) / (errors.persistence - errors.floor))[0]
    )
    horizon = useful_horizon(found)
    assert (horizon.steps, horizon.censored) == (STEPS, True)
    assert "25 steps in one window only, judged without an interval" in horizon.reason
    assert judged((errors.persistence, *errors[1:])).steps == 0


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


def test_what_the_mean_alone_would_say_stands_beside_the_horizon():
    """Skill is positive to step 3, its lower end to step 1 only."""
    value, low = np.array([0.5, 0.4, 0.3, -0.1]), np.array([0.2, -0.1, 0.1, -0.5])
    whole = np.zeros(4, bool)
    found = Skill(value, low, value + 0.3, ~whole, np.full(4, 16), whole)
    horizon = useful_horizon(found)
    assert (horizon.steps, horizon.by_mean) == (1, 3)
    assert horizon.reason == (
        "at step 2 skill is 0.40, its interval from -0.10: more windows may tell"
    )
