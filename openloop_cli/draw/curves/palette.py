"""How lines look, on white paper and on dark: one table for pages, files and plots.

Every colour stands out 3 to 1 or more from its background; lines that could be mistaken for each
other differ in their dashes too, for those who do not tell the colours apart.
"""

from typing import NamedTuple


class Look(NamedTuple):
    """Colours on light and on dark paper, dashes, width in pixels."""

    light: str
    dark: str
    dashes: str
    width: float


PALETTE = {
    "model": Look("#0b57c9", "#74b3ff", "", 2.4),
    "truth": Look("#1b1e23", "#eceef1", "", 1.8),
    "floor": Look("#2b8a3e", "#6fd283", "", 1.6),
    "persistence": Look("#c2410c", "#ff9d66", "", 1.6),
    "last_reconstruction": Look("#c2410c", "#ff9d66", "5 3", 1.6),
    "climatology": Look("#6b7280", "#9aa2af", "1.5 3", 1.8),
    "shuffled_actions": Look("#8b2fd6", "#c9a0ff", "7 3 2 3", 1.6),
    "other_context": Look("#0f766e", "#56d3c6", "3 3", 1.6),
    "futures_mean": Look("#0b57c9", "#74b3ff", "6 3", 1.8),
    "futures_best": Look("#0284c7", "#5cc8f5", "2 2", 1.8),
    "window": Look("#1b1e23", "#eceef1", "1 2", 1.6),
    "copied": Look("#6b7280", "#9aa2af", "5 3", 1.6),
    "ahead1": Look("#1b1e23", "#eceef1", "", 2.2),
    "ahead2": Look("#1b1e23", "#eceef1", "6 3", 1.8),
    "ahead3": Look("#6b7280", "#9aa2af", "", 1.8),
    "ahead4": Look("#6b7280", "#9aa2af", "2 3", 1.8),
    "entry1": Look("#0b57c9", "#74b3ff", "", 2.2),
    "entry2": Look("#c2410c", "#ff9d66", "", 2.2),
    "entry3": Look("#2b8a3e", "#6fd283", "", 2.2),
    "entry4": Look("#8b2fd6", "#c9a0ff", "6 3", 2.2),
    "entry5": Look("#0f766e", "#56d3c6", "6 3", 2.2),
    "entry6": Look("#a16207", "#e6bd4f", "6 3", 2.2),
}
ENTRIES = 6


def entry_style(index: int) -> str:
    """The style of the n-th of several checkpoints, from 0; after the last they repeat."""
    return f"entry{index % ENTRIES + 1}"


def line_styles() -> str:
    """Style sheet rules for lines and fills on white paper."""
    rules = []
    for style, look in PALETTE.items():
        dash = f"stroke-dasharray:{look.dashes};" if look.dashes else ""
        rules.append(f".line.{style}{{stroke:{look.light};stroke-width:{look.width};{dash}}}")
        rules.append(f".f-{style}{{fill:{look.light}}}")
    return "".join(rules)


def dark_line_styles() -> str:
    """The same on dark paper: only what differs."""
    return "".join(
        f".line.{style}{{stroke:{look.dark}}}.f-{style}{{fill:{look.dark}}}"
        for style, look in PALETTE.items()
    )
