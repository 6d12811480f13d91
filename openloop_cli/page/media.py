"""What a page shows that moves: windows -> one small video, stills and traces.

All shown windows lie in one video, the hardest first, each a block of tiles side by side in a
border that is green while the model sees and red while it imagines. A page crops one block out
of it; without scripts it shows them all. One video costs one encoding and one decoder.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.draw.grid import Legend, Row, default_scale, text
from openloop_cli.draw.grid.explained import BACKGROUND, IMAGINED, OBSERVED
from openloop_cli.encode.still import chosen_steps, mosaic, png_bytes
from openloop_cli.encode.video import mp4_bytes
from openloop_cli.measures.metrics import psnr_of
from openloop_cli.quantities import metric as metric_of

MOST_WINDOWS, EXTREMES = 12, 3
# What a page's videos may weigh together; in base64 they are a third larger.
VIDEO_BYTES = 2_600_000
_COARSENESS = (22, 27, 32, 36)
# At these sizes as good as `veryfast` at four less, for two thirds of its time and as many bytes.
_PRESET = "superfast"
_BORDER, _GAP, _SPACE, _WORDS = 4, 4, 12, 12


@dataclass(frozen=True)
class Shown:
    """A window that is shown: its place among the measured ones, its mean imagined error in
    words, and whether it is one of the `hardest`, the `easiest` or neither."""

    index: int
    score: str
    group: str


@dataclass(frozen=True)
class Player:
    """One video of all shown windows.

    Attributes:
      key: The image key.
      labels: What the tiles of a block are, from left to right.
      mp4: The video.
      size: Its width and height.
      blocks: The upper left corner of each shown window's block.
      block: A block's width and height.
      tiles: Of each tile, by label, x and y within a block, width and height.
      stills: Of some windows, chosen steps: the place among the shown windows and a PNG.
      steps: The steps of the stills, from 0.
      legends: What the colours of tiles mean that are no pictures, by the tile's label.
    """

    key: str
    labels: tuple[str, ...]
    mp4: bytes
    size: tuple[int, int]
    blocks: tuple[tuple[int, int], ...]
    block: tuple[int, int]
    tiles: tuple[tuple[int, int, int, int], ...]
    stills: tuple[tuple[int, bytes], ...]
    steps: tuple[int, ...]
    legends: Mapping[str, Legend] = field(default_factory=dict)


@dataclass(frozen=True)
class Trace:
    """Numbers of one window over all its steps, recorded and predicted.

    Attributes:
      title: What is shown, such as `position 3`.
      recorded: (W, T), of the shown windows.
      predicted: By what it is called in legends, each (W, T).
      low, high: One standard deviation of the futures around their mean, (W, T) with NaN where
        there is none.
    """

    title: str
    recorded: Array
    predicted: Mapping[str, Array]
    low: Array | None = None
    high: Array | None = None


@dataclass(frozen=True)
class Media:
    """What a page shows that moves: the windows, hardest first, their videos and their traces."""

    windows: tuple[Shown, ...]
    context: int
    steps: int
    fps: float
    players: tuple[Player, ...] = ()
    traces: tuple[Trace, ...] = field(default=())


def order_windows(errors: Array, metric: str) -> tuple[Shown, ...]:
    """At most a dozen of the measured windows: the hardest, the easiest, then others as they came.

    Args:
      errors: Mean imagined error of each window, (B,).
      metric: What the errors are; those in `mse` are shown as PSNR.
    """
    ranked = [int(i) for i in np.argsort(-errors, kind="stable")]
    extremes = EXTREMES if len(ranked) >= 2 * EXTREMES + 1 else 0
    groups = dict.fromkeys(ranked[:extremes], "hardest")
    groups |= dict.fromkeys(ranked[len(ranked) - extremes :][::-1], "easiest")
    rest = sorted(set(ranked) - set(groups)) if extremes else ranked
    order = [*groups, *rest][:MOST_WINDOWS]
    return tuple(Shown(i, _score(errors[i], metric), groups.get(i, "")) for i in order)


def make_player(
    key: str,
    rows: Sequence[Row],
    windows: Sequence[Shown],
    context: int,
    fps: float,
    share: int = 1,
) -> Player:
    """Encode rows of videos of the shown windows (W, T, H, W, 3) as one video, and draw stills.

    Args:
      share: How many videos a page has; they share its weight.
    """
    steps = rows[0].video.shape[1]
    scale = default_scale(*rows[0].video.shape[2:4])
    if max(rows[0].video.shape[2:4]) > 128:
        scale = 1
    sheet = _sheet(rows, scale)
    chosen = chosen_steps(context, steps)
    stills = tuple(
        (place, png_bytes(mosaic(rows, place, chosen, context, 1)))
        for place in _worth_a_still(windows)
    )
    names = [f"window {shown.index + 1}" for shown in windows]
    mp4 = _encoded(sheet, rows, names, context, fps, VIDEO_BYTES // share)
    return Player(
        key,
        tuple(row.label for row in rows),
        mp4,
        (sheet.width, sheet.height),
        sheet.corners,
        sheet.block,
        tuple((sheet.left(i), _BORDER, *sheet.tile) for i in range(len(rows))),
        stills,
        tuple(chosen),
        {row.label: row.legend for row in rows if row.legend},
    )


def _score(error: float, metric: str) -> str:
    if metric == "mse":
        return metric_of("psnr").shown(float(psnr_of(np.asarray(error))), unit=True)
    return metric_of(metric).shown(float(error))


def _worth_a_still(windows: Sequence[Shown]) -> list[int]:
    """The hardest, the easiest and one between; of few windows the first."""
    wanted = ("hardest", "", "easiest")
    places = [[i for i, w in enumerate(windows) if w.group == g] for g in wanted]
    return [group[0] for group in places if group]


@dataclass(frozen=True)
class _Sheet:
    """Where everything lies in a page's video.

    Attributes:
      corners: Of each window's block, (x, y).
      block, tile: Width and height.
      words: The height of a window's name above its block.
    """

    width: int
    height: int
    corners: tuple[tuple[int, int], ...]
    block: tuple[int, int]
    tile: tuple[int, int]
    words: int
    scale: int

    def left(self, place: int) -> int:
        """Where the n-th tile begins in a block."""
        return _BORDER + place * (self.tile[0] + _GAP)


def _sheet(rows: Sequence[Row], scale: int) -> _Sheet:
    count, _, height, width, _ = rows[0].video.shape
    tile = (_even(width * scale), _even(height * scale))
    block = (2 * _BORDER + len(rows) * (tile[0] + _GAP) - _GAP, 2 * _BORDER + tile[1])
    words = _even(text.height_of(_WORDS) + 4)
    columns = _columns(count, block)
    across, down = block[0] + _SPACE, words + block[1] + _SPACE
    corners = [(i % columns * across, i // columns * down + words) for i in range(count)]
    size = columns * across - _SPACE, ceil(count / columns) * down - _SPACE
    return _Sheet(*size, tuple(corners), block, tile, words, scale)


def _frames(
    sheet: _Sheet, rows: Sequence[Row], names: Sequence[str], context: int
) -> Iterator[Array]:
    """One frame after the other, (height, width, 3): all together take hundreds of megabytes."""
    seen, ahead = (_backdrop(sheet, names, colour) for colour in (OBSERVED, IMAGINED))
    for step in range(rows[0].video.shape[1]):
        frame = (seen if step < context else ahead).copy()
        for across, row in enumerate(rows):
            left = sheet.left(across)
            # Across first: the other way around takes three times as long.
            large = row.video[:, step].repeat(sheet.scale, 2).repeat(sheet.scale, 1)
            height, width = large.shape[1:3]
            for (x, y), tile in zip(sheet.corners, large, strict=True):
                inside = frame[y + _BORDER :, x + left :]
                inside[:height, :width] = tile
        yield frame


def _backdrop(sheet: _Sheet, names: Sequence[str], border: text.Colour) -> Array:
    """A frame with all blocks' borders and names and no tiles: (height, width, 3)."""
    frame = np.empty((sheet.height, sheet.width, 3), np.uint8)
    frame[:] = BACKGROUND
    width, height = sheet.block
    for name, (x, y) in zip(names, sheet.corners, strict=True):
        word = text.words(name, _WORDS, (158, 164, 176), BACKGROUND)[:, :width]
        frame[y - sheet.words : y - sheet.words + word.shape[0], x : x + word.shape[1]] = word
        frame[y : y + height, x : x + width] = border
        inside = frame[y : y + height - _BORDER, x : x + width - _BORDER]
        inside[_BORDER:, _BORDER:] = BACKGROUND
    return frame


def _columns(count: int, block: tuple[int, int]) -> int:
    """As many blocks across as make the picture nearest to a screen's shape."""

    def off(columns: int) -> float:
        shape = columns * block[0] / (ceil(count / columns) * (block[1] + 30))
        return max(shape / 1.6, 1.6 / shape)

    return min(range(1, count + 1), key=off)


def _encoded(
    sheet: _Sheet, rows: Sequence[Row], names: Sequence[str], context: int, fps: float, most: int
) -> bytes:
    """As fine as fits into so many bytes; the coarsest if nothing does."""
    for crf in _COARSENESS:
        frames = _frames(sheet, rows, names, context)
        data = mp4_bytes(frames, fps, crf=crf, preset=_PRESET)
        if len(data) <= most:
            break
    return data


def _even(number: int) -> int:
    return number + number % 2
