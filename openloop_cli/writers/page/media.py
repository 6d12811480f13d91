"""What a page shows that moves: windows -> one small video, stills and traces.

All shown windows lie in one video, the hardest first, each a block of tiles side by side in a
border that is green while the model sees and red while it imagines. A page crops one block out
of it; without scripts it shows them all. One video costs one encoding and one decoder.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

import numpy as np

from openloop_cli.arrays import Array, Frames
from openloop_cli.grid import Legend, Row, default_scale, text
from openloop_cli.grid.explained import BACKGROUND, IMAGINED, OBSERVED
from openloop_cli.writers.still import chosen_steps, mosaic, png_bytes
from openloop_cli.writers.video import write_mp4

MOST_WINDOWS, EXTREMES = 16, 3
# What a page's videos may weigh together; in base64 they are a third larger.
VIDEO_BYTES = 2_600_000
_COARSENESS = (18, 24, 30, 36)
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
    """At most 16 of the measured windows: the hardest, the easiest, then others as they came.

    Args:
      errors: Mean imagined error of each window, (B,); of `psnr` the mse.
      metric: What the errors are.
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
    """Encode the shown windows of rows of videos (B, T, H, W, 3) as one video, and draw stills.

    Args:
      share: How many videos a page has; they share its weight.
    """
    order = [shown.index for shown in windows]
    rows = [Row(row.label, row.video[order], row.note, row.legend) for row in rows]
    steps = rows[0].video.shape[1]
    scale = default_scale(*rows[0].video.shape[2:4])
    if max(rows[0].video.shape[2:4]) > 128:
        scale = 1
    frames, blocks, block = _sheet(rows, [f"window {i + 1}" for i in order], context, scale)
    chosen = chosen_steps(context, steps)
    stills = tuple(
        (place, png_bytes(mosaic(rows, place, chosen, context, 1)))
        for place in _worth_a_still(windows)
    )
    height, width = frames.shape[1:3]
    mp4 = _encoded(frames, fps, VIDEO_BYTES // share)
    return Player(
        key,
        tuple(row.label for row in rows),
        mp4,
        (width, height),
        tuple(blocks),
        block,
        stills,
        tuple(chosen),
        {row.label: row.legend for row in rows if row.legend},
    )


def _score(error: float, metric: str) -> str:
    if metric == "psnr":
        return f"{-10 * np.log10(max(float(error), 1e-10)):.1f} dB"
    return f"{float(error):.3g}"


def _worth_a_still(windows: Sequence[Shown]) -> list[int]:
    """The hardest, the easiest and one between; of few windows the first."""
    wanted = ("hardest", "", "easiest")
    places = [[i for i, w in enumerate(windows) if w.group == g] for g in wanted]
    return [group[0] for group in places if group]


def _sheet(
    rows: Sequence[Row], names: Sequence[str], context: int, scale: int
) -> tuple[Frames, list[tuple[int, int]], tuple[int, int]]:
    """Frames with a block for each window, the blocks' corners (x, y), and a block's size."""
    count, steps, height, width, _ = rows[0].video.shape
    tile = (_even(height * scale), _even(width * scale))
    block = (2 * _BORDER + len(rows) * (tile[1] + _GAP) - _GAP, 2 * _BORDER + tile[0])
    words = _even(text.height_of(_WORDS) + 4)
    columns = _columns(count, block)
    size = (
        ceil(count / columns) * (words + block[1] + _SPACE) - _SPACE,
        columns * (block[0] + _SPACE) - _SPACE,
    )
    corners = [
        (
            place % columns * (block[0] + _SPACE),
            place // columns * (words + block[1] + _SPACE) + words,
        )
        for place in range(count)
    ]
    # What stands still is drawn once for both halves, and copied: filling every frame with a
    # colour costs more than everything else here.
    frames = np.empty((steps, *size, 3), np.uint8)
    frames[:context] = _backdrop(size, names, corners, block, words, OBSERVED)
    frames[context:] = _backdrop(size, names, corners, block, words, IMAGINED)
    down, right = (np.repeat(np.arange(n), scale) for n in (height, width))
    for place, (x, y) in enumerate(corners):
        inside = frames[:, y + _BORDER :, x + _BORDER :]
        for across, row in enumerate(rows):
            left = across * (tile[1] + _GAP)
            large = row.video[place].take(right, 2).take(down, 1)
            inside[:, : large.shape[1], left : left + large.shape[2]] = large
    return frames, corners, block


def _backdrop(
    size: tuple[int, int],
    names: Sequence[str],
    corners: Sequence[tuple[int, int]],
    block: tuple[int, int],
    words: int,
    border: text.Colour,
) -> Array:
    """A frame with all blocks' borders and names and no tiles: (height, width, 3)."""
    frame = np.empty((*size, 3), np.uint8)
    frame[:] = BACKGROUND
    for name, (x, y) in zip(names, corners, strict=True):
        word = text.words(name, _WORDS, (158, 164, 176), BACKGROUND)[:, : block[0]]
        frame[y - words : y - words + word.shape[0], x : x + word.shape[1]] = word
        frame[y : y + block[1], x : x + block[0]] = border
        frame[y + _BORDER : y + block[1] - _BORDER, x + _BORDER : x + block[0] - _BORDER] = (
            BACKGROUND
        )
    return frame


def _columns(count: int, block: tuple[int, int]) -> int:
    """As many blocks across as make the picture nearest to a screen's shape."""

    def off(columns: int) -> float:
        shape = columns * block[0] / (ceil(count / columns) * (block[1] + 30))
        return max(shape / 1.6, 1.6 / shape)

    return min(range(1, count + 1), key=off)


def _encoded(frames: Frames, fps: float, most: int) -> bytes:
    """As fine as fits into so many bytes; the coarsest if nothing does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        for crf in _COARSENESS:
            write_mp4(path, frames, fps, crf=crf)
            data = path.read_bytes()
            if len(data) <= most:
                break
    return data


def _even(number: int) -> int:
    return number + number % 2
