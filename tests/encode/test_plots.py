"""Plots as files: SVG by ourselves, PNG where matplotlib is, one clear line where it is not."""

import sys
import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from openloop_cli.draw.curves import Chart, Line
from openloop_cli.encode.plots import write_plots
from openloop_cli.errors import NotInstalledError, OptionError

ODD = Line("mo$del", "model", (1.0, None, 2.0), (0.5, None, 1.5), (1.5, None, 2.5))
LONE = (Line("_x", "truth", (0.1,)), Line("y", "floor", (None,)))
CHARTS = [
    Chart("a", "price in $ or $$", "u", -2, (ODD,)),
    Chart("b", "skill", "u", 1, LONE, zero=True),
]


def test_svg(tmp_path):
    write_plots(tmp_path / "a.svg", CHARTS, "two & more")
    root = ET.parse(tmp_path / "a.svg").getroot()
    assert "two & more" in "".join(root.itertext())


def test_png(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    write_plots(tmp_path / "a.png", CHARTS, "$\\frac{")
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        assert image.size[0] > 1000


def test_png_without_matplotlib_names_the_extra(tmp_path, monkeypatch):
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(NotInstalledError, match="matplotlib, which is not installed") as error:
        write_plots(tmp_path / "a.png", CHARTS)
    assert "openloop[plot]" in error.value.hint
    assert not list(tmp_path.iterdir())


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(OptionError, match="unsupported extension"):
        write_plots(tmp_path / "a.pdf", CHARTS)
