"""Metrics trees and media -> one HTML page that needs nothing else: no network, no script.

What stands in the page without scripts is complete: pictures, curves, tables, definitions. The
script adds one cursor through all of them. All text of a run passes `text.markup`.
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
from openloop_cli.draw.curves.palette import PALETTE, dark_line_styles, line_styles
from openloop_cli.page import figures, sections, words
from openloop_cli.page.media import Media
from openloop_cli.page.parts import e
from openloop_cli.page.sections import Table
from openloop_cli.results.metrics_file import plain
from openloop_cli.storage.atomic import write_text
from openloop_cli.text import plural


@dataclass(frozen=True)
class PageEntry:
    """One checkpoint on a page: its metrics tree, and what it is called among others."""

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
    foot = sections.provenance(named)
    return document(
        f"{words.name_of(trees[0])}, {', '.join(labels)}: useful horizon",
        f'<main id="main">{"".join(body)}</main>\n<footer>{foot}</footer>',
        "page.js",
        figures.data(drawn, media, trees[0]),
    )


def _several(trees: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    context, steps = words.horizon_of(trees[0])
    return (
        f"{len(trees)} checkpoints compared",
        f"Each saw the same {plural(context, 'context step')} of"
        f" {plural(words.windows_of(trees[0]), 'window')}, then imagined the next {steps} from the"
        " recorded actions alone.",
    )


def document(title: str, body: str, script: str, data: Any = None, *, linked: bool = False) -> str:
    """A page that needs no network, with the style of all pages and one script.

    Args:
      body: What stands in `<body>`.
      script: The name of a file of this package.
      data: What the script reads; None for none.
      linked: Whether videos and pictures may be files beside the page.
    """
    style = _asset("page.css") + line_styles() + _toggles()
    style += f"@media screen and (prefers-color-scheme:dark){{{dark_line_styles()}}}"
    code = _asset(script)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    files = " 'self' file:" if linked else ""
    policy = (
        f"default-src 'none'; img-src data:{files}; media-src data: blob:{files};"
        f" style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none';"
        " form-action 'none'"
    )
    embedded = (
        f'<script type="application/json" id="data">{_embedded(data)}</script>\n' if data else ""
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="generator" content="openloop">\n'
        f"<title>{e(title)}</title>\n"
        f"<style>{style}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to the content</a>\n'
        f"{body}\n{embedded}<script>{code}</script>\n</body>\n</html>\n"
    )


def _toggles() -> str:
    """An unticked box in a legend hides the line, its band and its dot; no script is needed."""
    return "".join(
        f'.chart:has(input[value="{name}"]:not(:checked)) svg.curves'
        f" :is(.line.{name},.f-{name}){{display:none}}"
        for name in PALETTE
    )


def _embedded(data: Any) -> str:
    """JSON that no text in it can end early, whatever a run is called."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
