"""Metrics trees -> the charts that they have. One tree is drawn with its baselines, several with
one line for each; what a tree lacks is left out, whoever wrote it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from openloop_cli.draw.curves.chart import Chart, Line, number, numbers
from openloop_cli.draw.curves.palette import entry_style
from openloop_cli.quantities import PATHS, SHOWN_METRIC
from openloop_cli.quantities import metric as metric_of
from openloop_cli.results.entries import part

Tree = Mapping[str, Any]

# Version 1 of metrics.json showed others.
_BEFORE = {"continuous": "mae", "discrete": "accuracy"}
# What skill is made of is shown at once, the rest when its box is ticked.
_AT_ONCE = ("floor", "last_reconstruction", "futures_mean", "futures_best")
_ERROR_NOTE = (
    "How close each step is to what was recorded. Step 0 is the last that the model sees; the"
    " floor is the best that its decoder could show with perfect foresight."
)
_SKILL_NOTE = (
    "1 is perfect dynamics, 0 is no better than standing still. The useful horizon ends where skill"
    " stays below 0.1, steps counted by how much moved. What lies below −1 is drawn at the edge."
)


@dataclass(frozen=True)
class Named:
    """A metrics tree, and what it is called beside others."""

    tree: Tree
    label: str


def charts(entries: Sequence[Named], keys: Sequence[str] = ()) -> list[Chart]:
    """All charts of one or several trees, the most telling ones first: errors and skill of
    images; drift, reward, continue, value; errors and skill of vectors, which come first where
    there are no images.

    Args:
      keys: Only these observation keys; none means all.
    """
    images: list[Chart | None] = []
    vectors: list[Chart | None] = []
    for index, (key, kind) in enumerate(observation_kinds(entries).items()):
        if not keys or key in keys:
            group = images if kind == "image" else vectors
            group += _observation(entries, key, kind, f"k{index}")
    heads = [_drift(entries), *(_head(entries, *head) for head in _HEADS)]
    found = [*images, *heads, *vectors] if images else [*vectors, *heads]
    return _told_once([chart for chart in found if chart is not None and _holds(chart)])


def observation_kinds(entries: Sequence[Named]) -> dict[str, str]:
    """All keys that any of the trees observed with their kinds, images first."""
    kinds: dict[str, str] = {}
    for entry in entries:
        for key, tree in part(entry.tree, "observations").items():
            kinds.setdefault(str(key), str(part(tree).get("kind", "")))
    return {key: kinds[key] for key in sorted(kinds, key=lambda key: kinds[key] != "image")}


def _holds(chart: Chart) -> bool:
    return any(value is not None for line in chart.lines for value in line.values)


def _told_once(charts: list[Chart]) -> list[Chart]:
    """Only the first of several charts of a kind says how to read it."""
    told: set[str] = set()
    result = []
    for chart in charts:
        result.append(replace(chart, note="") if chart.note in told else chart)
        told.add(chart.note)
    return result


def _observation(entries: Sequence[Named], key: str, kind: str, name: str) -> list[Chart | None]:
    metric = _metric(entries, key, kind)
    return [
        _error(entries, key, metric, f"{name}-error"),
        _skill(entries, key, f"{name}-skill"),
        _training(entries, key, metric, f"{name}-training"),
        _error(entries, key, "ssim", f"{name}-ssim") if kind == "image" else None,
        _spread(entries, key, f"{name}-spread"),
    ]


def _metric(entries: Sequence[Named], key: str, kind: str) -> str:
    """What is drawn of a key: what tables show, where the tree has it for each step."""
    shown = SHOWN_METRIC.get(kind, "")
    found = part(entries[0].tree, "observations", key, "imagined", "model", shown)
    return shown if found.get("per_step") else _BEFORE.get(kind, shown)


def _error(entries: Sequence[Named], key: str, metric: str, name: str) -> Chart | None:
    lines = []
    for index, entry in enumerate(entries):
        parts = part(entry.tree, "observations", key)
        ahead = part(parts, "imagined", "model", metric)
        seen = part(parts, "context", "model", metric)
        if ahead:
            label, style = _called(entries, index)
            lines.append(_line(label, style, ahead, before=seen, term="model"))
    if not lines:
        return None
    paths = part(entries[0].tree, "observations", key, "imagined")
    beside = [path for path in PATHS if path not in ("model", "deterministic")]
    if len(entries) > 1:
        # The one that does not depend on the checkpoint much, to see what is easy.
        beside = [path for path in ("last_reconstruction", "persistence") if path in paths][:1]
    for path in beside:
        series = part(paths, path, metric)
        if series.get("per_step"):
            style = path if len(entries) == 1 else "copied"
            line = _line(PATHS[path], style, series, before={}, term=path)
            lines.append(replace(line, hidden=len(beside) > 1 and path not in _AT_ONCE))
    title = {"psnr": "Error by step", "ssim": "Structure by step"}.get(metric, "Error by step")
    limits = metric_of(metric).limits
    return Chart(
        name, f"{key}: {title.lower()}", metric_of(metric).axis, 0, tuple(lines),
        _ERROR_NOTE, limits=limits, term=metric, key=key,
    )  # fmt: skip


def _skill(entries: Sequence[Named], key: str, name: str) -> Chart | None:
    lines = []
    for index, entry in enumerate(entries):
        series = part(entry.tree, "observations", key, "skill")
        if series and any(v is not None for v in numbers(series.get("per_step", []))):
            label, style = _called(entries, index, "skill")
            lines.append(_line(label, style, series, term="skill"))
    if not lines:
        return None
    return Chart(
        name, f"{key}: skill by step", metric_of("skill").axis, 1, tuple(lines),
        _SKILL_NOTE, zero=True, limits=metric_of("skill").limits, term="skill", key=key,
    )  # fmt: skip


def _training(entries: Sequence[Named], key: str, metric: str, name: str) -> Chart | None:
    """The error of several checkpoints of one run against their training step."""
    found: dict[float, Mapping[str, Any]] = {}
    for entry in entries:
        step = number(part(entry.tree, "checkpoint").get("step"))
        series = part(entry.tree, "observations", key, "imagined", "model", metric)
        if step is not None and series:
            found[step] = series
    runs = {str(part(entry.tree, "run").get("name")) for entry in entries}
    if len(found) < 2 or len(found) < len(entries) or len(runs) > 1:
        return None
    axis = tuple(sorted(found))
    last = min(len(numbers(found[step].get("per_step"))) for step in axis)
    lines = []
    for place, k in enumerate(sorted({k for k in (1, 5, 15, last) if 0 < k <= last})):
        values, low, high = (
            tuple((numbers(found[step].get(name)) or (None,) * k)[k - 1] for step in axis)
            for name in ("per_step", "low", "high")
        )
        lines.append(Line(f"imagined +{k}", f"ahead{place + 1}", values, low, high, "model"))
    return Chart(
        name, f"{key}: error by training step", metric_of(metric).axis, 0, tuple(lines),
        "How what is imagined so many steps ahead gets better with training.",
        limits=metric_of(metric).limits, term=metric, key=key, axis=axis,
    ) if lines else None  # fmt: skip


def _spread(entries: Sequence[Named], key: str, name: str) -> Chart | None:
    spread = part(entries[0].tree, "observations", key, "spread")
    if len(entries) > 1 or not spread:
        return None
    lines = (
        _line("spread of the futures", "model", spread["std"]),
        _line("error of their mean", "truth", spread["rmse_of_mean"]),
    )
    note = "An honest model is as unsure as it is wrong: both lines lie on each other."
    return Chart(name, f"{key}: uncertainty against error", "root mean square", 1, lines, note,
                 limits=(0.0, None), key=key)  # fmt: skip


_HEADS = (
    ("reward", "Reward", "", "Mean over windows: what the model expects against what came."),
    ("continue", "Continue", "con", "Probability that the episode goes on, and whether it did."),
    (
        "value",
        "Value",
        "value",
        "Discounted reward still to come: the value head, and what the recording adds up to, with"
        " the value head itself after its end.",
    ),
)


def _head(entries: Sequence[Named], name: str, title: str, term: str, note: str) -> Chart | None:
    lines = []
    first = 1
    for index, entry in enumerate(entries):
        if series := part(entry.tree, name, "predicted"):
            label, style = _called(entries, index, "predicted")
            lines.append(_line(label, style, series))
            first = 1 - int(part(entry.tree, "rollout").get("context", 0))
    if not lines:
        return None
    if recorded := part(entries[0].tree, name, "recorded"):
        lines.append(_line("recorded", "truth", recorded))
    limits = (0.0, 1.0) if name == "continue" else (None, None)
    return Chart(name, title, f"{name} at each step", first, tuple(lines), note,
                 limits=limits, term=term)  # fmt: skip


def _drift(entries: Sequence[Named]) -> Chart | None:
    lines = []
    for index, entry in enumerate(entries):
        if series := part(entry.tree, "drift"):
            label, style = _called(entries, index, "drift")
            lines.append(_line(label, style, series, term="drift"))
    note = "How far what the model imagines is from what it would think if it saw the frame."
    return Chart("drift", "Latent drift", metric_of("drift").axis, 1, tuple(lines), note,
                 limits=metric_of("drift").limits, term="drift") if lines else None  # fmt: skip


def _called(entries: Sequence[Named], index: int, alone: str = "model") -> tuple[str, str]:
    if len(entries) == 1:
        return alone, "model"
    return entries[index].label, entry_style(index)


def _line(
    name: str, style: str, series: Tree, *, before: Tree | None = None, term: str = ""
) -> Line:
    """A series of a tree; with `before`, that series' last step comes first, or a gap."""
    parts = {}
    for which in ("per_step", "low", "high"):
        values = numbers(series.get(which, []))
        if before is not None and values:
            earlier = numbers(before.get(which, []))
            values = (earlier[-1] if earlier else None, *values)
        parts[which] = values
    steps = len(parts["per_step"])
    low, high = (parts[end] if len(parts[end]) == steps else () for end in ("low", "high"))
    return Line(name, style, parts["per_step"], low, high, term, number(series.get("mean")))
