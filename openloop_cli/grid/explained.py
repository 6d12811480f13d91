"""The grid that explains itself, for somebody who never read a paper about world models.

Rows of tiles under each other, windows side by side, each in a border that is green while the
model sees the frames and red while it imagines them. The same is said in words at the top, with
the step and a timeline. What does not change is drawn once; tiles, borders, words at the top and
the timeline are then laid over it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openloop_cli.arrays import Array, Frames
from openloop_cli.grid import layout, text
from openloop_cli.grid.layout import Box, Layout
from openloop_cli.grid.rows import Legend, Row

BACKGROUND = (24, 26, 31)
BEHIND = (12, 13, 16)
BRIGHT = (236, 238, 242)
MUTED = (158, 164, 176)
OBSERVED = (46, 184, 92)
IMAGINED = (232, 72, 72)
_TILE = 128
_DIM = 0.35

NOTE = (
    "Each column is one recorded window. Green: the model sees every frame. "
    "Red: it sees none, and imagines them from the recorded actions."
)


@dataclass(frozen=True)
class Caption:
    """What stands below the picture: run name, checkpoint step, image key, how to read it."""

    run: str
    step: str
    key: str
    note: str = NOTE


def explained_grid(
    rows: Sequence[Row],
    context: int,
    caption: Caption,
    *,
    scale: int | None = None,
    windows: Sequence[str] = (),
) -> Frames:
    """Draw rows of videos, all (B, T, H, W, 3), as frames of even height and width.

    Args:
      rows: From top to bottom; `prediction_rows` makes the usual three.
      context: How many steps were observed; the others were imagined.
      caption: What stands below.
      scale: Pixels for each pixel, an even whole number; `default_scale` if not given.
      windows: A heading for each window; `window 1` and so on if not given.

    Returns:
      (T, height, width, 3).
    """
    count, steps, height, width, _ = rows[0].video.shape
    assert all(row.video.shape == rows[0].video.shape for row in rows), "rows of several shapes"
    assert all(row.video.dtype == np.uint8 for row in rows), "rows that are not uint8"
    scale = default_scale(height, width) if scale is None else scale
    assert scale in range(2, 1 << 12, 2), f"scale {scale} is not even"
    windows = windows or [f"window {index + 1}" for index in range(count)]
    place = layout.arrange(rows, scale, caption.note)
    frames = np.empty((steps, place.height, place.width, 3), np.uint8)
    still = _still(place, rows, caption, windows)
    for part, colour in [(frames[:context], OBSERVED), (frames[context:], IMAGINED)]:
        part[:] = _with_borders(still, place, colour)
    for index, row in enumerate(rows):
        for window, boxes in enumerate(place.tiles):
            _enlarge(_part(frames, boxes[index]), row.video[window], scale)
    _draw_header(frames, place.header, context)
    _draw_timeline(frames, place.timeline, context)
    return frames


def default_scale(height: int, width: int) -> int:
    """The even factor that makes a tile's longer side about 128 pixels; at least 2."""
    return 2 * max(1, round(_TILE / 2 / max(height, width)))


def _still(place: Layout, rows: Sequence[Row], caption: Caption, windows: Sequence[str]) -> Array:
    """What is the same in every frame: (height, width, 3)."""
    canvas = np.empty((place.height, place.width, 3), np.uint8)
    canvas[:] = BACKGROUND
    for band in place.bands:
        for row, box in zip(rows, band.labels, strict=True):
            _draw_label(canvas, row, box)
    for heading, box in zip(windows, place.headings, strict=True):
        line = text.shortened(heading, layout.SMALL, box.width)
        left = (box.width - text.width_of(line, layout.SMALL)) // 2
        _write(canvas, line, layout.SMALL, MUTED, box.y, box.x + left)
    _draw_caption(canvas, caption, place.footer)
    return canvas


def _draw_label(canvas: Array, row: Row, box: Box) -> None:
    width = box.width - layout.SPACE
    y = box.y + (box.height - layout.label_height(row)) // 2
    y = _write(
        canvas, text.shortened(row.label, layout.TITLE, width), layout.TITLE, BRIGHT, y, box.x
    )
    if row.note:
        note = text.shortened(row.note, layout.SMALL, width)
        y = _write(canvas, note, layout.SMALL, MUTED, y, box.x)
    if row.legend:
        _draw_legend(canvas, row.legend, y, box.x, width)


