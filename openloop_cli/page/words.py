"""A metrics tree in plain words: the finding."""

from collections.abc import Mapping, Sequence
from typing import Any

from openloop_cli.draw.curves.chart import number
from openloop_cli.quantities import horizon_text
from openloop_cli.quantities import metric as metric_of
from openloop_cli.results.entries import part, windows_words
from openloop_cli.text import plural

Tree = Mapping[str, Any]


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
        f"The model saw {plural(context, 'context step')}, then imagined the next"
        f" {steps} from the recorded actions alone, in {windows_words(tree)}."
    )
    horizon = numbers.get("useful_horizon")
    if not horizon:
        return f"Imagines {plural(steps, 'step')} ahead", setting
    return _title(horizon), f"{setting} {_sentence(str(horizon.get('reason', '')))}"


def reasons(tree: Tree) -> dict[str, str]:
    """Why each key is seen as far as it is, in a sentence; the leading key's first."""
    found = {key: part(x).get("why") for key, x in part(tree, "headline").items()}
    keys = sorted(found, key=lambda key: key != leading_key(tree))
    return {key: _sentence(why) for key in keys if isinstance(why := found[key], str) and why}


def _title(horizon: Tree) -> str:
    steps, low, high = (horizon.get(name) for name in ("steps", "low", "high"))
    if steps is None:
        return "Useful horizon undefined"
    text = f"Useful horizon: {'at least ' * bool(horizon.get('at_least'))}{plural(steps, 'step')}"
    if low is None or high is None or low == high:
        return text
    return f"{text} ({low} to {'≥ ' if horizon.get('high_at_least') else ''}{high})"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def horizon_of(tree: Tree) -> tuple[int, int]:
    """Context steps, imagined steps."""
    rollout = part(tree, "rollout")
    context = int(number(rollout.get("context")) or 0)
    return context, int(number(rollout.get("length")) or context) - context


def action_repeat(tree: Tree) -> int:
    """Environment steps that one step takes; 1 where that is not known."""
    repeat = number(part(tree, "config").get("action_repeat")) or 1
    return int(repeat) if repeat >= 1 else 1


def windows_of(tree: Tree) -> int:
    """How many windows were measured."""
    return len(part(tree, "rollout").get("windows") or ())


def horizon_short(numbers: Tree) -> str:
    """Such as `≥ 25 of 25`."""
    return horizon_text(numbers.get("useful_horizon"))


def measured(value: Any, metric: str) -> str:
    """A number of the headline's metric, with its unit."""
    return metric_of(metric).shown(number(value), unit=True)


def name_of(tree: Tree) -> str:
    """The run's name, or something to call it."""
    return str(part(tree, "run").get("name") or "unnamed run")


def step_of(tree: Tree) -> str:
    """Such as `step 3,670`."""
    step = number(part(tree, "checkpoint").get("step"))
    nameless = "scored predictions" if is_scored(tree) else "unknown step"
    return nameless if step is None else f"step {step:,.0f}"


def is_scored(tree: Tree) -> bool:
    """Whether predictions were scored that somebody else had made."""
    return part(tree, "rollout").get("selection") == "scored"


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
