"""Measured numbers -> the tree that metrics.json holds. Plain dictionaries, lists and floats.

A series has one number for each step (`per_step`), each the mean over windows, with the bounds
of its 95 % interval over windows (`low`, `high`), and `mean` over all of its steps.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.measures.measure import ERROR_METRIC, Numbers, Observation, n_step_returns
from openloop_cli.measures.series import Series, resolve
from openloop_cli.measures.skill import Skill, reconstruction_skill, skill, useful_horizon
from openloop_cli.rollout.result import OpenLoop

Tree = dict[str, Any]

DEFINITIONS = {
    "mse": "mean squared error over the values of a step; images in [0, 1] over H, W and C",
    "mae": "mean absolute error, likewise",
    "psnr": "-10 log10 of the mse that stands beside it, in dB, data range 1, at most 100",
    "ssim": "structural similarity (Wang et al. 2004): Gaussian window 11 x 11, sigma 1.5,"
    " K1 0.01, K2 0.03, data range 1, population covariance, mean over positions, then channels",
    "symlog_mse": "mse after sign(x) log(1 + |x|), the space in which the model predicts vectors",
    "mistakes": "share of a discrete key's values whose most likely class is not the recorded one",
    "accuracy": "1 - mistakes",
    "log_likelihood": "of the recorded classes in nats, summed over a step's values",
    "per_step": "mean over windows; low and high bound its 95 % interval over windows",
    "per_window": "errors of the imagined steps, a row for each window, for paired comparisons;"
    " per_window_observed: the model's mean error while observing, a number for each",
    "mean": "mean over windows and steps; of psnr, the psnr of the mean mse",
    "model": "the prediction: reconstructed while observing, imagined after it",
    "persistence": "the last observed frame repeated; while observing, the frame before",
    "floor": "the posterior's reconstruction, which sees every frame: the decoder's own error",
    "last_reconstruction": "the model's reconstruction of the last observed step, repeated",
    "climatology": "the mean over all steps of all other measured windows",
    "shuffled_actions": "imagined with the windows' actions dealt out at random",
    "other_context": "imagined from another window's context with this window's actions",
    "futures_mean": "the mean of all imagined futures",
    "deterministic": "the prediction with each latent's most likely class instead of a draw",
    "futures_best": "of each window's futures the one with the smallest total error",
    "skill": "1 - (error - floor) / (persistence - floor) at each imagined step, of mean errors"
    " (mse, symlog_mse or mistakes), persistence of the last reconstruction: 1 is perfect"
    " dynamics, 0 no better than standing still; undefined where nothing moved beyond noise",
    "useful_horizon": "the largest K such that skill is above 0 at every defined step up to K,"
    " by the lower end of its interval",
    "reconstruction_skill": "1 - floor / climatology over the imagined steps",
    "drift": "KL in nats from the posterior, which sees the frame, to the imagined prior",
    "con": "cross entropy of the continue head against whether the episode went on;"
    " con_discounted is the trainer's own loss, its target 1 - 1/horizon with contdisc",
}


def result_tree(
    measured: Mapping[str, Observation], loop: OpenLoop, horizon: int, contdisc: bool
) -> Tree:
    """All results, as metrics.json holds them.

    Args:
      horizon, contdisc: Of the run's config: the discount, and whether the continue head
        learned it.
    """
    tree: Tree = resolve(
        {
            "observations": {key: _observation(x) for key, x in measured.items()},
            **_model(loop, horizon, contdisc),
        }
    )
    headlines = {key: _headline(x) for key, x in tree["observations"].items()}
    return {"headline": headlines, **tree}


def _observation(measured: Observation) -> Tree:
    """One observation key: series by part, path and metric, and skill where it was measured."""
    tree: Tree = {
        "kind": measured.kind,
        "shape": list(measured.shape),
        "context": {path: _numbers(x) for path, x in measured.context.items()},
        "imagined": {path: _numbers(x) for path, x in measured.imagined.items()},
        "per_window": {
            path: x[ERROR_METRIC[measured.kind]]
            for path, x in measured.imagined.items()
            if ERROR_METRIC[measured.kind] in x
        },
        "per_window_observed": measured.context["model"][ERROR_METRIC[measured.kind]].mean(1),
    }
    if measured.dimensions is not None:
        tree["dimensions"] = {"mae": measured.dimensions.mean(0)}
    if measured.spread is not None:
        spread, error = measured.spread
        tree["spread"] = {"std": Series(spread), "rmse_of_mean": Series(error)}
    if "floor" in measured.imagined:
        tree |= _skill_tree(measured)
    return tree


def _model(loop: OpenLoop, horizon: int, contdisc: bool) -> Tree:
    """Reward, continue and value against the recording; losses and drift where measured."""
    goes_on = 1 - loop.terminal.astype(np.float32)
    discount = 1 - 1 / horizon
    tree: Tree = {
        "reward": _against(loop, loop.model.reward, loop.reward),
        "continue": _continue_tree(loop, goes_on * (discount if contdisc else 1)),
    }
    error = np.abs(loop.model.reward - loop.reward)
    tree["reward"]["per_window"] = {"model": error[:, loop.context :]}
    if not loop.evaluation:
        return tree
    seen = loop.evaluation.posterior
    returns = n_step_returns(loop.reward, goes_on * discount, seen.value[:, -1])
    tree["value"] = _against(loop, loop.model.value, returns)
    losses = {**loop.evaluation.losses, **seen.losses}
    tree["losses"] = {name: Series(x) for name, x in losses.items()}
    tree["drift"] = Series(loop.evaluation.drift)
    return tree


def _headline(tree: Tree) -> Tree:
    """The few numbers of a key that a person or a gate looks at first."""
    metric = "psnr" if tree["kind"] == "image" else ERROR_METRIC[tree["kind"]]
    model = tree["imagined"]["model"][metric]
    steps = model["per_step"]
    lines: Tree = {
        "metric": metric,
        "context": tree["context"]["model"][metric]["mean"],
        "imagined": model["mean"],
        "persistence": tree["imagined"]["persistence"][metric]["mean"],
        "at": {str(k): steps[k - 1] for k in (1, 5, 15) if k < len(steps)}
        | {str(len(steps)): steps[-1]},
    }
    for name in ("skill", "reconstruction_skill", "useful_horizon"):
        if name in tree:
            lines[name] = tree[name] if name == "useful_horizon" else tree[name]["mean"]
    return lines


def _numbers(numbers: Numbers) -> Tree:
    tree: Tree = {name: Series(x) for name, x in numbers.items()}
    if "mse" in numbers and "symlog_mse" not in numbers:
        tree["psnr"] = Series(numbers["mse"], decibels=True)
    return tree


def _skill_tree(measured: Observation) -> Tree:
    error, floor = measured.error("model"), measured.error("floor")
    found = skill(error, floor, measured.error("last_reconstruction"))
    tree: Tree = {"skill": _skill_series(found)}
    reconstruction = None
    if "climatology" in measured.imagined:
        reconstruction = reconstruction_skill(floor, measured.error("climatology"))
        tree["reconstruction_skill"] = {
            name: getattr(reconstruction, name) for name in ("mean", "low", "high")
        }
    horizon = useful_horizon(found, reconstruction)
    tree["useful_horizon"] = {
        "steps": horizon.steps,
        "at_least": horizon.censored,
        "of": error.shape[1],
        "undefined_steps": horizon.undefined,
        "reason": horizon.reason,
        "by_mean": horizon.by_mean,
    }
    return tree


def _skill_series(found: Skill) -> Tree:
    defined = found.value[found.defined]
    return {
        "mean": float(defined.mean()) if defined.size else None,
        "per_step": np.where(found.defined, found.value, np.nan),
        "low": np.where(found.defined, found.low, np.nan),
        "high": np.where(found.defined, found.high, np.nan),
    }


def _against(loop: OpenLoop, predicted: Array, recorded: Array) -> Tree:
    """(B, T) twice: both series, their absolute error by part, and their sums by window."""
    c = loop.context
    error = np.abs(predicted - recorded)
    return {
        "predicted": Series(predicted),
        "recorded": Series(recorded),
        "context": {"mae": Series(error[:, :c])},
        "imagined": {"mae": Series(error[:, c:])},
        "sums": {"predicted": predicted[:, c:].sum(1), "recorded": recorded[:, c:].sum(1)},
    }


def _continue_tree(loop: OpenLoop, target: Array) -> Tree:
    """Predicted probability of going on against what the head is trained on, and calibration."""
    tree = _against(loop, loop.model.cont, target)
    predicted = loop.model.cont[:, loop.context :].ravel()
    recorded = target[:, loop.context :].ravel()
    tree["brier"] = float(np.square(predicted - recorded).mean())
    edges = np.linspace(0, 1, 11)
    bins = np.clip(np.digitize(predicted, edges) - 1, 0, 9)
    tree["calibration"] = [
        {
            "from": edges[i],
            "to": edges[i + 1],
            "count": int((bins == i).sum()),
            "predicted": predicted[bins == i].mean(),
            "recorded": recorded[bins == i].mean(),
        }
        for i in range(10)
        if (bins == i).any()
    ]
    return tree
