"""What is in a batch's folder, on one page and as JSON: results, failures, comparisons.

The page needs nothing else: no network, no script. All text of a run passes `html.escape`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import openloop_cli
from openloop_cli.results.metrics_file import plain
from openloop_cli.results.outcome import FAILED, SKIPPED, WAITING, Chosen, Outcome
from openloop_cli.storage import place
from openloop_cli.storage.atomic import write_text
from openloop_cli.storage.shown import shown_path, shown_text

FORMAT, VERSION = "openloop-batch", 1
JSON_NAME, HTML_NAME = "index.json", "index.html"

STYLE = """
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}
body{max-width:76rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.35rem .8rem .35rem 0;border-bottom:1px solid #8884}
td.number{text-align:right;font-variant-numeric:tabular-nums}
tr.failed td,tr.failed th{color:#b3261e}
@media(prefers-color-scheme:dark){tr.failed td,tr.failed th{color:#ffb4ab}}
"""


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
    """The page: one row for each checkpoint, links to its files, what failed and why."""
    keys = list(dict.fromkeys(key for o in index.outcomes for key in o.headline))
    done = sum(bool(o.headline) for o in index.outcomes)
    failures = sum(o.status == FAILED for o in index.outcomes)
    title = f"{done} of {len(index.outcomes)} checkpoints"
    heads = ["checkpoint", "step", *(f"{k}: imagined" for k in keys)]
    heads += [*(f"{k}: useful horizon" for k in keys), "files"]
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(_row(folder, outcome, keys, index.redact) for outcome in index.outcomes)
    notes = [*index.notes, *(f"{', '.join(x.replay)}: {n}" for x in index.windows for n in x.notes)]
    notes += _notes_of(index.outcomes)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy"'
        " content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none';"
        " form-action 'none'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><h1>{escape(title)}"
        f"{f', {failures} failed' if failures else ''}</h1>\n"
        f"{_links(folder, index.comparisons or {})}"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>'
        f"</div>\n{''.join(f'<p>{escape(note)}</p>' for note in notes)}</body></html>\n"
    )


def number_words(numbers: Mapping[str, Any]) -> str:
    """The imagined part's headline number with its unit: `23.1 dB`."""
    value = numbers.get("imagined")
    if not isinstance(value, (int, float)):
        return "–"
    return f"{value:.1f} dB" if numbers.get("metric") == "psnr" else f"{value:.3g}"


def horizon_text(numbers: Mapping[str, Any]) -> str:
    """The useful horizon: `≥ 16 of 16`."""
    horizon = numbers.get("useful_horizon")
    if not isinstance(horizon, Mapping) or horizon.get("steps") is None:
        return "–"
    return f"{'≥ ' if horizon.get('at_least') else ''}{horizon['steps']} of {horizon.get('of')}"


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


def _row(folder: Path, outcome: Outcome, keys: Iterable[str], redact: bool) -> str:
    keys = list(keys)
    path = shown_path(outcome.checkpoint, redact=redact)
    name = f'<th scope="row" title="{escape(path)}">{escape(outcome.name)}</th>'
    if outcome.status in (FAILED, WAITING):
        text = (
            f"failed: {shown_text(outcome.error, redact=redact)}"
            if outcome.status == FAILED
            else "not there yet"
        )
        wide = f'<td colspan="{2 * len(keys) + 2}">{escape(text)}</td>'
        return f'<tr class="{outcome.status}">{name}{wide}</tr>\n'
    step = "–" if outcome.step is None else f"{outcome.step:,}"
    found = [outcome.headline.get(key, {}) for key in keys]
    cells = [step, *map(number_words, found), *map(horizon_text, found)]
    numbers = "".join(f'<td class="number">{escape(cell)}</td>' for cell in cells)
    return f"<tr>{name}{numbers}<td>{_links(folder, outcome.files)}</td></tr>\n"


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
    return " ".join(f'<a href="{quote(path)}">{escape(n)}</a>' for n, path in names.items())


def _names(folder: Path, files: Mapping[str, Path]) -> dict[str, str]:
    return {name: path.relative_to(folder).as_posix() for name, path in files.items()}
