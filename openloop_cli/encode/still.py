"""A still: rows of videos -> one picture, chosen steps across, rows down, a band for each window.

For print, for a README, for a paper: light paper, and every pixel as it was.
"""

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from openloop_cli.arrays import Array
from openloop_cli.draw.grid import Caption, Legend, Row, text
from openloop_cli.draw.grid.explained import default_scale
from openloop_cli.encode.animation import write_apng

if TYPE_CHECKING:
    from openloop_cli.reporting import Report

PAPER, INK, SOFT = (255, 255, 255), (27, 30, 35), (96, 102, 112)
OBSERVED, IMAGINED = (31, 138, 68), (201, 48, 48)
MARGIN, GAP, BAND = 24, 4, 20
HEADING, BODY, SMALL = 16, 14, 12
RULE, RAMP = 3, 8
_AHEAD = (1, 2, 5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000)
_NOTE = "Left of the gap the model sees every frame; right of it it sees none, only the actions."


def write_still(path: Path, picture: Array) -> None:
    """Write one picture (height, width, 3) uint8 as PNG, whole or not at all.

    Raises:
      OutputError: A place that cannot be written.
    """
    write_apng(path, picture[None], 1)


def report_still(report: "Report", name: str, show: int, scale: int | None = None) -> Array:
    """One of a report's pictures as a still; of vectors their lines over all steps."""
    if name not in report.image_keys:
        return np.asarray(report.frames(name, show=show)[-1])
    return still(report.rows(name, show), report.loop.context, report.caption(name), scale=scale)


