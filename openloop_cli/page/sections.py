"""The page's parts that are words and tables: headline, further numbers, definitions, origin."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openloop_cli.draw.curves import Named
from openloop_cli.draw.curves.chart import number, shown
from openloop_cli.page import words
from openloop_cli.page.parts import e, explained, facts, more, rows, say, section
from openloop_cli.quantities import LATENTS
from openloop_cli.quantities import metric as metric_of
from openloop_cli.results.entries import part, windows_words
from openloop_cli.text import plural

Tree = Mapping[str, Any]
Definitions = Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """Text in rows and columns; the first cell of each row names it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def top(trees: Sequence[Tree], title: str, lede: str) -> str:
    """What was looked at, and the finding, large."""
    tree = trees[0]
    context, steps = words.horizon_of(tree)
    updates = number(tree.get("checkpoint", {}).get("counters", {}).get("updates"))
    about = [words.name_of(tree)]
    if len(trees) == 1:
        about += [words.step_of(tree)]
        about += [f"{updates:,.0f} updates"] if updates is not None else []
    about += [windows_words(tree)]
    about += [f"{plural(context, 'context step')}, {steps} imagined"]
    if (repeat := words.action_repeat(tree)) > 1:
        about += [f"action repeat {repeat}: {steps * repeat:,} environment steps imagined"]
    first, *others = about
    line = "".join(f"<span>{e(part)}</span>" for part in others)
    notes = list(dict.fromkeys(note for tree in trees for note in tree.get("notes", [])))
    texts = "".join(f"<li>{e(note)}</li>" for note in notes)
    warning = f'<ul class="notes" aria-label="Notes">{texts}</ul>' if texts else ""
    return (
        f'<header><p class="about"><strong>{e(first)}</strong>{line}</p>'
        f'<h1>{e(title)}</h1><p class="lede">{e(lede)}</p>{warning}</header>\n'
    )


def headline(entries: Sequence[Named], key: str, definitions: Definitions) -> str:
    """The few numbers that matter, each with its definition; then the same of all keys."""
    cards = _cards(entries[0].tree, key, definitions) if len(entries) == 1 else ""
    table = _keys_table(entries, key)
    why = _why(entries[0].tree) if len(entries) == 1 else ""
    return f'<section id="headline" aria-label="Headline numbers">{cards}{table}{why}</section>\n'


def table(content: Table, index: int) -> str:
    """A table that somebody else has filled."""
    body = rows(content.columns, content.rows, content.title, kind="numbers")
    return section(f"table{index}", content.title, body, lead=content.note)


def details(entries: Sequence[Named], definitions: Definitions) -> str:
    """Losses, calibration and errors of single dimensions, when asked for."""
    parts = [_losses(entries, definitions), _calibration(entries), _dimensions(entries)]
    body = "".join(part for part in parts if part)
    return section("further", "Further numbers", body) if body else ""


def glossary(definitions: Definitions) -> str:
    """Every definition that the tree brings along."""
    if not definitions:
        return ""
    return section("definitions", "Glossary", more("Words of this page and of metrics.json",
                   explained(definitions, definitions)))  # fmt: skip


def provenance(entries: Sequence[Named]) -> str:
    """Which checkpoint, which windows, which program, how long."""
    blocks = [_origin(entry, len(entries) > 1) for entry in entries]
    heading = '<h2 id="origin">Provenance</h2>'
    return heading + "".join(blocks) + _windows(entries[0].tree)


