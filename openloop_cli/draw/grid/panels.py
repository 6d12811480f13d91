"""Vector observations as small line plots: which dimensions are worth a row, and their panels.

A panel shows one dimension of one window over all steps: truth and prediction, the spread of
the imagined futures as a band, green ground where the model sees the values, red where it
imagines them. Panels are drawn twice as large with Pillow and halved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from openloop_cli.arrays import Array
from openloop_cli.draw.grid.frame import BACKGROUND, BRIGHT, IMAGINED, OBSERVED
from openloop_cli.draw.grid.text import Colour

TRUTH = BRIGHT
PREDICTION = (77, 166, 255)
_LARGER = 2
_GROUND = 0.13
BAND = 0.45
_ZERO = 0.2
_ROOM = 0.06
# An imagined value may run away; beyond this many ranges of the truth it is cut off.
_RUNAWAY = 2.0


@dataclass(frozen=True)
class Lines:
    """One vector key: truth and prediction (B, T, …), in its own units or as classes.

    Attributes:
      band: Lower and upper bound (B, H, …) over the imagined steps, such as mean ± spread.
      discrete: Classes, drawn as steps.
    """

    key: str
    truth: Array
    prediction: Array
    band: tuple[Array, Array] | None = None
    discrete: bool = False


@dataclass(frozen=True)
class Dimension:
    """One row of panels: truth and prediction (B, T), band two of (B, H), the axis' range."""

    label: str
    truth: Array
    prediction: Array
    band: tuple[Array, Array] | None
    discrete: bool
    low: float
    high: float


def choose(lines: Sequence[Lines], most: int) -> tuple[list[Dimension], str]:
    """The dimensions that vary most, at most so many, fairly over the keys; and in words which."""
    orders = [np.argsort(-_variances(one), kind="stable") for one in lines]
    counts = [0] * len(lines)
    # Round by round, so that no key is crowded out by one of many dimensions.
    for turn in range(max(map(len, orders), default=0)):
        for index, order in enumerate(orders):
            if turn < len(order) and sum(counts) < most:
                counts[index] += 1
    rows: list[Dimension] = []
    words = []
    for one, order, count in zip(lines, orders, counts, strict=True):
        rows.extend(_dimension(one, index) for index in sorted(order[:count].tolist()))
        if count < len(order):
            words.append(f"{count} of the {len(order)} of {one.key}")
    left_out = f"Shown are the dimensions that vary most: {', '.join(words)}." if words else ""
    return rows, left_out


def ground(context: int, steps: int, width: int) -> Array:
    """(width, 3): what lies behind the lines; green while observing, red while imagining."""
    colours = np.empty((width, 3), np.uint8)
    colours[:] = mixed(IMAGINED, BACKGROUND, _GROUND)
    colours[: edge(context, steps, width)] = mixed(OBSERVED, BACKGROUND, _GROUND)
    return colours


def edge(step: int, steps: int, width: int) -> int:
    """Where a step begins."""
    return round(step * width / steps)


def panel(row: Dimension, window: int, context: int, height: int, width: int) -> Array:
    """(height, width, 3): one window's plot of one dimension."""
    steps = row.truth.shape[1]
    tall, wide = height * _LARGER, width * _LARGER
    behind = np.broadcast_to(ground(context, steps, wide), (tall, wide, 3))
    image = Image.fromarray(np.ascontiguousarray(behind))
    draw = ImageDraw.Draw(image)
    if row.low < 0 < row.high and not row.discrete:
        y = heights(row, np.zeros(1), tall)[0]
        draw.line([(0, y), (wide, y)], mixed(BRIGHT, BACKGROUND, _ZERO), _LARGER)
    if row.band is not None:
        _draw_band(draw, row, window, context, tall, wide)
    for values, colour, thick in ((row.truth, TRUTH, 5), (row.prediction, PREDICTION, 3)):
        for points in _strokes(row, values[window], tall, wide):
            draw.line(points, colour, thick, joint="curve")
    return np.asarray(image.reduce(_LARGER))