def _draw_legend(canvas: Array, legend: Legend, y: int, x: int, width: int) -> None:
    y = _spread(canvas, legend.ends, y, x, width) + 2
    ramp = legend.ramp[np.linspace(0, len(legend.ramp) - 1, width).round().astype(int)]
    canvas[y : y + layout.RAMP, x : x + width] = ramp
    _spread(canvas, legend.ticks, y + layout.RAMP + 2, x, width)


def _spread(canvas: Array, parts: Sequence[str], y: int, x: int, width: int) -> int:
    """Write words from edge to edge and return where the next line starts."""
    for index, part in enumerate(parts):
        free = width - text.width_of(part, layout.SMALL)
        left = round(free * index / (len(parts) - 1))
        _write(canvas, part, layout.SMALL, MUTED, y, x + left)
    return y + text.height_of(layout.SMALL)


def _draw_caption(canvas: Array, caption: Caption, box: Box) -> None:
    facts = f" · checkpoint step {caption.step} · {caption.key}"
    left = max(box.width // 4, box.width - text.width_of(facts, layout.BODY))
    line = text.shortened(caption.run, layout.BODY, left) + facts
    line = text.shortened(line, layout.BODY, box.width)
    y = _write(canvas, line, layout.BODY, BRIGHT, box.y, box.x) + 4
    for line in text.wrapped(caption.note, layout.SMALL, box.width, layout.FOOTER_LINES):
        y = _write(canvas, line, layout.SMALL, MUTED, y, box.x)


def _with_borders(canvas: Array, place: Layout, colour: text.Colour) -> Array:
    canvas = canvas.copy()
    edge = layout.BORDER
    for box in place.borders:
        canvas[box.y : box.y + box.height, box.x : box.x + box.width] = colour
        inside = canvas[box.y + edge : box.y + box.height - edge]
        inside[:, box.x + edge : box.x + box.width - edge] = BEHIND
    return canvas


def _enlarge(area: Array, video: Array, scale: int) -> None:
    """Each pixel `scale` times in both directions: (T, H, W, 3) -> (T, sH, sW, 3) in place."""
    steps, height, width, _ = video.shape
    wide = np.repeat(video, scale, axis=2)
    area.reshape(steps, height, scale, width * scale, 3)[:] = wide[:, :, None]


def _draw_header(frames: Frames, box: Box, context: int) -> None:
    """What is going on, in words, and the step: each step's words are drawn once."""
    steps = len(frames)
    for step, canvas in enumerate(frames):
        seen = step < context
        state = "context" if seen else f"imagined +{step - context + 1}"
        fill = OBSERVED if seen else IMAGINED
        patch = text.pill(state, layout.TITLE, (255, 255, 255), fill, BACKGROUND)
        _paste(canvas, patch, box.y + (box.height - patch.shape[0]) // 4 * 2, box.x)
        means = "the model sees each frame" if seen else "the model sees only the actions"
        y = box.y + (box.height - text.height_of(layout.BODY)) // 2
        _write(canvas, means, layout.BODY, BRIGHT, y, box.x + patch.shape[1] + layout.SPACE)
        counter = f"step {step + 1} of {steps}"
        left = box.width - text.width_of(counter, layout.BODY)
        _write(canvas, counter, layout.BODY, BRIGHT, y, box.x + left)


def _draw_timeline(frames: Frames, box: Box, context: int) -> None:
    """A bar, green then red, dim where still to come."""
    steps = len(frames)
    ends = np.arange(steps + 1) * box.width // (2 * steps) * 2
    colours = np.empty((box.width, 3), np.uint8)
    colours[:] = IMAGINED
    colours[: ends[context]] = OBSERVED
    dim = (colours * _DIM + np.array(BACKGROUND) * (1 - _DIM)).astype(np.uint8)
    area = _part(frames, box)
    area[:] = dim
    for step in range(steps):
        done = ends[step + 1]
        area[step, :, :done] = colours[:done]


def _write(canvas: Array, line: str, size: int, colour: text.Colour, y: int, x: int) -> int:
    """Write a line and return where the next one starts."""
    _paste(canvas, text.words(line, size, colour, BACKGROUND), y, x)
    return y + text.height_of(size)


def _paste(canvas: Array, patch: Array, y: int, x: int) -> None:
    canvas[y : y + patch.shape[0], x : x + patch.shape[1]] = patch


def _part(frames: Array, box: Box) -> Array:
    return frames[:, box.y : box.y + box.height, box.x : box.x + box.width]