def _cards(tree: Tree, key: str, definitions: Definitions) -> str:
    numbers = tree.get("headline", {}).get(key, {})
    metric = str(numbers.get("metric", ""))
    observed = tree.get("observations", {}).get(key, {})
    error = words.measured(numbers.get("imagined"), metric)
    copied = words.measured(numbers.get("persistence"), metric)
    cards = []
    if "useful_horizon" in numbers:
        cards.append(("useful_horizon", "useful horizon", words.horizon_short(numbers), "steps"))
    for name in ("skill", "reconstruction_skill"):
        if name in numbers:
            value = number(numbers[name])
            text = "undefined" if value is None else metric_of(name).shown(value).replace("-", "−")
            note = _interval(observed.get(name, {}))
            if value is None:
                note = str(part(numbers, "useful_horizon").get("reason", ""))
            cards.append((name, say(name), text, note))
    if numbers:
        against = f"persistence: {copied}"
        cards.append((metric, f"{metric_of(metric).title}, imagined", error, against))
    items = "".join(_card(*card, definitions) for card in cards)
    return f'<dl class="cards">{items}</dl>'


def _why(tree: Tree) -> str:
    """A sentence for each key."""
    found = words.reasons(tree)
    items = "".join(f"<li><strong>{e(key)}</strong>: {e(why)}</li>" for key, why in found.items())
    return f'<ul class="why" aria-label="Why">{items}</ul>' if items else ""


def _card(term: str, name: str, value: str, note: str, definitions: Definitions) -> str:
    definition = definitions.get(term, "")
    asked = more("What is this?", f"<p>{e(definition)}</p>", of=name) if definition else ""
    return (
        f'<div class="card"><dt>{e(name)}</dt><dd><span class="value">{e(value)}</span>'
        f'<span class="note">{e(note)}</span>{asked}</dd></div>'
    )


def _interval(series: Tree) -> str:
    """Of the mean; a ratio's own ends are called low and high, a series' are lists."""
    low, high = (number(series.get(f"mean_{end}", series.get(end))) for end in ("low", "high"))
    if low is None or high is None:
        return ""
    return f"95 % interval {low:.2f} to {high:.2f}".replace("-", "−")


def _keys_table(entries: Sequence[Named], key: str) -> str:
    """The headline of every key, or of the leading key for every checkpoint."""
    several = len(entries) > 1
    lines = []
    for entry in entries:
        found = entry.tree.get("headline", {})
        for name in sorted(found, key=lambda name: name != key):
            if name == key or not several:
                lines.append([entry.label if several else name, *_key_cells(found[name])])
    if len(lines) < 2:
        return ""
    header = ["checkpoint" if several else "observation", *_KEY_COLUMNS]
    caption = f"Headline numbers of {key}" if several else "Headline numbers of each observation"
    return rows(header, lines, caption, kind="numbers")


_KEY_COLUMNS = (
    "useful horizon",
    "skill",
    "reconstruction skill",
    "context",
    "imagined",
    "persistence",
    "metric",
)


def _key_cells(numbers: Tree) -> list[str]:
    metric = str(numbers.get("metric", ""))
    skills = [number(numbers.get(name)) for name in ("skill", "reconstruction_skill")]
    return [
        words.horizon_short(numbers),
        *(metric_of("skill").shown(value).replace("-", "−") for value in skills),
        *(words.measured(numbers.get(n), metric) for n in ("context", "imagined", "persistence")),
        metric_of(metric).axis,
    ]


def _losses(entries: Sequence[Named], definitions: Definitions) -> str:
    names = dict.fromkeys(name for entry in entries for name in entry.tree.get("losses", {}))
    if not names:
        return ""
    lines = []
    for name in names:
        found = [entry.tree.get("losses", {}).get(name, {}) for entry in entries]
        lines.append([name, *(_with_interval(series) for series in found)])
    several = len(entries) > 1
    header = ["loss", *([x.label for x in entries] if several else ["mean, 95 % interval"])]
    note = "As the trainer computes them, from every frame, over all steps of all windows."
    body = f"<p>{e(note)}</p>" + rows(header, lines, "Training losses", kind="numbers")
    return more("Training losses", body + explained(names, definitions))


def _with_interval(series: Tree) -> str:
    mean, low, high = (number(series.get(name)) for name in ("mean", "mean_low", "mean_high"))
    if low is None or high is None:
        return shown(mean)
    return f"{shown(mean)} ({shown(low)} to {shown(high)})"