def chosen_steps(context: int, steps: int, most: int = 8) -> list[int]:
    """The steps worth a look, from 0: two that are seen, then imagined ones, ever farther apart,
    to the last."""
    horizon = steps - context
    seen = sorted({max(0, context - 1 - max(1, context // 3)), context - 1})
    room = max(1, most - len(seen))
    ahead = [k for k in _AHEAD if k < horizon]
    while len(ahead) > room - 1:
        # The nearest pair goes first: those that are far apart tell more.
        ratios = [b / a for a, b in pairwise(ahead)]
        del ahead[ratios.index(min(ratios)) + 1 if ratios else 0]
    return seen + [context - 1 + k for k in (*ahead, horizon)]


def still(
    rows: Sequence[Row],
    context: int,
    caption: Caption,
    *,
    windows: Sequence[str] = (),
    scale: int | None = None,
) -> Array:
    """Draw all windows of rows of videos (B, T, H, W, 3) uint8, one band for each.

    Args:
      rows: From top to bottom.
      context: Context steps; the others were imagined.
      windows: A heading for each window; `window 1` and so on if not given.
      scale: Pixels for each pixel, even; tiles of about 128 pixels if not given.

    Returns:
      (height, width, 3) uint8.
    """
    count, total, height, width, _ = rows[0].video.shape
    scale = default_scale(height, width) if scale is None else scale
    steps = chosen_steps(context, total)
    windows = windows or [f"window {index + 1}" for index in range(count)]
    labels = _labels_width(rows, windows)
    head = _header(caption, rows)
    bands = []
    for window, heading in enumerate(windows):
        tiles = _flat(mosaic(rows, window, steps, context, scale))
        bands.append(_banded(tiles, rows, steps, context, heading, labels))
    return _stacked([head, *bands])


def mosaic(
    rows: Sequence[Row], window: int, steps: Sequence[int], context: int, scale: int
) -> Array:
    """One window's tiles, steps across and rows down: (height, width, 4), clear between them.

    Between the last step that is seen and the first that is imagined one tile's gap is left
    three times as wide.
    """
    tiles = [[row.video[window, step] for step in steps] for row in rows]
    height, width = (n * scale for n in tiles[0][0].shape[:2])
    lefts = tile_lefts(steps, context, width)
    picture = np.zeros((len(rows) * (height + GAP) - GAP, lefts[-1] + width, 4), np.uint8)
    for down, line in enumerate(tiles):
        y = down * (height + GAP)
        for x, tile in zip(lefts, line, strict=True):
            large = np.repeat(np.repeat(tile, scale, 0), scale, 1)
            picture[y : y + height, x : x + width, :3] = large
            picture[y : y + height, x : x + width, 3] = 255
    return picture


def tile_lefts(steps: Sequence[int], context: int, width: int) -> list[int]:
    """Where each step's tile begins in a mosaic of tiles of this width."""
    return [
        place * (width + GAP) + (2 * GAP if step >= context else 0)
        for place, step in enumerate(steps)
    ]


def png_bytes(picture: Array) -> bytes:
    """A picture (height, width, 3 or 4) uint8 as a PNG file."""
    with io.BytesIO() as buffer:
        Image.fromarray(picture).save(buffer, "PNG")
        return buffer.getvalue()


def _flat(picture: Array) -> Array:
    return np.where(picture[..., 3:] > 0, picture[..., :3], np.uint8(255))


def _labels_width(rows: Sequence[Row], windows: Sequence[str]) -> int:
    widest = max(text.width_of(row.label, BODY) for row in rows)
    notes = max(text.width_of(row.note, SMALL) for row in rows)
    return min(220, max(widest, notes, *(text.width_of(w, BODY) for w in windows))) + 16


def _header(caption: Caption, rows: Sequence[Row]) -> Array:
    """The caption's words over each other, what colours mean at the end."""
    step = f" · checkpoint step {caption.step}" if caption.step else ""
    lines = [
        _words(f"{caption.run}{step} · {caption.key}", HEADING, INK),
        _words(_NOTE, SMALL, SOFT),
    ]
    for row in rows:
        if row.legend:
            lines.append(_legend(row.label, row.legend))
    return _stacked(lines, gap=6)


def _legend(label: str, legend: Legend) -> Array:
    ramp = legend.ramp[np.linspace(0, len(legend.ramp) - 1, 120).round().astype(int)]
    ends = zip(legend.ends, legend.ticks[::2], strict=True)
    low, high = (_words(f"{word} {tick}", SMALL, SOFT) for word, tick in ends)
    return _beside([_words(f"{label}: ", SMALL, SOFT), low, np.tile(ramp, (RAMP, 1, 1)), high])


def _banded(
    tiles: Array, rows: Sequence[Row], steps: Sequence[int], context: int, heading: str, labels: int
) -> Array:
    """The window's tiles with the steps above them and the rows' names at their left."""
    line = text.height_of(BODY)
    top = line + RULE + 6
    canvas = np.full((top + tiles.shape[0], labels + tiles.shape[1], 3), 255, np.uint8)
    canvas[top:, labels:] = tiles
    _paste(canvas, _fitting(heading, BODY, INK, labels - 12), 0, 0)
    height = (tiles.shape[0] + GAP) // len(rows) - GAP
    width = (tiles.shape[1] - 2 * GAP * (steps[-1] >= context) + GAP) // len(steps) - GAP
    for step, x in zip(steps, tile_lefts(steps, context, width), strict=True):
        ahead = step - context + 1
        colour = IMAGINED if ahead > 0 else OBSERVED
        seen = f"context {ahead}" if ahead else "last context"
        word = _fitting(f"+{ahead}" if ahead > 0 else seen, BODY, colour, width)
        _paste(canvas, word, 0, labels + x + (width - word.shape[1]) // 2)
        canvas[line + 2 : line + 2 + RULE, labels + x : labels + x + width] = colour
    for index, row in enumerate(rows):
        y = top + index * (height + GAP) + max(0, (height - 2 * line) // 2)
        _paste(canvas, _fitting(row.label, BODY, INK, labels - 12), y, 0)
        if row.note:
            _paste(canvas, _fitting(row.note, SMALL, SOFT, labels - 12), y + line, 0)
    return canvas


def _fitting(words: str, size: int, colour: text.Colour, width: int) -> Array:
    return _words(text.shortened(words, size, width), size, colour)


def _words(words: str, size: int, colour: text.Colour) -> Array:
    return text.words(words, size, colour, PAPER)


def _paste(canvas: Array, patch: Array, y: int, x: int) -> None:
    """Lay a patch on the canvas; what would hang over its edges is cut."""
    room = canvas[y : y + patch.shape[0], max(0, x) : max(0, x) + patch.shape[1]]
    room[:] = patch[: room.shape[0], : room.shape[1]]


def _beside(parts: Sequence[Array], gap: int = 8) -> Array:
    height = max(part.shape[0] for part in parts)
    padded = []
    for part in parts:
        above = (height - part.shape[0]) // 2
        rest = height - part.shape[0] - above
        padded.append(np.pad(part, [(above, rest), (0, gap), (0, 0)], constant_values=255))
    return np.concatenate(padded, 1)


def _stacked(parts: Sequence[Array], gap: int = BAND) -> Array:
    """Parts under each other on paper, with a margin around them where they make a page."""
    width = max(part.shape[1] for part in parts)
    edge = MARGIN if gap == BAND else 0
    padded = [
        np.pad(part, [(0, 0), (0, width - part.shape[1]), (0, 0)], constant_values=255)
        for part in parts
    ]
    space = np.full((gap, width, 3), 255, np.uint8)
    lines = [piece for part in padded for piece in (part, space)][:-1]
    return np.pad(np.concatenate(lines), [(edge, edge), (edge, edge), (0, 0)], constant_values=255)
