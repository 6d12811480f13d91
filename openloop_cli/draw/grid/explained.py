"""The grid that explains itself, for somebody who never read a paper about world models.

Rows of tiles under each other, windows side by side, each in a border that is green while the
model sees the frames and red while it imagines them. The same is said in words at the top, with
the step and a timeline. What does not change is drawn once; tiles, borders, words at the top and
the timeline are then laid over it.
"""

from collections.abc import Sequence

import numpy as np

from openloop_cli.arrays import Array, Frames
from openloop_cli.draw.grid import layout, text
from openloop_cli.draw.grid.frame import (
    BACKGROUND,
    BRIGHT,
    IMAGINED,
    MUTED,
    NOTE,
    OBSERVED,
    Caption,
    area_of,
    draw_caption,
    draw_header,
    draw_timeline,
    write,
)
from openloop_cli.draw.grid.layout import Box, Layout
from openloop_cli.draw.grid.rows import Legend, Row
from openloop_cli.errors import OptionError

__all__ = [
    "BACKGROUND",
    "BRIGHT",
    "IMAGINED",
    "MUTED",
    "NOTE",
    "OBSERVED",
    "Caption",
    "default_scale",
    "explained_grid",
]

BEHIND = (12, 13, 16)
_TILE = 128
# The most that H.264 encoders take.
MOST_PIXELS = 16384


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
      context: Context steps; the others were imagined.
      caption: What stands below.
      scale: Pixels for each pixel, an even whole number; `default_scale` if not given.
      windows: A heading for each window; `window 1` and so on if not given.

    Returns:
      (T, height, width, 3).

    Raises:
      OptionError: The scale and the number of windows make too large a picture.
    """
    count, steps, height, width, _ = rows[0].video.shape
    assert all(row.video.shape == rows[0].video.shape for row in rows), "rows of several shapes"
    assert all(row.video.dtype == np.uint8 for row in rows), "rows that are not uint8"
    scale = default_scale(height, width) if scale is None else scale
    assert scale in range(2, 1 << 12, 2), f"scale {scale} is not even"
    windows = windows or [f"window {index + 1}" for index in range(count)]
    place = layout.arrange(rows, scale, caption.note)
    if max(place.height, place.width) > MOST_PIXELS:
        raise OptionError(
            f"pictures of {place.width} x {place.height} pixels: at most {MOST_PIXELS} on a side",
            hint=f"use a --scale below {scale}, or a smaller --show",
        )
    frames = np.empty((steps, place.height, place.width, 3), np.uint8)
    still = _still(place, rows, caption, windows)
    for part, colour in [(frames[:context], OBSERVED), (frames[context:], IMAGINED)]:
        part[:] = _with_borders(still, place, colour)
    for index, row in enumerate(rows):
        for window, boxes in enumerate(place.tiles):
            _enlarge(area_of(frames, boxes[index]), row.video[window], scale)
    draw_header(frames, place.header, context)
    draw_timeline(frames, place.timeline, context)
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
        write(canvas, line, layout.SMALL, MUTED, box.y, box.x + left)
    draw_caption(canvas, caption, place.footer)
    return canvas


def _draw_label(canvas: Array, row: Row, box: Box) -> None:
    width = box.width - layout.SPACE
    y = box.y + (box.height - layout.label_height(row)) // 2
    y = write(
        canvas, text.shortened(row.label, layout.TITLE, width), layout.TITLE, BRIGHT, y, box.x
    )
    if row.note:
        note = text.shortened(row.note, layout.SMALL, width)
        y = write(canvas, note, layout.SMALL, MUTED, y, box.x)
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
        write(canvas, part, layout.SMALL, MUTED, y, x + left)
    return y + text.height_of(layout.SMALL)


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
