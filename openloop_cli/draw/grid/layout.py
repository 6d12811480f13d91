"""Where everything stands in an explained picture, in pixels, before anything is drawn.

From the top: a header, a timeline, one or more bands of windows side by side, a caption. A band
has the rows' labels at its left and, for each window, a heading over one column of tiles in
one border. All sizes and offsets are even, so that halving the colour's resolution, as MP4
does, leaves the tiles as sharp as they were.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from openloop_cli.draw.grid import text
from openloop_cli.draw.grid.rows import Row

MARGIN = 16
BORDER = 4
GAP = 4
SPACE = 12
TITLE, BODY, SMALL = 16, 14, 12
HEADER = 28
TIMELINE = 6
RAMP = 8
LABELS_MOST = 200
NARROWEST_CELL = 68
NARROWEST = 480
SCREEN = (1920, 1080)
FOOTER_LINES = 3


@dataclass(frozen=True)
class Box:
    """A rectangle: its upper left corner and its size."""

    y: int
    x: int
    height: int
    width: int


@dataclass(frozen=True)
class Band:
    """A run of windows side by side, with its own labels at the left."""

    labels: list[Box]
    windows: list[int]


@dataclass(frozen=True)
class Layout:
    """The whole picture. `tiles[window][row]` and `borders[window]` are boxes."""

    height: int
    width: int
    header: Box
    timeline: Box
    bands: list[Band]
    headings: list[Box]
    borders: list[Box]
    tiles: list[list[Box]]
    footer: Box


@dataclass(frozen=True)
class _Sizes:
    tile: tuple[int, int]
    rows: list[int]
    labels: int
    cell: int
    column: int
    band: int
    heading: int


def arrange(rows: Sequence[Row], scale: int, note: str) -> Layout:
    """Place rows of (B, T, H, W, 3) videos, each pixel `scale` pixels wide.

    The windows are broken into as many bands as makes the picture fit best on a screen.
    """
    count = rows[0].video.shape[0]
    sizes = _sizes(rows, scale)
    options = sorted({ceil(count / bands) for bands in range(1, count + 1)}, reverse=True)
    columns = min(options, key=lambda columns: _excess(sizes, count, columns))
    width = _width(sizes, columns)
    content = width - 2 * MARGIN
    header = Box(MARGIN, MARGIN, HEADER, content)
    timeline = Box(header.y + HEADER + 8, MARGIN, TIMELINE, content)
    top = timeline.y + TIMELINE + SPACE
    shift = _even((content - _natural_width(sizes, columns)) // 2)
    bands, headings, borders, tiles = [], [], [], []
    for first in range(0, count, columns):
        windows = list(range(first, min(first + columns, count)))
        y = top + sizes.heading
        bands.append(Band(_stack(sizes, y, MARGIN + shift, sizes.rows, sizes.labels), windows))
        for place in range(len(windows)):
            x = MARGIN + shift + sizes.labels + place * (sizes.cell + SPACE)
            headings.append(Box(top, x, sizes.heading, sizes.cell))
            x += _even((sizes.cell - sizes.column) // 2)
            borders.append(Box(y, x, sizes.band - sizes.heading, sizes.column))
            tiles.append(_tiles(sizes, y, x + BORDER))
        top += sizes.band + SPACE
    lines = len(text.wrapped(note, SMALL, content, FOOTER_LINES))
    footer = Box(
        top, MARGIN, _even(text.height_of(BODY) + 4 + lines * text.height_of(SMALL)), content
    )
    return Layout(
        top + footer.height + SPACE,
        width,
        header,
        timeline,
        bands,
        headings,
        borders,
        tiles,
        footer,
    )


def _sizes(rows: Sequence[Row], scale: int) -> _Sizes:
    height, width = rows[0].video.shape[2:4]
    tile = (height * scale, width * scale)
    heights = [max(tile[0], label_height(row) + 2 * GAP) for row in rows]
    column = tile[1] + 2 * BORDER
    heading = _even(text.height_of(SMALL) + 4)
    band = heading + sum(heights) + GAP * (len(rows) - 1) + 2 * BORDER
    words = [text.width_of(row.label, TITLE) for row in rows]
    words += [text.width_of(row.note, SMALL) for row in rows]
    labels = _even(min(LABELS_MOST, max(words)) + 1) + SPACE
    return _Sizes(tile, heights, labels, max(column, NARROWEST_CELL), column, band, heading)


def label_height(row: Row) -> int:
    """The height of a row's label with its note and legend."""
    height = text.height_of(TITLE)
    height += text.height_of(SMALL) if row.note else 0
    height += 2 * text.height_of(SMALL) + RAMP + 4 if row.legend else 0
    return _even(height + 1)


def _excess(sizes: _Sizes, count: int, columns: int) -> float:
    """How much larger than a screen the picture is, in its worse direction."""
    height = ceil(count / columns) * (sizes.band + SPACE)
    return max(_width(sizes, columns) / SCREEN[0], height / SCREEN[1])


def _width(sizes: _Sizes, columns: int) -> int:
    return max(NARROWEST, _natural_width(sizes, columns) + 2 * MARGIN)


def _natural_width(sizes: _Sizes, columns: int) -> int:
    return sizes.labels + columns * (sizes.cell + SPACE) - SPACE


def _tiles(sizes: _Sizes, y: int, x: int) -> list[Box]:
    height, width = sizes.tile
    rows = _stack(sizes, y, x, sizes.rows, width)
    return [Box(row.y + _even((row.height - height) // 2), x, height, width) for row in rows]


def _stack(sizes: _Sizes, y: int, x: int, heights: list[int], width: int) -> list[Box]:
    boxes = []
    y += BORDER
    for height in heights:
        boxes.append(Box(y, x, height, width))
        y += height + GAP
    return boxes


def _even(number: int) -> int:
    return number // 2 * 2
