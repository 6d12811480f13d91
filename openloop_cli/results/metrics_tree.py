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
from openloop_cli.measures.clusters import Clusters
from openloop_cli.measures.horizon import Horizon, useful_horizon
from openloop_cli.measures.measure import Numbers, Observation, n_step_returns
from openloop_cli.measures.series import Limits, Series, resolve
from openloop_cli.measures.skill import Skill, of_all_steps, reconstruction_skill, skill
from openloop_cli.measures.statistics import Interval
from openloop_cli.measures.why import why
from openloop_cli.quantities import ERROR_METRIC, METRICS, SHOWN_METRIC
from openloop_cli.results.entries import shared_windows
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
    told = {"windows": list(loop.ids), "episodes": list(loop.episodes), "apart": loop.apart}
    shared = shared_windows({"rollout": told})
    tree: Tree = resolve(
        {
            "observations": {
                key: _observation(x, shared, loop.context) for key, x in measured.items()
            },
            **_model(loop, horizon, contdisc),
        },
        shared,
    )
    headlines = {key: _headline(x) for key, x in tree["observations"].items()}
    return {"headline": headlines, **tree}


def _observation(measured: Observation, shared: Clusters, context: int) -> Tree:
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
        tree["spread"] = {
            "std": Series(spread, limits=(0, None)),
            "rmse_of_mean": Series(error, limits=(0, None)),
        }
    if "floor" in measured.imagined:
        tree |= _skill_tree(measured, shared, context)
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
        tree["losses"] = {
            name: Series(x, False, False, limits=(0, None)) for name, x in losses.items()
        }
    if loop.evaluation.drift is not None:
        tree["drift"] = Series(loop.evaluation.drift, limits=(0, None))
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
    return lines | ({"why": tree["why"]} if "why" in tree else {})


def _numbers(numbers: Numbers, kind: str, part: str, path: str) -> Tree:
    """Every metric of one path; one for each step of those that curves show."""
    shown = (SHOWN_METRIC[kind], "ssim")

    def series(name: str, values: PerFrame, decibels: bool = False) -> Series:
        steps = name in shown and (part == "imagined" or path == "model")
        limits = METRICS[name].limits if name in METRICS and not decibels else (None, None)
        return Series(values, steps, steps and path in _BOUNDED, decibels, limits)

    tree: Tree = {name: series(name, x) for name, x in numbers.items()}
    if kind == "image":
        tree["psnr"] = series("psnr", numbers["mse"], True)
    return tree


def _skill_tree(measured: Observation, shared: Clusters, context: int) -> Tree:
    error, floor = measured.error("model"), measured.error("floor")
    last, recorded = measured.error("last_reconstruction"), measured.error("persistence")
    found = skill(error, floor, last, recorded=recorded, shared=shared)
    whole = of_all_steps(error, floor, last, shared=shared)
    climatology = measured.error("climatology") if "climatology" in measured.imagined else None
    horizon = useful_horizon(error, floor, last, climatology, recorded=recorded, shared=shared)
    tree: Tree = {"skill": _skill_series(found, whole)}
    if climatology is not None:
        shown = reconstruction_skill(floor, climatology, shared=shared)
        tree["reconstruction_skill"] = {
            name: getattr(shown, name) for name in ("mean", "low", "high")
        }
        if float(shown.mean) <= 0:
            # What the decoder does not show has no dynamics to judge: a number near 1 would be of
            # noise. The horizon's reason says so.
            found = replace(found, defined=np.zeros_like(found.defined))
            tree["skill"] = _skill_series(found, whole)
    tree["useful_horizon"] = _horizon_tree(horizon, context + horizon.of)
    tree["why"] = why(measured, shared) if horizon.judged else horizon.reason
    return tree


def _horizon_tree(found: Horizon, steps: int) -> Tree:
    farther = f": look farther with --length {2 * steps}" if found.censored else ""
    return {
        "steps": found.steps,
        "at_least": found.censored,
        "of": found.of,
        "low": found.low,
        "high": found.high,
        "high_at_least": found.high_censored,
        "reason": found.reason + farther,
    }


def _skill_series(found: Skill, whole: Interval) -> Tree:
    """Over all steps, and at each; of a number that no step has there is no mean either."""
    known = found.defined.any()
    return {
        "mean": float(whole.mean) if known else None,
        "mean_low": float(whole.low) if known else None,
        "mean_high": float(whole.high) if known else None,
        "per_step": np.where(found.defined, found.value, np.nan),
        "low": np.where(found.defined, found.low, np.nan),
        "high": np.where(found.defined, found.high, np.nan),
    }


def _against(
    loop: OpenLoop, predicted: Array, recorded: Array, limits: Limits = (None, None)
) -> Tree:
    """(B, T) twice: both series, their absolute error by part, and by window."""
    c = loop.context
    error = np.abs(predicted - recorded)
    return {
        "predicted": Series(predicted, limits=limits),
        "recorded": Series(recorded, bounds=False, limits=limits),
        "context": {"mae": Series(error[:, :c], steps=False, bounds=False, limits=(0, None))},
        "imagined": {"mae": Series(error[:, c:], steps=False, bounds=False, limits=(0, None))},
        "per_window": {"model": error[:, c:]},
    }


def _continue_tree(loop: OpenLoop, chance: Array, target: Array) -> Tree:
    """Predicted probability of going on against what the head is trained on, and calibration."""
    tree = _against(loop, chance, target, (0, 1))
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
