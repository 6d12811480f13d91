"""The smallest parts of a page. Text gets into it through `e` alone."""

import base64
from collections.abc import Iterable, Mapping, Sequence

from openloop_cli.quantities import metric
from openloop_cli.text import markup

# Sentences, such as a note or a definition, may be longer than names.
_LONGEST = 2000


def e(text: object) -> str:
    """Text as HTML, in quotes too; characters that act instead of showing are replaced."""
    return markup(text, _LONGEST)


def data_uri(kind: str, data: bytes) -> str:
    """Bytes as an address that needs no network."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def section(name: str, title: str, body: str, *, lead: str = "") -> str:
    """A part of the page with a heading that names it."""
    intro = f'<p class="lead">{e(lead)}</p>' if lead else ""
    return (
        f'<section id="{e(name)}" aria-labelledby="{e(name)}-h">'
        f'<h2 id="{e(name)}-h">{e(title)}</h2>{intro}{body}</section>\n'
    )


def rows(
    header: Sequence[str], body: Iterable[Sequence[str]], caption: str, *, kind: str = ""
) -> str:
    """A table; the first cell of each row names it, others may have a second line. It scrolls in
    its own frame if it must.

    Args:
      caption: Its name, for screen readers.
      kind: A class; `numbers` sets all columns but the first to the right.
    """
    head = "".join(f'<th scope="col">{e(cell)}</th>' for cell in header)
    lines = "".join(
        f'<tr><th scope="row">{e(first)}</th>{"".join(f"<td>{_lines(c)}</td>" for c in rest)}</tr>'
        for first, *rest in body
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{e(caption)}, table">'
        f'<table class="{e(kind)}"><caption class="hidden">{e(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _lines(cell: str) -> str:
    """A cell's text; what follows a line break is small and stands below."""
    first, _, below = cell.partition("\n")
    return f"{e(first)}<small>{e(below)}</small>" if below else e(first)


def facts(pairs: Mapping[str, str]) -> str:
    """Names and what they are, as a list; the values are text."""
    items = "".join(f"<div><dt>{e(k)}</dt><dd>{e(v)}</dd></div>" for k, v in pairs.items() if v)
    return f'<dl class="facts">{items}</dl>'


def explained(terms: Iterable[str], definitions: Mapping[str, str]) -> str:
    """The definitions of these words, those that there are."""
    known = [term for term in dict.fromkeys(terms) if term in definitions]
    items = "".join(f"<dt>{e(say(t))}</dt><dd>{e(definitions[t])}</dd>" for t in known)
    return f'<dl class="terms">{items}</dl>' if items else ""


def more(summary: str, body: str, *, of: str = "") -> str:
    """A part that is shown when asked for; it needs no script.

    Args:
      of: What it belongs to, for those who hear the page.
    """
    heard = f'<span class="hidden"> ({e(of)})</span>' if of else ""
    return f"<details><summary>{e(summary)}{heard}</summary>{body}</details>"


def say(term: str) -> str:
    """A word of the metrics tree as people write it."""
    return metric(term).title
