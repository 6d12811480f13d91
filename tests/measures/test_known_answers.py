"""Baselines and skill where the answer is known: the sample's model, changed until it is.

What a model can be made to do (ignore its actions, ignore what it saw) is done to its parameters;
what no parameters do (to imagine what will be seen, to stand still) is done to its rollout.
"""

from dataclasses import replace

import numpy as np
import pytest

from openloop_cli import make_report, open_run, roll_out
from openloop_cli.models.model import place_model

LENGTH, CONTEXT = 24, 8
H = LENGTH - CONTEXT


@pytest.fixture(scope="module")
def run(sample_run):
    return open_run(sample_run, sample_run)


@pytest.fixture(scope="module")
def windows(run):
    return run.choose_windows(length=LENGTH, context=CONTEXT, num_windows=12, seed=3)[1]


@pytest.fixture(scope="module")
def params(run):
    return run.read_params()


@pytest.fixture(scope="module")
def loop(run, windows, params):
    return rolled_out(run, windows, params)


def rolled_out(run, windows, params):
    model = place_model(params, run.config.model, run.spaces)
    return roll_out(model, windows, context=CONTEXT, latents="mode", evaluate=True)


def imagining(loop, make):
    """The rollout with `make(key, predictions of the posterior (B, T, …))` imagined instead."""
    seen = loop.evaluation.posterior.prediction
    prediction = {
        key: np.concatenate([x[:, :CONTEXT], make(key, seen[key])], 1)
        for key, x in loop.model.prediction.items()
    }
    return replace(loop, model=replace(loop.model, prediction=prediction))


def observations(loop, run):
    return make_report(loop, run.config.model).observations


def assert_same(tree, other):
    for name, series in tree["imagined"][other].items():
        assert series["mean"] == tree["imagined"]["model"][name]["mean"]
    np.testing.assert_array_equal(*(tree["per_window"][path] for path in ("model", other)))


def test_shuffled_actions_change_nothing_for_a_model_that_ignores_them(run, windows, params, loop):
    deaf = {"dyn/dynin2/kernel": 0 * params["dyn/dynin2/kernel"]}
    for tree in observations(rolled_out(run, windows, params | deaf), run).values():
        assert_same(tree, "shuffled_actions")
    for tree in observations(loop, run).values():  # but they do for one that listens
        paths = tree["imagined"]
        assert paths["shuffled_actions"]["mse"]["mean"] > paths["model"]["mse"]["mean"]


def test_another_context_changes_nothing_for_a_model_that_forgets_at_once(
    run, windows, params, loop
):
    """Its state is a function of the last action alone: the gate lets all of the candidate in,
    and the candidate sees neither the deterministic nor the stochastic state."""
    deter = params["dyn/dynhid0/kernel"].shape[1] - 3 * run.config.model.dyn.hidden
    hidden = params["dyn/dynhid0/kernel"].copy()
    hidden[:, :deter] = 0
    update = np.r_[np.zeros(2 * 64), np.full(64, 1e4)]  # reset, candidate, update of each block
    forgetful = {
        "dyn/dynin0/kernel": 0 * params["dyn/dynin0/kernel"],
        "dyn/dynin1/kernel": 0 * params["dyn/dynin1/kernel"],
        "dyn/dynhid0/kernel": hidden,
        "dyn/dyngru/bias": params["dyn/dyngru/bias"] + np.tile(update, 8).astype(np.float32),
    }
    for tree in observations(rolled_out(run, windows, params | forgetful), run).values():
        assert_same(tree, "other_context")
    for tree in observations(loop, run).values():
        paths = tree["imagined"]
        assert paths["other_context"]["mse"]["mean"] > 1.5 * paths["model"]["mse"]["mean"]


def test_a_model_that_learns_nothing_from_frames_imagines_its_posterior(run, windows, params):
    blind = {
        "dyn/obslogit/kernel": 0 * params["dyn/obslogit/kernel"],
        "dyn/priorlogit/kernel": 0 * params["dyn/priorlogit/kernel"],
        "dyn/obslogit/bias": params["dyn/priorlogit/bias"],
    }
    loop = rolled_out(run, windows, params | blind)
    np.testing.assert_array_equal(loop.evaluation.drift, 0)
    for tree in observations(loop, run).values():
        np.testing.assert_allclose(
            *(tree["per_window"][path] for path in ("model", "floor")), rtol=1e-4
        )


def test_imagining_the_posterior_is_skill_1_and_the_whole_horizon(loop, run):
    for tree in observations(imagining(loop, lambda _, seen: seen[:, CONTEXT:]), run).values():
        assert tree["skill"]["mean"] == 1
        steps = np.asarray(tree["skill"]["per_step"], float)
        assert set(steps[np.isfinite(steps)]) == {1}
        assert tree["useful_horizon"]["steps"] == H
        assert tree["useful_horizon"]["at_least"]


def test_standing_still_is_skill_0_and_no_step(loop, run):
    still = imagining(loop, lambda _, seen: np.repeat(seen[:, CONTEXT - 1 : CONTEXT], H, 1))
    for tree in observations(still, run).values():
        assert tree["skill"]["mean"] == pytest.approx(0, abs=1e-6)
        assert tree["useful_horizon"]["steps"] == 0
        assert not tree["useful_horizon"]["at_least"]


def test_a_still_scene_has_no_skill(run, windows, params):
    """One frame for ever, and a model that draws it with some noise at every step."""
    data = {
        key: np.repeat(x[:, :1], x.shape[1], 1) if key in dict(run.spaces.obs) else x
        for key, x in windows.data.items()
    }
    loop = rolled_out(run, replace(windows, data=data), params)
    rng = np.random.default_rng(0)
    seen = {
        key: x[:, CONTEXT - 1 : CONTEXT] + rng.normal(0, 0.01, x.shape).astype(np.float32)
        for key, x in loop.evaluation.posterior.prediction.items()
    }
    posterior = replace(loop.evaluation.posterior, prediction=seen)
    loop = replace(loop, evaluation=replace(loop.evaluation, posterior=posterior))
    trees = observations(loop, run)
    assert {tree["skill"]["mean"] for tree in trees.values()} == {None}
    horizon = trees["image"]["useful_horizon"]
    assert horizon["steps"] is None
    assert horizon["reason"] == "nothing moved beyond noise"


def test_a_decoder_that_shows_nothing_has_no_dynamics_to_judge(run, windows, params):
    """Always the same picture: worse than the mean of the other windows."""
    grey = {"dec/imgout/kernel": 0 * params["dec/imgout/kernel"]}
    tree = observations(rolled_out(run, windows, params | grey), run)["image"]
    assert tree["reconstruction_skill"]["mean"] < 0
    assert tree["useful_horizon"]["steps"] == 0
    assert "the decoder does not show what moves" in tree["useful_horizon"]["reason"]
