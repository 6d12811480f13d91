"""Charts -> one file of curves: SVG by ourselves, PNG by matplotlib where it is installed."""

import io
from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

from openloop_cli.draw.curves import Chart, Line, sheet
from openloop_cli.draw.curves.chart import ahead, step_ticks, vertical
from openloop_cli.draw.curves.palette import PALETTE
from openloop_cli.errors import NotInstalledError, OptionError
from openloop_cli.storage.atomic import write_bytes, write_text

PLOT_KINDS = (".svg", ".png")
_COLUMNS = 2
_DPI = 144


def write_plots(path: Path, charts: Sequence[Chart], heading: str = "") -> None:
    """Write charts as the kind that the path's ending names, whole or not at all.

    Raises:
      OptionError: Another ending.
      NotInstalledError: A PNG without matplotlib.
      OutputError: A place that cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in PLOT_KINDS:
        raise OptionError(
            f"--out {path}: unsupported extension", hint=f"use {' or '.join(PLOT_KINDS)}"
        )
    # A picture has no boxes to tick.
    charts = [replace(x, lines=tuple(y for y in x.lines if not y.hidden)) for x in charts]
    if kind == ".svg":
        write_text(path, sheet(charts, heading=heading, columns=_COLUMNS))
    else:
        write_bytes(path, _png(path, charts, heading))


def _png(path: Path, charts: Sequence[Chart], heading: str) -> bytes:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise NotInstalledError(f"{path}", "matplotlib", "plot", otherwise="use .svg") from None
    lines = ceil(len(charts) / _COLUMNS)
    figure = Figure((6.4 * min(_COLUMNS, len(charts)), 3.7 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    # A name with dollar signs is a name, not a formula.
    figure.suptitle(heading, parse_math=False)
    for index, chart in enumerate(charts):
        _draw(figure.add_subplot(lines, min(_COLUMNS, len(charts)), index + 1), chart)
    with io.BytesIO() as buffer:
        figure.savefig(buffer, format="png", dpi=_DPI)
        return buffer.getvalue()


def _draw(axes: Any, chart: Chart) -> None:
    axes.set_title(chart.title, loc="left", fontsize=10, fontweight="bold", parse_math=False)
    axes.set_ylabel(chart.unit, fontsize=8, parse_math=False)
    axes.set_xlabel("training step" if chart.axis else "steps after the context", fontsize=8)
    if chart.first < 0:
        axes.axvspan(chart.first, 0.5, color="#f1f2ed", zorder=0)
    if chart.zero:
        axes.axhline(0, color="#8b919b", linewidth=1)
    for line in reversed(chart.lines):
        _draw_line(axes, chart, line)
    low, high = vertical(chart)
    first, last = chart.ends
    axes.set(ylim=(low, high), xlim=(first, max(last, first + 1)))
    if not chart.axis:
        steps = step_ticks(chart.first, chart.last, 9)
        axes.set_xticks(steps, [ahead(step) for step in steps])
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#e6e7e4")
    axes.spines[["top", "right"]].set_visible(False)
    handles, _ = axes.get_legend_handles_labels()
    legend = axes.legend(handles[::-1], [line.name for line in chart.lines], fontsize=7)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _draw_line(axes: Any, chart: Chart, line: Line) -> None:
    look = PALETTE[line.style]
    steps = [chart.at(i) for i in range(len(line.values))]
    dashes = tuple(float(x) / look.width for x in look.dashes.split())
    axes.plot(
        steps,
        [_gap(v) for v in line.values],
        color=look.light,
        linewidth=look.width * 0.8,
        linestyle=(0, dashes) if dashes else "-",
        label=line.style,
        marker="o" if chart.axis or len(steps) == 1 else None,
        markersize=3,
    )
    if line.low and line.high:
        bounds = [[_gap(v) for v in line.low], [_gap(v) for v in line.high]]
        opacity = 0.2 if line is chart.lines[0] else 0.08
        axes.fill_between(steps, *bounds, color=look.light, alpha=opacity, linewidth=0)


def _gap(value: float | None) -> float:
    return float("nan") if value is None else value