def heights(row: Dimension, values: Array, height: int) -> Array:
    """Values -> pixels from the top of a panel; NaN stays NaN."""
    share = (np.clip(values, row.low, row.high) - row.low) / (row.high - row.low)
    return np.asarray((1 - _ROOM - share * (1 - 2 * _ROOM)) * (height - 1))


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """`share` of one colour, the rest of the other."""
    red, green, blue = (
        round(share * a + (1 - share) * b) for a, b in zip(colour, other, strict=True)
    )
    return red, green, blue


def _variances(lines: Lines) -> Array:
    """(D,) over windows and steps, missing values aside."""
    values = _flat(lines.truth)
    known = np.isfinite(values)
    count = np.maximum(1, known.sum((0, 1)))
    mean = np.where(known, values, 0).sum((0, 1)) / count
    return np.asarray(np.square(np.where(known, values - mean, 0)).sum((0, 1)) / count)


def _dimension(lines: Lines, index: int) -> Dimension:
    truth, prediction = _flat(lines.truth)[..., index], _flat(lines.prediction)[..., index]
    band = None
    if lines.band is not None:
        band = (_flat(lines.band[0])[..., index], _flat(lines.band[1])[..., index])
    said = np.concatenate([x.ravel() for x in (prediction, *(band or ()))])
    low, high = _range(truth, said, discrete=lines.discrete)
    shape = lines.truth.shape[2:]
    place = ",".join(str(i) for i in np.unravel_index(index, shape)) if shape else ""
    label = f"{lines.key}[{place}]" if place else lines.key
    return Dimension(label, truth, prediction, band, lines.discrete, low, high)


def _flat(values: Array) -> Array:
    """(B, N, …) -> (B, N, D) float64, missing values as NaN."""
    flat = values.reshape((*values.shape[:2], -1)).astype(np.float64)
    return np.where(np.isfinite(flat), flat, np.nan)


def _range(truth: Array, said: Array, *, discrete: bool) -> tuple[float, float]:
    """What the axis shows: the truth and, unless it runs away from a truth that moves, the rest."""
    truth, said = (values[np.isfinite(values)] for values in (truth, said))
    truth = truth if truth.size else said if said.size else np.zeros(1)
    low, high = float(truth.min()), float(truth.max())
    reach = np.inf if discrete or low == high else _RUNAWAY * (high - low)
    if said.size:
        low, high = (
            min(low, max(float(said.min()), low - reach)),
            max(high, min(float(said.max()), high + reach)),
        )
    least = 1 if discrete else max(1e-3 * max(abs(low), abs(high)), 1e-6)
    return (low, high) if high - low >= least else (low - least, high + least)


def _draw_band(
    draw: ImageDraw.ImageDraw, row: Dimension, window: int, context: int, height: int, width: int
) -> None:
    assert row.band is not None
    steps = row.truth.shape[1]
    x = _middles(steps, width)[context:]
    low, high = (heights(row, bound[window], height) for bound in row.band)
    known = np.isfinite(low) & np.isfinite(high)
    colour = mixed(PREDICTION, BACKGROUND, BAND)
    for run in _runs(known):
        there = zip(x[run], low[run], strict=True)
        back = zip(x[run][::-1], high[run][::-1], strict=True)
        points = [(float(a), float(b)) for a, b in (*there, *back)]
        if len(points) >= 4:
            draw.polygon(points, colour)


def _strokes(
    row: Dimension, values: Array, height: int, width: int
) -> Iterator[list[tuple[float, float]]]:
    """The line in pieces without a missing value; classes as steps."""
    y = heights(row, values, height)
    steps = len(values)
    for run in _runs(np.isfinite(y)):
        if row.discrete or run.stop - run.start == 1:
            edges = np.arange(run.start, run.stop + 1) * width / steps
            x = np.repeat(edges, 2)[1:-1]
            yield list(zip(x.tolist(), np.repeat(y[run], 2).tolist(), strict=True))
        else:
            x = _middles(steps, width)[run]
            yield list(zip(x.tolist(), y[run].tolist(), strict=True))


def _runs(known: Array) -> Iterator[slice]:
    """Where a mask (N,) is on without a gap."""
    ends = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
    for start, stop in ends.reshape(-1, 2).tolist():
        yield slice(start, stop)


def _middles(steps: int, width: int) -> Array:
    return (np.arange(steps) + 0.5) * width / steps
