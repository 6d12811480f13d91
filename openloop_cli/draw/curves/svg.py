"""Charts -> SVG text. Colours are classes: the page's style sheet, or `sheet`'s own, gives them.

The plot area is a plain linear map, told in `data-x` and `data-y` (first and last value, then
where they stand), so that a script can find any step without knowing how the picture was made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from openloop_cli.draw.curves.chart import (
    Chart,
    Line,
    Values,
    ahead,
    step_ticks,
    tick_label,
    ticks,
    vertical,
)
from openloop_cli.draw.curves.palette import line_styles
from openloop_cli.text import markup

_CHARACTER = 6.6
_SEEN_LABEL, _AHEAD_LABEL = "context", "imagined"

_SHEET_STYLE = """
text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#5a616c}
.title{font-size:14px;font-weight:600;fill:#1b1e23}.paper{fill:#fff}
.grid{stroke:#e6e7e4;stroke-width:1}.zero{stroke:#8b919b;stroke-width:1}.seen{fill:#f2f3ef}
.edge{stroke:#c3c6c1;stroke-width:1}.line{fill:none;stroke-width:1.6;stroke-linejoin:round}
.band{opacity:.1}.band.strong{opacity:.2}.dot{stroke:none}
"""


@dataclass(frozen=True)
class Area:
    """Where the curves lie inside a picture, and what its edges mean."""

    left: float
    right: float
    top: float
    bottom: float
    first: float
    last: float
    low: float
    high: float

    def x(self, step: float) -> float:
        """Where a step stands."""
        span = (self.last - self.first) or 1
        return self.left + (step - self.first) / span * (self.right - self.left)

    def y(self, value: float) -> float:
        """Where a value stands; what lies outside stands at the edge."""
        value = min(max(value, self.low), self.high)
        return self.bottom - (value - self.low) / (self.high - self.low) * (self.bottom - self.top)


def draw(chart: Chart, width: int, height: int, *, name: str = "", named: bool = True) -> str:
    """One chart as an `<svg>` element for a page, labelled for screen readers.

    Args:
      name: The id that its parts are named after, where a chart is drawn more than once.
      named: Whether the parts that are seen and imagined are named.
    """
    name = markup(name or chart.id)
    scale = "" if chart.axis else _map(_area(chart, width, height))
    return (
        f'<svg class="curves" role="img" aria-labelledby="{name}-t {name}-d"'
        f' viewBox="0 0 {width} {height}" {scale}>'
        f'<title id="{name}-t">{markup(chart.title)}</title>'
        f'<desc id="{name}-d">{markup(described(chart))}</desc>'
        f"{_parts(chart, width, height, named=named)}</svg>"
    )


def sheet(charts: Sequence[Chart], *, heading: str = "", columns: int = 2) -> str:
    """Several charts as one SVG file with titles and legends, on white paper."""
    width, height, gap, margin = 520, 260, 32, 24
    columns = max(1, min(columns, len(charts)))
    legends = [_legend(chart, width) for chart in charts]
    top = margin + (32 if heading else 0)
    parts: list[str] = []
    for begin in range(0, len(charts), columns):
        row = list(zip(charts, legends, strict=True))[begin : begin + columns]
        for place, (chart, (legend, _)) in enumerate(row):
            x = margin + place * (width + gap)
            parts.append(
                f'<g transform="translate({x} {top})">'
                f'<text class="title" x="0" y="14">{markup(chart.title)}</text>'
                f'<text x="0" y="32">{markup(chart.unit)}</text>'
                f'<g transform="translate(0 40)">{legend}</g>'
                f'<g transform="translate(0 {44 + max(lines for _, (_, lines) in row) * 18})">'
                f"{_parts(chart, width, height)}</g></g>"
            )
        top += 44 + max(lines for _, (_, lines) in row) * 18 + height + gap
    whole = 2 * margin + columns * width + (columns - 1) * gap
    title = f'<text class="title" x="{margin}" y="{margin + 10}">{markup(heading)}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{top}"'
        f' viewBox="0 0 {whole} {top}" role="img">'
        f"<title>{markup(heading or 'curves')}</title><style>{_SHEET_STYLE}{line_styles()}</style>"
        f'<rect class="paper" width="{whole}" height="{top}"/>'
        f"{title if heading else ''}{''.join(parts)}</svg>\n"
    )


def described(chart: Chart) -> str:
    """A chart in words: what its main line does from its first step to its last."""
    line = chart.lines[0]
    known = [(chart.named(i), v) for i, v in enumerate(line.values) if v is not None]
    if not known:
        return f"{line.name}: undefined at every step."
    (begin, start), (end, stop) = known[0], known[-1]
    others = ", ".join(other.name for other in chart.lines[1:])
    course = f"{start:.3g} at step {begin}, {stop:.3g} at {end}"
    text = f"{chart.unit}. {line.name}: {course}."
    return f"{text} Beside it: {others}." if others else text


def swatch(style: str) -> str:
    """A short piece of a line, for a legend."""
    return (
        '<svg class="swatch" viewBox="0 0 22 8" aria-hidden="true" focusable="false">'
        f'<path class="line {markup(style)}" d="M1 4H21"/></svg>'
    )


def _parts(chart: Chart, width: int, height: int, *, named: bool = True) -> str:
    area = _area(chart, width, height)
    behind = chart.lines[::-1]
    return "".join(
        [
            _seen(chart, area, named=named),
            _horizontals(chart, area, height),
            _steps(chart, area, height),
            *(_band(chart, line, area, strong=_leads(chart, line)) for line in behind),
            *(_line(chart, line, area) for line in behind),
        ]
    )


def _leads(chart: Chart, line: Line) -> bool:
    return line is chart.lines[0] or line.style.startswith("entry")


def _area(chart: Chart, width: int, height: int) -> Area:
    low, high = vertical(chart)
    labels = ticks(low, high, max(2, height // 44))
    longest = max((len(tick_label(v, labels)) for v in labels), default=1)
    left = 10 + _CHARACTER * longest
    return Area(left, width - 10, 20, height - 24, *chart.ends, low, high)


def _map(area: Area) -> str:
    x = [area.first, area.last, area.left, area.right]
    y = [area.low, area.high, area.bottom, area.top]
    return f'data-x="{" ".join(map(_n, x))}" data-y="{" ".join(f"{v:.7g}" for v in y)}"'


def _seen(chart: Chart, area: Area, *, named: bool) -> str:
    """The part that the model sees is tinted; both parts are named."""
    if chart.axis:
        return ""
    edge = area.x(min(max(0.5, area.first), area.last))
    words = f'<text x="{_n(edge + 6)}" y="13">{_AHEAD_LABEL}</text>' if named else ""
    if chart.first >= 0:
        return words
    if named:
        words += f'<text x="{_n(edge - 6)}" y="13" text-anchor="end">{_SEEN_LABEL}</text>'
    return (
        f'<rect class="seen" x="{_n(area.left)}" y="4" width="{_n(edge - area.left)}"'
        f' height="{_n(area.bottom - 4)}"/>'
        f'<path class="edge" d="M{_n(edge)} 4V{_n(area.bottom)}"/>'
        f"{words}"
    )


def _horizontals(chart: Chart, area: Area, height: int) -> str:
    labels = ticks(area.low, area.high, max(2, height // 44))
    parts = []
    for value in labels:
        y = area.y(value)
        kind = "zero" if chart.zero and value == 0 else "grid"
        parts.append(
            f'<path class="{kind}" d="M{_n(area.left)} {_n(y)}H{_n(area.right)}"/>'
            f'<text x="{_n(area.left - 6)}" y="{_n(y + 4)}" text-anchor="end">'
            f"{tick_label(value, labels)}</text>"
        )
    return "".join(parts)


def _steps(chart: Chart, area: Area, height: int) -> str:
    most = max(2, int((area.right - area.left) / 52))
    parts = []
    steps: list[float] = [*step_ticks(chart.first, chart.last, most)]
    if chart.axis:
        steps = ticks(area.first, area.last, most)
    for step in steps:
        anchor = "end" if step == area.last else "middle"
        x = area.right + 4 if step == area.last else area.x(step)
        word = tick_label(step, steps) if chart.axis else ahead(int(step))
        parts.append(f'<text x="{_n(x)}" y="{height - 8}" text-anchor="{anchor}">{word}</text>')
    return "".join(parts)


def _band(chart: Chart, line: Line, area: Area, *, strong: bool) -> str:
    """The interval as an area, one piece for each run of steps that have one."""
    if not line.low or not line.high:
        return ""
    paths = []
    for start, stop in _runs(line.low, line.high):
        steps = range(start, stop)
        up = [_at(area, chart.at(i), line.high[i]) for i in steps]
        down = [_at(area, chart.at(i), line.low[i]) for i in reversed(steps)]
        paths.append("M" + "L".join(up + down) + "Z")
    kind = f"band{' strong' if strong else ''} f-{markup(line.style)}"
    return f'<path class="{kind}" d="{"".join(paths)}"/>' if paths else ""


def _line(chart: Chart, line: Line, area: Area) -> str:
    """The curve; a step whose neighbours are undefined is a dot, and so is every checkpoint."""
    paths, dots = [], []
    for start, stop in _runs(line.values):
        points = [_at(area, chart.at(i), line.values[i]) for i in range(start, stop)]
        for x, y in (p.split() for p in points if chart.axis or len(points) == 1):
            dots.append(f'<circle class="dot f-{markup(line.style)}" cx="{x}" cy="{y}" r="2.6"/>')
        if len(points) > 1:
            paths.append("M" + "L".join(points))
    curve = f'<path class="line {markup(line.style)}" d="{"".join(paths)}"/>' if paths else ""
    return curve + "".join(dots)


def _runs(*series: Values) -> list[tuple[int, int]]:
    """Where all series are defined without a gap: pairs of begin and end."""
    runs: list[tuple[int, int]] = []
    defined = [all(v is not None for v in values) for values in zip(*series, strict=True)]
    for i, here in enumerate(defined):
        if here and runs and runs[-1][1] == i:
            runs[-1] = (runs[-1][0], i + 1)
        elif here:
            runs.append((i, i + 1))
    return runs


def _at(area: Area, step: float, value: float | None) -> str:
    assert value is not None
    return f"{_n(area.x(step))} {_n(area.y(value))}"


def _legend(chart: Chart, width: int) -> tuple[str, int]:
    """The lines' names in rows, and how many rows."""
    parts, x, row = [], 0.0, 0
    for line in chart.lines:
        needed = 40 + len(line.name) * _CHARACTER
        if x and x + needed > width:
            x, row = 0.0, row + 1
        y = row * 18 + 10
        parts.append(
            f'<path class="line {markup(line.style)}" d="M{_n(x)} {y - 4}h22"/>'
            f'<text x="{_n(x + 27)}" y="{y}">{markup(line.name)}</text>'
        )
        x += needed
    return "".join(parts), row + 1


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
