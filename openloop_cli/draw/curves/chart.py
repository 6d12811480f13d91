"""What a chart holds: lines over steps, each with its bounds. Numbers that are missing are None."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
      name: In words, for legends.
      style: Its class in the style sheets, such as `model`, `floor`, `entry2`.
      values: One number for each step from the chart's `first` on.
      low, high: The bounds of its interval, or nothing.
      term: The word under which the tree's definitions explain it.
      mean: The mean over the imagined steps, None where unknown.
      hidden: Not shown at first where a legend can be ticked, and not at all where it cannot.
    """

    name: str
    style: str
    values: Values
    low: Values = ()
    high: Values = ()
    term: str = ""
    mean: float | None = None
    hidden: bool = False


@dataclass(frozen=True)
class Chart:
    """Curves that share an axis.

    Attributes:
      id: Unique on a page, fit for an HTML id.
      title: What is shown.
      unit: What the numbers are, and which of them are better.
      first: The step of the first value: 0 is the last step that the model sees, 1 the first
        that it imagines.
      lines: The most important one first; it is drawn last, on top.
      note: One sentence on how to read it.
      zero: Whether 0 is a mark of its own.
      limits: What the vertical axis may show at most; a band is cut off there.
      domain: What the vertical axis shows, whatever the lines hold; None to fit them.
      term: The word under which the tree's definitions explain the numbers.
      key: The observation key, empty for what is not of one.
      axis: Where the values stand when not at steps that follow each other, rising; such a chart
        is over training steps, and no cursor belongs to it.
    """

    id: str
    title: str
    unit: str
    first: int
    lines: tuple[Line, ...]
    note: str = ""
    zero: bool = False
    limits: tuple[float | None, float | None] = (None, None)
    domain: tuple[float, float] | None = None
    term: str = ""
    key: str = ""
    axis: Values = ()

    def at(self, index: int) -> float:
        """Where the n-th value stands."""
        place = self.axis[index] if self.axis else self.first + index
        assert place is not None
        return place

    @property
    def ends(self) -> tuple[float, float]:
        """Where the horizontal axis begins and ends."""
        return self.at(0), self.at(self.last - self.first)

    def named(self, index: int) -> str:
        """What the n-th place is called."""
        return f"{self.at(index):,.0f}" if self.axis else ahead(self.first + index)

    @property
    def last(self) -> int:
        """The step of the last value."""
        return self.first + max(len(line.values) for line in self.lines) - 1


def numbers(series: Any) -> Values:
    """A list of a tree as floats; what is no finite number becomes None."""
    if not isinstance(series, (list, tuple)):
        return ()
    return tuple(number(x) for x in series)


def number(value: Any) -> float | None:
    """A float, or None for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def vertical(chart: Chart) -> tuple[float, float]:
    """The lowest and the highest value that the axis shows, with a little air.

    All lines are shown whole. Bounds may widen that, but not to more than three times: one
    hopelessly wide interval must not make all curves flat. `limits` cuts both.
    """
    if chart.domain:
        return _aired(*chart.domain)
    values = [v for line in chart.lines for v in line.values if v is not None]
    if not values:
        return (0.0, 1.0)
    if chart.zero:
        values.append(0.0)
    low, high = _cut(min(values), max(values), chart.limits)
    bounds = [v for line in chart.lines for v in (*line.low, *line.high) if v is not None]
    room = max(high - low, 1e-9 * max(abs(low), abs(high)))
    widest = _cut(min([low, *bounds]), max([high, *bounds]), chart.limits)
    return _aired(max(widest[0], low - room), min(widest[1], high + room))


def _aired(low: float, high: float) -> tuple[float, float]:
    if high <= low:
        air = abs(high) * 0.1 or 1.0
        return low - air, high + air
    air = (high - low) * 0.04
    return low - air, high + air


def _cut(low: float, high: float, limits: tuple[float | None, float | None]) -> tuple[float, float]:
    least, most = limits
    return (
        low if least is None else max(low, least),
        high if most is None else min(high, most),
    )


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from `low` to `high`, at most so many: 1, 2 or 5 times a power of ten apart."""
    span = high - low
    if span <= 0 or most < 1:
        return []
    power = 10.0 ** math.floor(math.log10(span / most))
    for factor in (1, 2, 5, 10, 20):
        step = power * factor
        first = math.ceil(low / step - 1e-9)
        count = math.floor(high / step + 1e-9) - first + 1
        if count <= most:
            return [(first + i) * step for i in range(count)]
    return []


def step_ticks(first: int, last: int, most: int) -> list[int]:
    """Steps to name: the first that is imagined, round ones, and the last."""
    for apart in (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 5000):
        inner = [k for k in range(first, last + 1) if k % apart == 0 and k != 0]
        inner = [k for k in inner if min(abs(k - 1), abs(k - last)) >= 0.6 * apart or k == last]
        found = sorted({*inner, *(k for k in (1, last) if first <= k <= last)})
        if len(found) <= most:
            return found
    return [last]


def shown(value: float | None) -> str:
    """A number for people: three significant digits, no more than they can use."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e6 or size < 1e-4:
        return f"{value:.2g}".replace("-", "−")
    digits = 0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 1 else 3 if size >= 0.1 else 4
    return f"{value:,.{digits}f}".replace("-", "−")


def tick_label(value: float, labels: Sequence[float]) -> str:
    """A tick's number with as many decimals as its neighbours need."""
    apart = min((b - a for a, b in pairwise(labels)), default=abs(value) or 1)
    if apart < 1e-4 or abs(value) >= 1e6:
        return f"{value:.3g}".replace("-", "−")
    decimals = max(0, -math.floor(math.log10(apart) + 1e-9))
    return f"{value:,.{decimals}f}".replace("-", "−")


def ahead(step: int) -> str:
    """A step as people read it: `+3` is the third that the model imagines."""
    return f"+{step}" if step > 0 else str(step).replace("-", "−")
