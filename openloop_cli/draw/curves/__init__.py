"""Curves: a metrics tree -> charts -> SVG text. Pure; NumPy-free, so that plots start at once.

`charts` says which curves a tree has, `draw` makes one of them an `<svg>` for a page, `sheet`
makes several of them one SVG file.
"""

from openloop_cli.draw.curves.chart import Chart, Line
from openloop_cli.draw.curves.svg import draw, sheet
from openloop_cli.draw.curves.trees import Named, charts

__all__ = ["Chart", "Line", "Named", "charts", "draw", "sheet"]
