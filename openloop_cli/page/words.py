"""A metrics tree in plain words: what it found, for somebody who has never heard of skill."""

from collections.abc import Mapping, Sequence
from typing import Any

from openloop_cli.draw.curves.chart import number, shown
from openloop_cli.draw.curves.trees import part

Tree = Mapping[str, Any]

METRIC_WORDS = {
    "psnr": "PSNR, more is better",
    "symlog_mse": "squared error after symlog, less is better",
    "mistakes": "share of mistakes, less is better",
}


def leading_key(tree: Tree) -> str:
    """The observation key that the headline is about: the first image key, or the first."""
    kinds = {key: part(found).get("kind") for key, found in part(tree, "observations").items()}
    images = [key for key, kind in kinds.items() if kind == "image"]
    return next(iter([*images, *part(tree, "headline")]), "")


def verdict(tree: Tree, key: str) -> tuple[str, str]:
    """The finding in a few words and in a sentence or two."""
    numbers = part(tree, "headline", key)
    context, steps = horizon_of(tree)
    setting = (
        f"The model watched {_count(context, 'recorded step')}, then imagined the next"
        f" {steps} from the recorded actions alone, in {_count(windows_of(tree), 'window')}."
    )
    horizon = numbers.get("useful_horizon")
    if not horizon:
        return f"Imagines {_count(steps, 'step')} ahead", setting
    return _finding(horizon, key, setting)


def _finding(horizon: Tree, key: str, setting: str) -> tuple[str, str]:
    steps, of, reason = horizon.get("steps"), horizon.get("of"), str(horizon.get("reason", ""))
    why = f"{reason[:1].upper()}{reason[1:]}." if reason else ""
    if steps is None:
        return "How far it sees cannot be told", f"{setting} {why}"
    if horizon.get("at_least"):
        return (
            f"Sees at least {_count(steps, 'step')} ahead",
            f"{setting} To the last of them, the imagined {key} is closer to the truth than the"
            " model's last reconstruction held still, beyond chance.",
        )
    perhaps = number(horizon.get("by_mean")) or 0
    if steps == 0 and perhaps:
        return f"Sees perhaps {_count(int(perhaps), 'step')} ahead, or none", f"{setting} {why}"
    if steps == 0:
        return "Does not see ahead yet", f"{setting} {why}"
    more = f", perhaps {int(perhaps)}" if perhaps > steps else ""
    return (
        f"Sees {_count(steps, 'step')} ahead{more}",
        f"{setting} For {steps} of {of} steps, the imagined {key} is closer to the truth than the"
        f" model's last reconstruction held still, beyond chance. {why}",
    )


def horizon_of(tree: Tree) -> tuple[int, int]:
    """Steps that are seen, steps that are imagined."""
    rollout = part(tree, "rollout")
    context = int(number(rollout.get("context")) or 0)
    return context, int(number(rollout.get("length")) or context) - context


def windows_of(tree: Tree) -> int:
    """How many windows were measured."""
    return len(part(tree, "rollout").get("windows") or ())


def horizon_short(numbers: Tree) -> str:
    """Such as `≥ 25 of 25`."""
    horizon = numbers.get("useful_horizon")
    if not horizon:
        return "–"
    if horizon.get("steps") is None:
        return "undefined"
    return f"{'≥ ' if horizon.get('at_least') else ''}{horizon['steps']} of {horizon['of']}"


def measured(value: Any, metric: str) -> str:
    """A number of the headline's metric, with its unit."""
    found = number(value)
    if found is None:
        return "–"
    return f"{found:.1f} dB" if metric == "psnr" else shown(found)


def name_of(tree: Tree) -> str:
    """The run's name, or something to call it."""
    return str(part(tree, "run").get("name") or "unnamed run")


def step_of(tree: Tree) -> str:
    """Such as `step 3,670`."""
    step = number(part(tree, "checkpoint").get("step"))
    return "unknown step" if step is None else f"step {step:,.0f}"


def labels_of(trees: Sequence[Tree]) -> list[str]:
    """What tells trees apart: their steps, with their runs' names where these differ."""
    names = [name_of(tree) for tree in trees]
    labels = [
        step_of(tree) if len(set(names)) == 1 else f"{name}, {step_of(tree)}"
        for tree, name in zip(trees, names, strict=True)
    ]
    return [
        label if labels.count(label) == 1 else f"{label} ({i + 1})"
        for i, label in enumerate(labels)
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
