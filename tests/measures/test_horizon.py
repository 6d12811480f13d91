"""The useful horizon: cases with a known answer, its interval, and where there is no telling."""

import warnings

import numpy as np
import pytest

from openloop_cli.measures.clusters import clusters
from openloop_cli.measures.horizon import LEAST_SKILL, horizon_parts, useful_horizon
from openloop_cli.measures.skill import DECODER, NOT_NUMBERS, NOTHING_MOVED

from .test_skill import STEPS, scene, still


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def blind(after, windows=16, *, seed=0, steps=STEPS):
    """A model that stands still from a step on, with some noise of its own."""
    errors = scene(windows, seed=seed, steps=steps)
    rng = np.random.default_rng(1000 + seed)
    noise = 1e-4 * rng.standard_normal(errors.error.shape)
    after_it = np.arange(steps) >= after
    return errors._replace(error=np.where(after_it, errors.persistence + noise, errors.error))


def monotone(skill, weight):
    """The isotonic fit by pooling adjacent violators: what the definition is of."""
    pools = []
    for value, size in zip(skill, weight, strict=True):
        pools.append([value, size, 1])
        while len(pools) > 1 and pools[-2][0] <= pools[-1][0]:
            (a, m, i), (b, n, j) = pools[-2:]
            pools[-2:] = [[(a * m + b * n) / (m + n), m + n, i + j]]
    return np.concatenate([np.full(count, value) for value, _, count in pools])


def test_it_is_where_the_monotone_fit_of_skill_ends():
    rng = np.random.default_rng(0)
    for _ in range(50):
        skill = np.linspace(1, -0.5, STEPS) + 0.4 * rng.standard_normal(STEPS)
        moved = rng.lognormal(0, 1, STEPS)
        floor = np.ones((1, STEPS))
        parts = horizon_parts(floor + (1 - skill) * moved, floor, floor + moved)
        assert parts.steps == (monotone(skill, moved) >= LEAST_SKILL).sum()


@pytest.mark.parametrize("after", [0, 5, 15, STEPS])
def test_a_model_that_goes_blind(after):
    for seed in range(5):
        found = useful_horizon(*blind(after, seed=seed))
        assert abs(found.steps - after) <= 1
        assert found.low <= after <= found.high
        assert found.censored == (after == STEPS)
    assert str(found) == (f"≥ {STEPS}" if after == STEPS else str(found.steps))


def test_the_reason_tells_skill_before_and_after():
    errors = scene(seed=3)
    error = np.where(np.arange(STEPS) < 10, errors.floor, errors.persistence)
    assert useful_horizon(error, *errors[1:]).reason == (
        "skill 1.00 over steps 1 to 10, 0.00 over steps 11 to 25"
    )
    assert useful_horizon(errors.persistence, *errors[1:]).reason == (
        "skill 0.00 over steps 1 to 25: at no step better than standing still by 0.1"
    )
    assert useful_horizon(errors.floor, *errors[1:]).reason == (
        "skill 1.00 over steps 1 to 25, no end found"
    )


def test_steps_at_which_hardly_anything_moves_decide_nothing():
    errors = scene(seed=4)
    first = errors.error.copy()
    # As bad as can be at the first steps, and hardly anything moves there.
    quiet = errors.persistence.copy()
    quiet[:, :3] = errors.floor[:, :3] + 1e-6
    first[:, :3] = errors.floor[:, :3] + 2e-5
    found = useful_horizon(first, errors.floor, quiet)
    assert (found.steps, found.low) == (STEPS, STEPS)


def test_a_step_that_one_window_spoils_does_not_end_it():
    errors = scene(seed=5)
    error = errors.error.copy()
    error[0, 7] += 20 * errors.persistence[0, 7]
    assert useful_horizon(error, *errors[1:]).steps == STEPS