def _calibration(entries: Sequence[Named]) -> str:
    lines = [
        [f"{number(b.get('from')) or 0:.1f} to {number(b.get('to')) or 0:.1f}",
         f"{number(b.get('count')) or 0:,.0f}",
         shown(number(b.get("predicted"))), shown(number(b.get("recorded")))]
        for b in entries[0].tree.get("continue", {}).get("calibration", [])
    ]  # fmt: skip
    if not lines or len(entries) > 1:
        return ""
    header = ["predicted between", "steps", "mean prediction", "observed frequency"]
    title = "Calibration of continue"
    return more(title, rows(header, lines, title, kind="numbers"))


def _dimensions(entries: Sequence[Named]) -> str:
    parts = []
    for key, observed in entries[0].tree.get("observations", {}).items():
        errors = observed.get("dimensions", {}).get("mae") or []
        if len(entries) == 1 and len(errors) > 1:
            lines = [[str(i), shown(number(error))] for i, error in enumerate(errors)]
            title = f"{key}: error of each dimension"
            header = ["dimension", "MAE, imagined"]
            parts.append(more(title, rows(header, lines, title, kind="numbers")))
    return "".join(parts)


def _origin(entry: Named, several: bool) -> str:
    tree = entry.tree
    point, rollout, config = (tree.get(name, {}) for name in ("checkpoint", "rollout", "config"))
    made = [f"openloop {tree.get('openloop', '')}"]
    made += [f"{n} {rollout[n]}" for n in ("jax", "jaxlib", "numpy", "python") if rollout.get(n)]
    seconds = {k: number(v) for k, v in tree.get("timings", {}).items()}
    samples = int(number(rollout.get("samples")) or 1)
    told = {
        "predictions" if words.is_scored(tree) else "checkpoint": str(point.get("path", "")),
        "step": words.step_of(tree).removeprefix("step "),
    }
    if "model" in rollout:
        told["model"] = str(rollout["model"])
    if "config" in tree:
        told |= {
            "parameters": f"{point.get('parameters', 0):,}",
            "sha256": str(point.get("sha256", "")),
            "config": str(config.get("source") or "inferred from the parameters"),
        }
    if "replay" in tree:
        told["replay"] = ", ".join(map(str, tree["replay"].get("paths", [])))
    told["windows"] = f"{words.windows_of(tree)}, {rollout.get('selection', '')}"
    drawn = [LATENTS.get(str(rollout["latents"]), "")] if "latents" in rollout else []
    drawn += [f"seed {rollout['seed']}"] if "seed" in rollout else []
    told["latents" if "config" in tree else "futures"] = ", ".join(
        [*drawn, plural(samples, "imagined future")]
    )
    if "dtype" in rollout:
        told["computed in"] = f"{rollout['dtype']} on {rollout.get('device', '')}"
    told |= {
        "software": ", ".join(made),
        "seconds": ", ".join(f"{k} {v:.2f}" for k, v in seconds.items() if v is not None),
    }
    heading = f"<h3>{e(entry.label)}</h3>" if several else ""
    if "config" not in tree:
        return heading + facts(told)
    settings = json.dumps(config.get("model", {}), indent=2, ensure_ascii=False)
    lines = "\n".join(map(e, settings.splitlines()))
    title = f"Model settings, {entry.label}" if several else "Model settings"
    return heading + facts(told) + more(title, f'<pre tabindex="0">{lines}</pre>')


def _windows(tree: Tree) -> str:
    ids = tree.get("rollout", {}).get("windows", [])
    items = "".join(f"<li>{e(window)}</li>" for window in ids)
    control = '<button type="button" data-copy="all" hidden>Copy all IDs</button>'
    title = "Window IDs, for --window"
    return more(title, f'{control}<ol class="ids">{items}</ol>') if ids else ""
