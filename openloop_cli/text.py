"""Text from strangers made safe to show: on a terminal, in HTML and XML, in Markdown.

Names of runs, keys and parameters come from files that anybody may have written. They can hold
escape sequences that rewrite a terminal, right-to-left marks that turn a line around, markup, line
breaks, or a million characters. Everything that is shown passes through one of these functions
once, where it leaves the program; what is written as JSON keeps the name as it is.
"""

import html
import re
import unicodedata

MOST = 200
"""Characters of a name that are shown; enough to recognise it, too few to flood a screen."""

LONGEST_WORD = 400
"""Characters of a word in a message; paths that people work with are shorter."""


def clean(text: object, most: int = MOST) -> str:
    """Text on one line without characters that act instead of showing: control, format (such as
    right-to-left marks), unpaired and private ones become U+FFFD; cut at `most` characters."""
    found = str(text)
    kept = visible(found[:most]).replace("\n", "\ufffd")
    return kept + "…" * (len(found) > most)


def plural(count: int, what: str) -> str:
    """`1 window`, `2 windows`."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def visible(text: str) -> str:
    """The same text, on as many lines, without characters that act instead of showing."""
    return "".join("\ufffd" if _acts(c) else c for c in text)


def message(text: object, most: int = 2000) -> str:
    """A whole line of our own, `clean`, that quotes foreign names: the middle of a long word is
    left out, so that no name hides what is said about it."""
    shorter = re.sub(
        rf"\S{{{LONGEST_WORD + 1},}}", lambda word: f"{word[0][:200]}…{word[0][-80:]}", str(text)
    )
    return clean(shorter, most)


def markup(text: object, most: int = MOST) -> str:
    """`clean` text inside HTML, SVG or XML, as content or as a quoted attribute."""
    return html.escape(clean(text, most), quote=True)


def markdown(text: object, most: int = 500) -> str:
    """`clean` text as Markdown shows it letter by letter, on one line: no table breaks, and no
    link, image, mention or HTML comes of it."""
    kept = " ".join(clean(str(text).replace("\n", " "), most).split())
    kept = re.sub(r"([\\`*_{}\[\]()#+!|~$^=])", r"\\\1", kept)
    kept = kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A bare address becomes no link, and nobody is called by name.
    return kept.replace("://", ":&#8203;//").replace("www.", "www&#8203;.").replace("@", "&#64;")


def _acts(character: str) -> bool:
    # Unicode's general category C is "other": Cc, Cf, Cs, Co, Cn.
    return unicodedata.category(character)[0] == "C" and character != "\n"
