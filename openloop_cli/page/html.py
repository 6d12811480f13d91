"""Metrics trees and media -> one HTML page that needs nothing else: no network, no script.

What stands in the page without scripts is complete: pictures, curves, tables, definitions. The
script adds one cursor through all of them. All text of a run passes `html.escape`.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from openloop_cli.draw.curves import Chart, Named, charts
from openloop_cli.draw.curves.palette import dark_line_styles, line_styles
from openloop_cli.page import figures, sections, words
from openloop_cli.page.media import Media
from openloop_cli.page.parts import e
from openloop_cli.page.sections import Table
from openloop_cli.results.metrics_json import plain
from openloop_cli.storage.atomic import write_text


@dataclass(frozen=True)
class PageEntry:
    """One checkpoint on a page: its metrics tree, and what it is called beside others."""

    tree: Mapping[str, Any]
    label: str = ""


def write_page(path: Path, entries: Sequence[PageEntry], **options: Any) -> None:
    """Write `page_html(entries, **options)`, whole or not at all.

    Raises:
      OutputError: A place that cannot be written.
    """
    write_text(path, page_html(entries, **options))


def page_html(
    entries: Sequence[PageEntry],
    *,
    media: Media | None = None,
    title: str = "",
    lede: str = "",
    tables: Sequence[Table] = (),
    extra: Sequence[Chart] = (),
) -> str:
    """The page of one checkpoint, or of several that were measured on the same windows.

    Args:
      entries: Metrics trees as metrics.json holds them. One is shown with its baselines, several
        with one line for each and the first one's recording.
      media: Windows, videos and traces, from `report_media` or made of `make_player`; None
        leaves them out.
      title: The finding, large; made from the tree if not given.
      lede: What it means, in a sentence or two; likewise.
      tables: Shown below the headline, before the curves.
      extra: Charts that are not made of the trees, shown first.
    """
    trees = [plain(entry.tree) for entry in entries]
    labels = [
        entry.label or made for entry, made in zip(entries, words.labels_of(trees), strict=True)
    ]
    named = [Named(tree, label) for tree, label in zip(trees, labels, strict=True)]
    drawn = [*extra, *charts(named)]
    key = words.leading_key(trees[0])
    found = words.verdict(trees[0], key) if len(trees) == 1 else _several(trees)
    definitions = {k: str(v) for k, v in trees[0].get("definitions", {}).items()}
    parts = [
        figures.watch(media) if media else "",
        figures.curves(drawn, definitions),
        figures.traces(media) if media else "",
    ]
    body = [
        sections.top(trees, title or found[0], lede or found[1]),
        sections.headline(named, key, definitions),
        *(sections.table(table, i) for i, table in enumerate(tables)),
        '<div class="explore">',
        *(parts if media and media.players else [parts[0], parts[2], parts[1]]),
        figures.transport(words.horizon_of(trees[0])),
        "</div>",
        figures.stills(media) if media else "",
        sections.details(named, definitions),
        sections.glossary(definitions),
    ]
    return _document(
        f"{words.name_of(trees[0])}, {', '.join(labels)}",
        "".join(body),
        sections.provenance(named, media.windows if media else ()),
        figures.data(drawn, media, trees[0]),
    )


def _several(trees: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    context, steps = words.horizon_of(trees[0])
    return (
        f"{len(trees)} checkpoints compared",
        f"Each watched the same {context} recorded steps of {words.windows_of(trees[0])} windows,"
        f" then imagined the next {steps} from the recorded actions alone.",
    )


def _document(title: str, main: str, foot: str, data: Any) -> str:
    style = _asset("page.css") + line_styles()
    style += f"@media screen and (prefers-color-scheme:dark){{{dark_line_styles()}}}"
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; media-src data: blob:; style-src 'unsafe-inline';"
        f" script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="generator" content="openloop">\n'
        f"<title>{e(title)}: how far ahead it sees</title>\n"
        f"<style>{style}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to the findings</a>\n'
        f'<main id="main">{main}</main>\n<footer>{foot}</footer>\n'
        f'<script type="application/json" id="data">{_embedded(data)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _embedded(data: Any) -> str:
    """JSON that no text in it can end early, whatever a run is called."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
