"""Vector observations as a video: lines of truth and prediction, a cursor that moves over them.

Rows are dimensions, columns are windows; the frame around it is that of `explained_grid`. Every
panel is drawn once. In each frame the part that has been passed is bright, the rest dim.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openloop_cli.arrays import Array, Frames
from openloop_cli.draw.grid import layout, text
from openloop_cli.draw.grid.frame import (
    BACKGROUND,
    BRIGHT,
    IMAGINED,
    MUTED,
    OBSERVED,
    Caption,
    area_of,
    draw_caption,
    draw_header,
    draw_timeline,
    paste,
    write,
)
from openloop_cli.draw.grid.layout import BORDER, GAP, MARGIN, SPACE, Box
from openloop_cli.draw.grid.panels import (
    BAND,
    PREDICTION,
    TRUTH,
    Dimension,
    Lines,
    choose,
    edge,
    ground,
    heights,
    mixed,
    panel,
)

LINES_NOTE = (
    "Each column is one recorded window, each row one dimension in its own units, one scale for"
    " all windows. Green: the model sees every value. Red: it sees none, and imagines them from"
    " the recorded actions."
)
MOST_ROWS = 12
_PANEL = (120, 640)
_TALL = ((4, 128), (8, 88), (MOST_ROWS, 64))
_STILL_TO_COME = 0.4
_DOT = 7


@dataclass(frozen=True)
class _Layout:
    """`panels[window][row]` and `columns[window]`, inside the borders, are boxes."""

    height: int
    width: int
    header: Box
    timeline: Box
    legend: Box
    headings: list[Box]
    labels: list[Box]
    columns: list[Box]
    panels: list[list[Box]]
    footer: Box


def line_frames(
    lines: Sequence[Lines],
    context: int,
    caption: Caption,
    *,
    most: int = MOST_ROWS,
    windows: Sequence[str] = (),
) -> Frames:
    """Draw vector observations as frames of even height and width.

    Args:
      lines: One for each key, all of the same windows and steps.
      context: Context steps; the others were imagined.
      caption: What stands below; which dimensions were left out is added to its note.
      most: Rows at most; the dimensions whose truth varies most are drawn.
      windows: A heading for each window; `window 1` and so on if not given.

    Returns:
      (T, height, width, 3).
    """
    rows, left_out = choose(lines, most)
    count, steps = rows[0].truth.shape
    windows = windows or [f"window {index + 1}" for index in range(count)]
    note = f"{left_out} {caption.note}".strip()
    caption = Caption(caption.run, caption.step, caption.key, note)
    place = _arrange(rows, count, note)
    still = _still(place, rows, context, caption, windows)
    bright, dim = _with_panels(still, place, rows, context)
    frames = np.empty((steps, place.height, place.width, 3), np.uint8)
    for part, colour in [(frames[:context], OBSERVED), (frames[context:], IMAGINED)]:
        part[:] = _with_borders(dim, place, colour)
    for window, column in enumerate(place.columns):
        _reveal(area_of(frames, column), area_of(bright[None], column)[0])
        for row, box in zip(rows, place.panels[window], strict=True):
            _draw_dots(area_of(frames, box), row, window)
    draw_header(frames, place.header, context)
    draw_timeline(frames, place.timeline, context)
    return frames


def _arrange(rows: Sequence[Dimension], count: int, note: str) -> _Layout:
    height = next((tall for most, tall in _TALL if len(rows) <= most), _TALL[-1][1])
    labels = _label_width(rows)
    free = (layout.SCREEN[0] - 2 * MARGIN - labels) // count - SPACE - 2 * BORDER
    width = _even(min(_PANEL[1], max(_PANEL[0], free)))
    column = width + 2 * BORDER
    total = max(layout.NARROWEST, labels + count * (column + SPACE) - SPACE + 2 * MARGIN)
    content = total - 2 * MARGIN
    header = Box(MARGIN, MARGIN, layout.HEADER, content)
    timeline = Box(header.y + header.height + 8, MARGIN, layout.TIMELINE, content)
    small = _even(text.height_of(layout.SMALL) + 4)
    legend = Box(timeline.y + timeline.height + 8, MARGIN, small, content)
    top = legend.y + small + 2
    y = top + 2 * small
    tall = len(rows) * (height + GAP) - GAP + 2 * BORDER
    headings, columns, panels = [], [], []
    for window in range(count):
        x = MARGIN + labels + window * (column + SPACE)
        headings.append(Box(top, x, small, column))
        columns.append(Box(y + BORDER, x + BORDER, tall - 2 * BORDER, width))
        tops = [y + BORDER + i * (height + GAP) for i in range(len(rows))]
        panels.append([Box(at, x + BORDER, height, width) for at in tops])
    beside = [Box(box.y, MARGIN, height, labels - SPACE) for box in panels[0]]
    below = len(text.wrapped(note, layout.SMALL, content, layout.FOOTER_LINES))
    size = text.height_of(layout.BODY) + 4 + below * text.height_of(layout.SMALL)
    footer = Box(y + tall + SPACE, MARGIN, _even(size + 1), content)
    return _Layout(
        footer.y + footer.height + SPACE,
        total,
        header,
        timeline,
        legend,
        headings,
        beside,
        columns,
        panels,
        footer,
    )


def _label_width(rows: Sequence[Dimension]) -> int:
    names = max(text.width_of(row.label, layout.BODY) for row in rows)
    ticks = max(text.width_of(tick, layout.SMALL) for row in rows for tick in _ticks(row))
    return _even(min(layout.LABELS_MOST, names) + ticks + 1) + 2 * SPACE


def _ticks(row: Dimension) -> tuple[str, str]:
    """The numbers at the top and the bottom of the axis."""
    if row.discrete:
        return f"{row.high:.0f}", f"{row.low:.0f}"
    return f"{row.high:.3g}", f"{row.low:.3g}"


def _still(
    place: _Layout,
    rows: Sequence[Dimension],
    context: int,
    caption: Caption,
    windows: Sequence[str],
) -> Array:
    """What is the same in every frame, panels and borders aside: (height, width, 3)."""
    canvas = np.empty((place.height, place.width, 3), np.uint8)
    canvas[:] = BACKGROUND
    _draw_legend(canvas, place.legend, any(row.band is not None for row in rows))
    for row, box in zip(rows, place.labels, strict=True):
        _draw_label(canvas, row, box)
    steps = rows[0].truth.shape[1]
    for heading, box in zip(windows, place.headings, strict=True):
        _write_centred(canvas, heading, MUTED, box)
        split = BORDER + edge(context, steps, box.width - 2 * BORDER)
        below = box.y + box.height
        _write_centred(canvas, "context", OBSERVED, Box(below, box.x, box.height, split))
        rest = Box(below, box.x + split, box.height, box.width - split)
        _write_centred(canvas, "imagined", IMAGINED, rest)
    draw_caption(canvas, caption, place.footer)
    return canvas


def _draw_legend(canvas: Array, box: Box, band: bool) -> None:
    x = box.x
    entries = [
        (TRUTH, 4, "truth: what happened"),
        (PREDICTION, 4, "prediction: what the model says"),
    ]
    if band:
        pale = mixed(PREDICTION, BACKGROUND, BAND)
        entries.append((pale, 10, "± one standard deviation of the imagined futures"))
    for colour, thick, words in entries:
        y = box.y + (box.height - thick) // 2
        canvas[y : y + thick, x : x + 28] = colour
        x += 36
        write(canvas, words, layout.SMALL, BRIGHT, box.y, x)
        x += text.width_of(words, layout.SMALL) + 2 * SPACE


def _draw_label(canvas: Array, row: Dimension, box: Box) -> None:
    top, bottom = _ticks(row)
    ticks = max(text.width_of(tick, layout.SMALL) for tick in (top, bottom))
    name = text.shortened(row.label, layout.BODY, box.width - ticks - SPACE)
    y = box.y + (box.height - text.height_of(layout.BODY)) // 2
    write(canvas, name, layout.BODY, BRIGHT, y, box.x)
    last = box.y + box.height - text.height_of(layout.SMALL)
    for tick, at in ((top, box.y), (bottom, last)):
        x = box.x + box.width - text.width_of(tick, layout.SMALL)
        write(canvas, tick, layout.SMALL, MUTED, at, x)


def _write_centred(canvas: Array, words: str, colour: text.Colour, box: Box) -> None:
    """A line in the middle of a box; nothing where it does not fit."""
    words = text.shortened(words, layout.SMALL, box.width)
    width = text.width_of(words, layout.SMALL)
    if width <= box.width:
        write(canvas, words, layout.SMALL, colour, box.y, box.x + (box.width - width) // 2)


def _with_panels(
    still: Array, place: _Layout, rows: Sequence[Dimension], context: int
) -> tuple[Array, Array]:
    """The picture with all panels, as they are when passed and while still to come."""
    bright, dim = still.copy(), still
    for window, boxes in enumerate(place.panels):
        for row, box in zip(rows, boxes, strict=True):
            drawn = panel(row, window, context, box.height, box.width)
            behind = ground(context, row.truth.shape[1], box.width)
            pale = drawn * _STILL_TO_COME + behind * (1 - _STILL_TO_COME)
            paste(bright, drawn, box.y, box.x)
            paste(dim, pale.astype(np.uint8), box.y, box.x)
    return bright, dim


def _with_borders(canvas: Array, place: _Layout, colour: text.Colour) -> Array:
    canvas = canvas.copy()
    for box in place.columns:
        outer = canvas[box.y - BORDER : box.y + box.height + BORDER]
        inside = canvas[box.y : box.y + box.height, box.x : box.x + box.width].copy()
        outer[:, box.x - BORDER : box.x + box.width + BORDER] = colour
        paste(canvas, inside, box.y, box.x)
    return canvas


def _reveal(area: Array, bright: Array) -> None:
    """(T, height, width, 3) in place: what has been passed, up to a cursor."""
    steps, _, width, _ = area.shape
    for step in range(steps):
        x = _cursor(step, steps, width)
        area[step, :, :x] = bright[:, :x]
        area[step, :, x - 1 : x + 1] = MUTED


def _cursor(step: int, steps: int, width: int) -> int:
    return round((step + 0.5) * width / steps)


def _draw_dots(area: Array, row: Dimension, window: int) -> None:
    """(T, height, width, 3) in place: both values of each step, on the cursor."""
    steps, height, width, _ = area.shape
    for values, colour in ((row.truth, TRUTH), (row.prediction, PREDICTION)):
        y = heights(row, values[window], height)
        for step in np.flatnonzero(np.isfinite(y)).tolist():
            x = _cursor(step, steps, width)
            _draw_dot(area[step], round(float(y[step])), x, colour)


def _draw_dot(canvas: Array, y: int, x: int, colour: text.Colour) -> None:
    half = _DOT // 2
    top = min(max(y - half, 0), canvas.shape[0] - _DOT)
    left = min(max(x - half, 0), canvas.shape[1] - _DOT)
    canvas[top : top + _DOT, left : left + _DOT][_DISC] = colour


_DISC = np.hypot(*np.mgrid[-1 : 1 : _DOT * 1j, -1 : 1 : _DOT * 1j]) <= 1.06


def _even(number: int) -> int:
    return number // 2 * 2
