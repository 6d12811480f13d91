"""What is in a batch's folder, on one page and as JSON: results, failures, comparisons.

The page needs no network; without its script nothing sorts and no thumbnail plays. Text gets into
it through `parts.e` alone.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import openloop_cli
from openloop_cli.draw.curves import Chart, Line, draw
from openloop_cli.draw.curves.chart import number, numbers
from openloop_cli.draw.curves.palette import entry_style
from openloop_cli.draw.curves.svg import swatch
from openloop_cli.page.html import document
from openloop_cli.page.parts import e, section
from openloop_cli.page.words import horizon_short
from openloop_cli.quantities import Metric
from openloop_cli.quantities import metric as metric_of
from openloop_cli.results.metrics_file import plain
from openloop_cli.results.outcome import FAILED, SKIPPED, WAITING, Chosen, Outcome
from openloop_cli.storage import place
from openloop_cli.storage.atomic import write_text
from openloop_cli.storage.shown import shown_path, shown_text
from openloop_cli.text import clean, plural

FORMAT, VERSION = "openloop-batch", 1
JSON_NAME, HTML_NAME = "index.json", "index.html"
# Lines of a chart that can be told apart.
MOST_KEYS = 6
SKILL = Metric("skill", "skill", "", "higher", digits=".2f")


@dataclass(frozen=True)
class Index:
    """All that the two files tell.

    Attributes:
      comparisons: Their files, by what they compare.
      notes: Remarks on the batch as a whole.
      redact: Name no folders.
    """

    outcomes: Sequence[Outcome]
    windows: Sequence[Chosen] = ()
    comparisons: Mapping[str, Path] | None = None
    notes: Sequence[str] = ()
    redact: bool = False


def write_index(folder: Path, index: Index) -> dict[str, Path]:
    """Writes index.json and index.html.

    Raises:
      OutputError: The folder cannot be written.
    """
    files = {"index": folder / JSON_NAME, "index page": folder / HTML_NAME}
    tree = index_tree(folder, index)
    write_text(files["index"], json.dumps(tree, indent=1, allow_nan=False) + "\n")
    write_text(files["index page"], index_html(folder, index))
    return files


def index_tree(folder: Path, index: Index) -> dict[str, Any]:
    """The index as plain values; files by their names within the folder."""
    entries = [_entry(folder, outcome, index.redact) for outcome in index.outcomes]
    statuses = [entry["status"] for entry in entries]
    tree = {
        "format": FORMAT,
        "version": VERSION,
        "openloop": openloop_cli.__version__,
        "count": {status: statuses.count(status) for status in sorted(set(statuses))},
        "checkpoints": entries,
        "windows": [
            {"replay": _replays(x, index.redact), "windows": list(x.ids), "notes": list(x.notes)}
            for x in index.windows
        ],
        "comparisons": _names(folder, index.comparisons or {}),
        "notes": list(index.notes),
    }
    return dict(plain(tree))


def index_html(folder: Path, index: Index) -> str:
    """The page: skill and useful horizon against the training step, and a row for each checkpoint
    with its numbers, a video that plays when it is pointed at, and what failed and why."""
    keys = list(dict.fromkeys(key for o in index.outcomes for key in o.headline))
    done = sum(bool(o.headline) for o in index.outcomes)
    failures = sum(o.status == FAILED for o in index.outcomes)
    waiting = sum(o.status == WAITING for o in index.outcomes)
    runs = list(dict.fromkeys(o.run for o in index.outcomes if o.run))
    about = [", ".join(runs[:3]) + (", …" if len(runs) > 3 else "")] if runs else []
    about += [f"{failures} failed"] * bool(failures) + [f"{waiting} not there yet"] * bool(waiting)
    notes = [*index.notes, *(n for x in index.windows for n in x.notes)]
    notes = list(dict.fromkeys([*notes, *_notes_of(index.outcomes)]))
    title = f"{done} of {plural(len(index.outcomes), 'checkpoint')} rendered"
    line = "".join(f"<span>{e(part)}</span>" for part in about[1:])
    told = "".join(f"<li>{e(shown_text(note, redact=index.redact))}</li>" for note in notes)
    figures = "".join(_figure(chart) for chart in _charts(index.outcomes, keys))
    body = [
        f'<header><p class="about"><strong>{e(about[0] if about else "")}</strong>{line}</p>',
        f"<h1>{e(title)}</h1>",
        f'<ul class="notes" aria-label="Notes">{told}</ul>' if told else "",
        f'<p class="lede links">{_links(folder, index.comparisons or {})}</p></header>',
        section("curves", "By training step", f'<div class="charts">{figures}</div>')
        if figures
        else "",
        section("checkpoints", "Checkpoints", _table(folder, index, keys)),
    ]
    main = f'<main id="main">{"".join(body)}</main>'
    return document(title, main, "index.js", linked=True)


def _charts(outcomes: Sequence[Outcome], keys: Sequence[str]) -> list[Chart]:
    """Skill and useful horizon of every key against the training step, of one run."""
    known = {o.step: o for o in outcomes if o.step is not None and o.headline}
    if len(known) < 2 or len({o.run for o in known.values()}) > 1:
        return []
    axis = tuple(float(step) for step in sorted(known))
    found = [known[step] for step in sorted(known)]
    charts = []
    for name, title, unit, limits in (
        ("skill", "Skill", "mean skill, 1 is perfect dynamics", (-1.0, 1.5)),
        ("useful_horizon", "Useful horizon", "steps, higher is better", (0.0, None)),
    ):
        lines = []
        for order, key in enumerate(keys[:MOST_KEYS]):
            values = [o.headline.get(key, {}).get(name) for o in found]
            values = [x.get("steps") if isinstance(x, Mapping) else x for x in values]
            if any(value is not None for value in values):
                lines.append(Line(clean(key), entry_style(order), numbers(values)))
        if lines:
            zero = name == "skill"
            charts.append(
                Chart(name, title, unit, 0, tuple(lines), zero=zero, limits=limits, axis=axis)
            )
    return charts


def _figure(chart: Chart) -> str:
    legend = "".join(
        f'<li><span class="named">{swatch(line.style)}<span>{e(line.name)}</span></span></li>'
        for line in chart.lines
    )
    return (
        f'<figure class="chart" aria-labelledby="h-{e(chart.id)}"><figcaption>'
        f'<h3 id="h-{e(chart.id)}">{e(chart.title)}</h3><p class="unit">{e(chart.unit)}</p>'
        f'</figcaption><div class="plot">{draw(chart, 520, 240)}</div>'
        f'<ul class="legend">{legend}</ul></figure>'
    )


def _table(folder: Path, index: Index, keys: Sequence[str]) -> str:
    """One row for each checkpoint; a script sorts them by any column."""
    heads = ["checkpoint", "", "step"]
    for key in keys:
        metric = next(o.headline[key] for o in index.outcomes if key in o.headline).get("metric")
        heads += [f"{clean(key)}: {metric_of(metric).short}, imagined", f"{clean(key)}: skill"]
        heads += [f"{clean(key)}: useful horizon, steps"]
    head = "".join(f'<th scope="col">{e(text)}</th>' for text in [*heads, "files"])
    body = "".join(_row(folder, outcome, keys, index.redact) for outcome in index.outcomes)
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="Checkpoints, table">'
        f'<table class="index"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _row(folder: Path, outcome: Outcome, keys: Sequence[str], redact: bool) -> str:
    path = shown_path(outcome.checkpoint, redact=redact)
    name = f'<th scope="row" title="{e(path)}">{e(outcome.name)}</th>'
    if outcome.status in (FAILED, WAITING):
        reason = shown_text(outcome.error, redact=redact)
        text = f"failed: {reason}" if outcome.status == FAILED else "not there yet"
        wide = f'<td colspan="{3 * len(keys) + 3}">{e(text)}</td>'
        return f'<tr class="{outcome.status}">{name}{wide}</tr>\n'
    step = "" if outcome.step is None else outcome.step
    cells = [f'<td class="number" data-value="{step}">{f"{step:,}" if step != "" else "–"}</td>']
    for key in keys:
        found = outcome.headline.get(key, {})
        horizon = found.get("useful_horizon")
        steps = horizon.get("steps") if isinstance(horizon, Mapping) else None
        shown = metric_of(found.get("metric"))
        cells += [
            _cell(found.get("imagined"), shown.shown(number(found.get("imagined")), unit=True)),
            _cell(found.get("skill"), SKILL.shown(number(found.get("skill")))),
            _cell(steps, horizon_short(found)),
        ]
    return (
        f"<tr>{name}<td>{_thumbnail(folder, outcome)}</td>{''.join(cells)}"
        f"<td>{_links(folder, outcome.files)}</td></tr>\n"
    )


def _cell(value: Any, text: str) -> str:
    sorted_by = "" if number(value) is None else value
    return f'<td class="number" data-value="{sorted_by}">{e(text)}</td>'


def _thumbnail(folder: Path, outcome: Outcome) -> str:
    """The first video or still, small; videos are not fetched before they are pointed at."""
    for what, path in outcome.files.items():
        address = quote(path.relative_to(folder).as_posix())
        if what.startswith("video/") and path.suffix == ".mp4":
            return (
                f'<video class="thumb" src="{address}" muted loop playsinline preload="none"'
                f' tabindex="0" aria-label="{e(f"Video of {outcome.name}")}"></video>'
            )
        if what.startswith(("video/", "still/")):
            return f'<img class="thumb" src="{address}" loading="lazy" alt="{e(outcome.name)}">'
    return ""


def _entry(folder: Path, outcome: Outcome, redact: bool) -> dict[str, Any]:
    # What was there before is as good as what was done now.
    status = "done" if outcome.status == SKIPPED else outcome.status
    entry: dict[str, Any] = {
        "name": outcome.name,
        "status": status,
        "checkpoint": shown_path(outcome.checkpoint, redact=redact),
        "run": outcome.run,
        "step": outcome.step,
        "headline": dict(outcome.headline),
        "files": _names(folder, outcome.files),
        "notes": list(outcome.notes),
    }
    if outcome.error:
        entry |= {
            "error": shown_text(outcome.error, redact=redact),
            "hint": shown_text(outcome.hint, redact=redact),
        }
    return entry


def _replays(chosen: Chosen, redact: bool) -> list[str]:
    return [shown_path(place(path), redact=redact) for path in chosen.replay]


def _notes_of(outcomes: Iterable[Outcome]) -> list[str]:
    """What there is to say of checkpoints, each remark once, with those that it is about."""
    about: dict[str, list[str]] = {}
    for outcome in outcomes:
        for note in outcome.notes:
            about.setdefault(note, []).append(outcome.name)
    return [
        f"{', '.join(names) if len(names) <= 3 else f'{len(names)} checkpoints'}: {note}"
        for note, names in about.items()
    ]


def _links(folder: Path, files: Mapping[str, Path]) -> str:
    names = _names(folder, files)
    return " ".join(f'<a href="{quote(path)}">{e(n)}</a>' for n, path in names.items())


def _names(folder: Path, files: Mapping[str, Path]) -> dict[str, str]:
    return {name: path.relative_to(folder).as_posix() for name, path in files.items()}
