"""A comparison -> one HTML page: its verdict, the differences, all curves, and, with pictures, a
video in which truth and every checkpoint stand side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.compare.compare import HORIZON, Comparison, Row, cell_text, cell_words, mark
from openloop_cli.draw.grid import image_row
from openloop_cli.page import (
    Media,
    PageEntry,
    Table,
    make_player,
    order_windows,
    write_page,
)
from openloop_cli.page.words import leading_key
from openloop_cli.quantities import ERROR_METRIC
from openloop_cli.quantities import metric as metric_of
from openloop_cli.results.metrics_file import PER_WINDOW
from openloop_cli.text import clean

Videos = Mapping[str, Array]
"""By image key, uint8 (B, T, H, W, C)."""


def write_comparison_page(
    path: Path,
    comparison: Comparison,
    *,
    truth: Videos | None = None,
    predictions: Sequence[tuple[str, Videos]] = (),
    fps: float = 10,
) -> None:
    """Write the page, whole or not at all.

    Args:
      truth, predictions: What the page shows moving, of all measured windows; the latter with
        what each checkpoint is called.

    Raises:
      OutputError: A place that cannot be written.
    """
    media = _media(comparison, truth, predictions, fps) if truth and predictions else None
    reference = comparison.against
    order = [reference, *(i for i in range(len(comparison.entries)) if i != reference)]
    entries = [comparison.entries[i] for i in order]
    write_page(
        path,
        [PageEntry(entry.tree, entry.label) for entry in entries],
        media=media,
        title=f"{comparison.verdict[:1].upper()}{comparison.verdict[1:]}",
        tables=_tables(comparison),
    )


def _tables(comparison: Comparison) -> list[Table]:
    """Of two checkpoints one table of all differences; of more one for each key."""
    reference = comparison.entries[comparison.against].label
    note = (
        f"▲ better, ▼ worse than {reference}, with the difference and its interval"
        f" ({comparison.how}, 95 % for all marks together); without a mark they cannot be told"
        " apart."
    )
    if len(comparison.entries) == 2:
        return [_differences(comparison, note)]
    keys = list(dict.fromkeys(row.key for row in comparison.rows))
    return [_table(comparison, key, "" if i else note) for i, key in enumerate(keys)]


def _differences(comparison: Comparison, note: str) -> Table:
    """A line for each number: of the reference, of the other one, and how they differ."""
    old, new = comparison.against, 1 - comparison.against
    labels = [comparison.entries[i].label for i in (old, new)]
    lines = []
    for row in comparison.rows:
        change = row.cells[new]
        difference, _, interval = change.text.partition(" (")
        verdict = f"{mark(change)} {change.verdict}" if mark(change) else "not told apart"
        lines.append(
            [
                f"{clean(row.key)}: {_measure(row)}",
                *(_minus(cell_text(row, i)) for i in (old, new)),
                *(_minus(text) or "–" for text in (difference, interval.removesuffix(")"))),
                verdict if change.change is not None else "–",
            ]
        )
    columns = ["number", *labels, "difference", "its interval", "verdict"]
    return Table("Differences", columns, lines, note)


def _measure(row: Row) -> str:
    """Such as `PSNR in dB ↑ at +5`."""
    if row.title == HORIZON:
        return f"{HORIZON} in steps ↑"
    if not row.metric:
        return f"{row.title} ↑"
    at = f"at {row.title}" if row.title.startswith("+") else f"over the {row.title} steps"
    return f"{metric_of(row.metric).short} {at}"


def _table(comparison: Comparison, key: str, note: str) -> Table:
    rows = [row for row in comparison.rows if row.key == key]
    unit = next((row.unit for row in rows if row.unit), "")
    return Table(
        title=f"{clean(key)}: {unit}" if unit else clean(key),
        columns=["checkpoint", *(row.title for row in rows)],
        rows=[
            [entry.label, *(_cell(row, index) for row in rows)]
            for index, entry in enumerate(comparison.entries)
        ],
        note=note,
    )


def _cell(row: Row, index: int) -> str:
    """The number, and in a second line how it differs."""
    number = cell_text(row, index)
    return _minus("\n".join([number, cell_words(row, index).removeprefix(number).strip()]))


def _minus(text: str) -> str:
    """Minus signs as in charts."""
    return text.replace("-", "−")


def _media(
    comparison: Comparison,
    truth: Videos,
    predictions: Sequence[tuple[str, Videos]],
    fps: float,
) -> Media:
    reference = comparison.entries[comparison.against]
    windows = order_windows(*_leading_errors(reference.tree))
    keys = [key for key in truth if all(key in videos for _, videos in predictions)]
    context = len(next(iter(truth.values()))[0]) - reference.horizon
    players, order = [], [window.index for window in windows]
    for key in keys:
        rows = [image_row("truth", truth[key][order])]
        rows += [image_row(label, videos[key][order]) for label, videos in predictions]
        players.append(make_player(key, rows, windows, context, fps, len(keys)))
    return Media(windows, context, context + reference.horizon, fps, tuple(players))


def _leading_errors(tree: Mapping[str, Any]) -> tuple[Array, str]:
    """The error of each window, (B,), of the key that the headline is about, and its metric."""
    found = tree["observations"][leading_key(tree)]
    errors = np.asarray(found[PER_WINDOW]["model"], np.float64)
    known = np.isfinite(errors)
    mean = np.where(known, errors, 0).sum(1) / np.maximum(1, known.sum(1))
    return mean, ERROR_METRIC[found["kind"]]
