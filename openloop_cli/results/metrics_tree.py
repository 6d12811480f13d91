"""Measured numbers -> the tree that metrics.json holds. Plain dictionaries, lists and floats.

Each number is a mean over windows and steps (`mean`) with its 95 % interval over windows
(`mean_low`, `mean_high`). Those that are drawn have one for each step too (`per_step`, `low`,
`high`). What each window did stands under `per_window`; `metrics_file` writes it beside the JSON.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from openloop_cli.arrays import Array, PerFrame
from openloop_cli.measures.measure import Numbers, Observation, n_step_returns
from openloop_cli.measures.series import Series, resolve
from openloop_cli.measures.skill import Skill, reconstruction_skill, skill, useful_horizon
from openloop_cli.quantities import ERROR_METRIC, SHOWN_METRIC
from openloop_cli.rollout.result import OpenLoop

Tree = dict[str, Any]

# The paths whose interval is told at each step: those that skill is made of.
_BOUNDED = ("model", "floor", "last_reconstruction")


def result_tree(
    measured: Mapping[str, Observation], loop: OpenLoop, horizon: int, contdisc: bool
) -> Tree:
    """All results, as metrics.json holds them.

    Args:
      loop: What is no observation: `Rollouts.scalars`.
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
        **{
            part: {path: _numbers(x, measured.kind, part, path) for path, x in paths.items()}
            for part, paths in (("context", measured.context), ("imagined", measured.imagined))
        },
        "per_window": {
            path: x[ERROR_METRIC[measured.kind]]
            for path, x in measured.imagined.items()
            if ERROR_METRIC[measured.kind] in x
        }
        | {"context": measured.context["model"][ERROR_METRIC[measured.kind]].mean(1)},
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
    """Reward, continue and value against the recording, of the heads that there are; losses and
    drift where measured."""
    discount = 1 - 1 / horizon
    tree: Tree = {}
    if loop.reward is not None and loop.model.reward is not None:
        tree["reward"] = _against(loop, loop.model.reward, loop.reward)
    if loop.reward is None or loop.terminal is None:
        return tree
    goes_on = 1 - loop.terminal.astype(np.float32)
    if loop.model.cont is not None:
        tree["continue"] = _continue_tree(
            loop, loop.model.cont, goes_on * (discount if contdisc else 1)
        )
    if not loop.evaluation or not loop.evaluation.posterior:
        return tree
    seen = loop.evaluation.posterior
    if loop.model.value is not None and seen.value is not None:
        returns = n_step_returns(loop.reward, goes_on * discount, seen.value[:, -1])
        tree["value"] = _against(loop, loop.model.value, returns)
    losses = {**loop.evaluation.losses, **seen.losses}
    if losses:
        tree["losses"] = {name: Series(x, steps=False, bounds=False) for name, x in losses.items()}
    if loop.evaluation.drift is not None:
        tree["drift"] = Series(loop.evaluation.drift)
    return tree


def _headline(tree: Tree) -> Tree:
    """The few numbers of a key that a person or a gate looks at first."""
    metric = SHOWN_METRIC[tree["kind"]]
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


def _numbers(numbers: Numbers, kind: str, part: str, path: str) -> Tree:
    """Every metric of one path; one for each step of those that curves show."""
    shown = (SHOWN_METRIC[kind], "ssim")

    def series(name: str, values: PerFrame, decibels: bool = False) -> Series:
        steps = name in shown and (part == "imagined" or path == "model")
        return Series(values, steps, steps and path in _BOUNDED, decibels)

    tree: Tree = {name: series(name, x) for name, x in numbers.items()}
    if kind == "image":
        tree["psnr"] = series("psnr", numbers["mse"], True)
    return tree


def _skill_tree(measured: Observation) -> Tree:
    error, floor = measured.error("model"), measured.error("floor")
    last = measured.error("last_reconstruction")
    found = skill(error, floor, last, recorded=measured.error("persistence"))
    tree: Tree = {"skill": _skill_series(found)}
    reconstruction = None
    if "climatology" in measured.imagined:
        reconstruction = reconstruction_skill(floor, measured.error("climatology"))
        tree["reconstruction_skill"] = {
            name: getattr(reconstruction, name) for name in ("mean", "low", "high")
        }
        if float(reconstruction.mean) <= 0:
            # What the decoder does not show has no dynamics to judge: a number near 1 would be of
            # noise. The horizon's reason says so.
            tree["skill"] = _skill_series(replace(found, defined=np.zeros_like(found.defined)))
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
    """(B, T) twice: both series, their absolute error by part, and by window."""
    c = loop.context
    error = np.abs(predicted - recorded)
    return {
        "predicted": Series(predicted),
        "recorded": Series(recorded, bounds=False),
        "context": {"mae": Series(error[:, :c], steps=False, bounds=False)},
        "imagined": {"mae": Series(error[:, c:], steps=False, bounds=False)},
        "per_window": {"model": error[:, c:]},
    }


def _continue_tree(loop: OpenLoop, chance: Array, target: Array) -> Tree:
    """Predicted probability of going on against what the head is trained on, and calibration."""
    tree = _against(loop, chance, target)
    predicted = chance[:, loop.context :].ravel()
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
