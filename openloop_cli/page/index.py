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
from openloop_cli.quantities import SHOWN_METRIC
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
_LONGER = "A horizon that reaches the last imagined step may be longer."


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
    keys = _keys(index.outcomes)
    done = sum(bool(o.headline) for o in index.outcomes)
    failures = sum(o.status == FAILED for o in index.outcomes)
    waiting = sum(o.status == WAITING for o in index.outcomes)
    runs = list(dict.fromkeys(o.run for o in index.outcomes if o.run))
    about = [", ".join(runs[:3]) + (", …" if len(runs) > 3 else "")] if runs else []
    about += [f"{failures} failed"] * bool(failures) + [f"{waiting} not there yet"] * bool(waiting)
    notes = [*index.notes, *(n for x in index.windows for n in x.notes)]
    notes = list(dict.fromkeys([*notes, *_notes_of(index.outcomes)]))
    title = f"{done} of {plural(len(index.outcomes), 'checkpoint')} rendered"
    line = "".join(f"<span>{_to_failed(part)}</span>" for part in about[1:])
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
    charts, skill = [], metric_of("skill")
    for name, title, unit, limits in (
        ("skill", "Skill", f"mean {skill.axis}", skill.limits),
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
            note = _LONGER if not zero and any(_may_be_longer(o, keys) for o in found) else ""
            charts.append(
                Chart(
                    *(name, title, unit, 0, tuple(lines)),
                    note=note,
                    zero=zero,
                    limits=limits,
                    axis=axis,
                )
            )
    return charts


def _may_be_longer(outcome: Outcome, keys: Sequence[str]) -> bool:
    found = [outcome.headline.get(key, {}).get("useful_horizon") for key in keys[:MOST_KEYS]]
    return any(isinstance(x, Mapping) and bool(x.get("at_least")) for x in found)


def _keys(outcomes: Iterable[Outcome]) -> list[str]:
    """All observation keys, images first, as everywhere."""
    found: dict[str, Any] = {}
    for outcome in outcomes:
        for key, numbers_of in outcome.headline.items():
            found.setdefault(key, numbers_of.get("metric"))
    return sorted(found, key=lambda key: found[key] != SHOWN_METRIC["image"])


def _to_failed(part: str) -> str:
    return f'<a href="#failed">{e(part)}</a>' if part.endswith(" failed") else e(part)


def _figure(chart: Chart) -> str:
    legend = "".join(
        f'<li><span class="named">{swatch(line.style)}<span>{e(line.name)}</span></span></li>'
        for line in chart.lines
    )
    note = f'<p class="note">{e(chart.note)}</p>' if chart.note else ""
    return (
        f'<figure class="chart" aria-labelledby="h-{e(chart.id)}"><figcaption>'
        f'<h3 id="h-{e(chart.id)}">{e(chart.title)}</h3><p class="unit">{e(chart.unit)}</p>'
        f'</figcaption><div class="plot">{draw(chart, 520, 240)}</div>'
        f'<ul class="legend">{legend}</ul>{note}</figure>'
    )


def _table(folder: Path, index: Index, keys: Sequence[str]) -> str:
    """One row for each checkpoint; a script sorts them by any column that has a `data-sort`."""
    sorts = ' scope="col" data-sort'
    above = ['<th rowspan="2" scope="col" data-sort>checkpoint</th>']
    above += ['<th rowspan="2" scope="col">video</th>', f'<th rowspan="2"{sorts}>step</th>']
    below = []
    for key in keys:
        metric = next(o.headline[key] for o in index.outcomes if key in o.headline).get("metric")
        above.append(f'<th colspan="3" scope="colgroup">{e(clean(key))}</th>')
        names = ("useful horizon, steps", "skill", f"imagined, {metric_of(metric).short}")
        # What a group is called belongs to its columns, for those who hear the table.
        heard = f'<span class="hidden">{e(clean(key))}: </span>'
        below += [f"<th{sorts}>{heard}{e(name)}</th>" for name in names]
    body, failed = [], False
    for outcome in index.outcomes:
        first = outcome.status == FAILED and not failed
        failed = failed or first
        body.append(_row(folder, outcome, keys, index.redact, ' id="failed"' if first else ""))
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="Checkpoints, table">'
        f'<table class="index"><thead><tr>{"".join(above)}</tr><tr>{"".join(below)}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _row(folder: Path, outcome: Outcome, keys: Sequence[str], redact: bool, mark: str) -> str:
    path = shown_path(outcome.checkpoint, redact=redact)
    name = (
        f'<th scope="row" title="{e(path)}" data-name="{e(outcome.name)}">'
        f"{_named(outcome.name)}{_files(folder, outcome)}</th>"
    )
    if outcome.status in (FAILED, WAITING):
        reason = shown_text(outcome.error, redact=redact)
        text = f"failed: {reason}" if outcome.status == FAILED else "not there yet"
        hint = shown_text(outcome.hint, redact=redact)
        text += f" ({hint})" if outcome.status == FAILED and hint else ""
        wide = f'<td colspan="{3 * len(keys) + 2}">{e(text)}</td>'
        return f'<tr class="{outcome.status}"{mark}>{name}{wide}</tr>\n'
    step = outcome.step
    cells = [_cell(step, "–" if step is None else f"{step:,}")]
    for key in keys:
        found = outcome.headline.get(key, {})
        horizon = found.get("useful_horizon")
        steps = horizon.get("steps") if isinstance(horizon, Mapping) else None
        shown = metric_of(found.get("metric"))
        cells += [
            _cell(steps, horizon_short(found)),
            _cell(found.get("skill"), metric_of("skill").shown(number(found.get("skill")))),
            _cell(found.get("imagined"), shown.shown(number(found.get("imagined")), unit=True)),
        ]
    return f"<tr>{name}<td>{_thumbnail(folder, outcome)}</td>{''.join(cells)}</tr>\n"


def _named(name: str) -> str:
    """A name that may break where its parts meet."""
    return e(name).replace("_", "_<wbr>").replace("-", "-<wbr>")


def _cell(value: Any, text: str) -> str:
    sorted_by = "" if number(value) is None else value
    return f'<td class="number" data-value="{sorted_by}">{e(text)}</td>'


def _thumbnail(folder: Path, outcome: Outcome) -> str:
    """The first video or still, small. No video is fetched before it is in view, and none has
    controls, which a browser takes minutes to make for a thousand rows; without the script the
    link beside it plays it."""
    for what, path in outcome.files.items():
        address = quote(path.relative_to(folder).as_posix())
        if what.startswith("video/") and path.suffix == ".mp4":
            return (
                f'<span class="frame"><video class="thumb" src="{address}" muted loop'
                f' playsinline preload="none" tabindex="0"'
                f' aria-label="{e(f"Video of {outcome.name}")}"></video></span>'
            )
        if what.startswith(("video/", "still/")):
            return f'<img class="thumb" src="{address}" loading="lazy" alt="{e(outcome.name)}">'
    return ""


def _files(folder: Path, outcome: Outcome) -> str:
    """Links to an item's files, its report first."""
    names = {"page": "report", "windows": "per window"}
    videos = sum(what.startswith("video/") for what in outcome.files)
    links = []
    for what, path in sorted(outcome.files.items(), key=lambda item: item[0] != "page"):
        kind, _, key = what.partition("/")
        name = kind if key and (kind != "video" or videos == 1) else what.replace("/", " ")
        address = quote(path.relative_to(folder).as_posix())
        heard = f'<span class="hidden"> of {e(outcome.name)}</span>'
        links.append(f'<a href="{address}">{e(names.get(what, name))}{heard}</a>')
    return f'<span class="files">{" ".join(links)}</span>' if links else ""


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