@pytest.mark.parametrize("windows", [1, 4, 7])
def test_few_windows_are_too_few(windows):
    found = useful_horizon(*scene(windows))
    assert (found.steps, found.low, found.high, found.judged) == (None, None, None, False)
    assert found.reason == f"too few windows ({windows}): try --num-windows 16"


def test_a_still_scene_has_no_horizon():
    found = useful_horizon(*still())
    assert (found.steps, found.reason, str(found)) == (None, NOTHING_MOVED, "undefined")


def test_still_scenes_have_one_seldom():
    there = [useful_horizon(*still(seed=seed)).steps is not None for seed in range(100)]
    assert np.mean(there) <= 0.1


def test_a_decoder_that_shows_no_movement_has_no_dynamics_to_judge():
    errors = scene(seed=6)
    found = useful_horizon(errors.floor, *errors[1:], 0.9 * errors.floor)
    assert (found.steps, found.censored, found.judged) == (0, False, False)
    assert found.reason == f"{DECODER} (reconstruction skill -0.11)"
    assert useful_horizon(errors.floor, *errors[1:], 2 * errors.floor).steps == STEPS
    # Where that is in doubt the interval says so.
    luck = np.exp(np.random.default_rng(0).standard_normal((16, 1)))
    unsure = useful_horizon(errors.floor, *errors[1:], errors.floor * 1.05 * luck / luck.mean())
    assert (unsure.low, unsure.high) == (0, STEPS)


def test_predictions_that_are_no_numbers_end_it():
    errors = scene(seed=7)
    error = errors.error.copy()
    error[3, 9:] = np.nan
    found = useful_horizon(error, *errors[1:], recorded=errors.floor)
    assert (found.steps, found.censored, found.high) == (9, False, 9)
    assert found.reason.endswith(f"from step 10 on {NOT_NUMBERS}")
    error[:] = np.nan
    found = useful_horizon(error, *errors[1:], recorded=errors.floor)
    assert (found.steps, found.reason) == (None, NOT_NUMBERS)


def test_truth_that_is_missing_is_left_out():
    errors = scene(seed=8)
    error = errors.error.copy()
    error[:6, 12:] = np.nan
    error[:, 20:] = np.nan
    assert useful_horizon(error, *errors[1:]).steps in (20, STEPS)


def test_units_and_order_do_not_matter():
    errors = blind(7, seed=9)
    found = useful_horizon(*errors)
    assert useful_horizon(*(1e3 * x for x in errors)) == found
    assert useful_horizon(*(x[::-1] for x in errors)).steps == found.steps


def fading(rng, runs, windows, steps=STEPS):
    """Skill that falls past LEAST_SKILL at step 14 of all windows together, each with its luck."""
    skill = 0.95 - 0.06 * np.arange(1, steps + 1)
    moved = np.exp(0.5 * rng.standard_normal((runs, windows, 1))) * np.linspace(0.3, 1, steps)
    luck = np.exp(0.5 * rng.standard_normal((runs, windows, 1)) - 0.125)
    return (1 - skill) * moved * luck, moved


@pytest.mark.parametrize("windows", [8, 16, 64])
def test_the_interval_covers_the_horizon(windows):
    error, moved = fading(np.random.default_rng(1), 200, windows)
    hits = 0
    for lost, moves in zip(error, moved, strict=True):
        found = useful_horizon(1 + lost, np.ones_like(lost), 1 + moves)
        hits += found.low <= 14 <= found.high
    assert 0.91 <= hits / 200 <= 0.985


def test_it_is_wider_for_windows_of_few_episodes():
    error, moved = fading(np.random.default_rng(2), 1, 16)
    widths = []
    for episodes in (range(16), [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4, [0] * 16):
        found = useful_horizon(
            1 + error[0], np.ones_like(error[0]), 1 + moved[0], shared=clusters(list(episodes))
        )
        widths.append(found.high - found.low)
    assert widths == sorted(widths)
    assert widths[0] < widths[2]
