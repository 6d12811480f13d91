"""Curves: every number where its axis says, gaps where numbers lack, text that stays text."""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from openloop_cli.draw.curves import Chart, Line, Named, charts, draw, sheet
from openloop_cli.draw.curves.chart import (
    ahead,
    number,
    shown,
    step_ticks,
    tick_label,
    ticks,
    vertical,
)
from openloop_cli.draw.curves.palette import ENTRIES, PALETTE, entry_style

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</title><script>alert(1)</script>\"'&"


def chart(values, low=(), high=(), **fields):
    line = Line("model", "model", tuple(values), tuple(low), tuple(high))
    return Chart(**({"id": "c", "title": "t", "unit": "u", "first": 1, "lines": (line,)} | fields))


def parsed(svg):
    return ET.fromstring(
        svg if "xmlns" in svg else svg.replace("<svg", f'<svg xmlns="{SVG[1:-1]}"')
    )


def points(path):
    return [tuple(map(float, p.split())) for p in re.split("[ML]", path.removesuffix("Z")) if p]


def steps_and_values(svg):
    """The main line's points, back in steps and values."""
    first, last, left, right = map(float, svg.get("data-x").split())
    low, high, bottom, top = map(float, svg.get("data-y").split())
    (line,) = [p for p in svg.iter(f"{SVG}path") if p.get("class") == "line model"]
    return [
        (first + (x - left) / (right - left) * (last - first),
         low + (bottom - y) / (bottom - top) * (high - low))
        for x, y in points(line.get("d"))
    ]  # fmt: skip


def test_each_value_stands_where_the_axes_say():
    values = [31.5, 30.25, 28.0, 29.5]
    svg = parsed(draw(chart(values, first=-1), 500, 300))
    found = steps_and_values(svg)
    assert [round(step, 1) for step, _ in found] == [-1, 0, 1, 2]
    assert [value for _, value in found] == pytest.approx(values, abs=0.02)


def test_a_gap_is_a_gap_and_a_lone_step_a_dot():
    svg = parsed(draw(chart([1.0, 2.0, None, 3.0, None, 4.0, 5.0]), 400, 200))
    (line,) = [p for p in svg.iter(f"{SVG}path") if p.get("class") == "line model"]
    assert [len(points(piece)) for piece in line.get("d").split("M")[1:]] == [2, 2]
    assert len(list(svg.iter(f"{SVG}circle"))) == 1


def test_a_band_reaches_from_low_to_high():
    svg = parsed(draw(chart([2.0, 3.0], [1.0, 2.0], [3.0, 4.0]), 400, 200))
    (band,) = [p for p in svg.iter(f"{SVG}path") if "band" in (p.get("class") or "")]
    low, high, bottom, top = map(float, svg.get("data-y").split())
    found = [low + (bottom - y) / (bottom - top) * (high - low) for _, y in points(band.get("d"))]
    assert found == pytest.approx([3.0, 4.0, 2.0, 1.0], abs=0.02)


def test_one_hopeless_interval_does_not_flatten_the_curve():
    low, high = vertical(chart([1.0, 2.0], [0.9, -1e6], [1.1, 1e6]))
    assert low > -1
    assert high < 4


def test_limits_cut_the_axis_and_the_band():
    skill = chart([0.5, -40.0], [0.1, -90.0], [0.9, 3.0], zero=True, limits=(-1.0, 1.5))
    low, high = vertical(skill)
    assert -1.2 < low < -0.9
    assert high < 1.7
    svg = parsed(draw(skill, 400, 200))
    area_low, _, bottom, top = map(float, svg.get("data-y").split())
    assert area_low == pytest.approx(low, rel=1e-5)
    for path in svg.iter(f"{SVG}path"):
        if "band" in (path.get("class") or "") or "line" in (path.get("class") or ""):
            assert all(top <= y <= bottom for _, y in points(path.get("d")))


@pytest.mark.parametrize(
    "values", [[], [None, None], [3.0, 3.0], [0.0], [1e-12, 2e-12], [1e9, 2e9]]
)
def test_degenerate_lines_are_drawn(values):
    drawn = chart(values or [None])
    low, high = vertical(drawn)
    assert low < high
    parsed(draw(drawn, 400, 200))


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (24.9, 33.2), (-1, 1), (1e-7, 3e-7), (-3e5, 7e8)]
)
@pytest.mark.parametrize("most", [2, 5, 9])
def test_ticks_are_round_few_and_inside(low, high, most):
    found = ticks(low, high, most)
    assert 1 <= len(found) <= most
    assert all(low - 1e-9 * abs(high) <= tick <= high * (1 + 1e-9) for tick in found)
    if len(found) > 1:
        apart = found[1] - found[0]
        mantissa = apart / 10 ** math.floor(math.log10(apart) + 1e-9)
        assert min(abs(mantissa - m) for m in (1, 2, 5, 10)) < 1e-6
        labels = [tick_label(tick, found) for tick in found]
        assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("first", "last"), [(0, 25), (-24, 25), (1, 1), (1, 8), (-31, 32), (1, 1000)]
)
def test_steps_are_named_at_both_ends(first, last):
    found = step_ticks(first, last, 8)
    assert len(found) <= 8
    assert found[-1] == last
    assert 1 in found
    assert found == sorted(set(found))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (30.04, "30.0"), (-1.5, "−1.50"), (0.1234, "0.123"),
     (0.00123, "0.0012"), (12345.6, "12,346"), (1.5e-7, "1.5e−07")],
)  # fmt: skip
def test_numbers_for_people(value, text):
    assert shown(value) == text


def test_only_finite_numbers_are_numbers():
    assert [number(x) for x in (1, 2.5, None, math.nan, math.inf, "3", True)] == [
        1.0, 2.5, None, None, None, None, None,
    ]  # fmt: skip
    assert [ahead(k) for k in (-3, 0, 4)] == ["−3", "0", "+4"]


def test_hostile_names_stay_text():
    line = Line(HOSTILE, "model", (1.0, 2.0))
    bad = chart([1.0], title=HOSTILE, unit=HOSTILE, lines=(line,))
    for svg in (draw(bad, 400, 200), sheet([bad, bad], heading=HOSTILE)):
        found = parsed(svg)
        assert not list(found.iter(f"{SVG}script"))
        assert HOSTILE in "".join(found.itertext())


def test_a_sheet_holds_all_charts_inside_its_edges():
    many = [replace(chart([1.0, 2.0]), id=f"c{i}", title=f"chart {i}") for i in range(5)]
    svg = parsed(sheet(many, heading="five"))
    width, height = float(svg.get("width")), float(svg.get("height"))
    places = [
        tuple(map(float, re.findall(r"[\d.]+", g.get("transform")))) for g in svg.findall(f"{SVG}g")
    ]
    assert len(places) == len(set(places)) == 5
    assert all(x + 520 <= width and y + 260 <= height for x, y in places)
    assert all(f"chart {i}" in "".join(svg.itertext()) for i in range(5))


def series(values):
    bounds = {"low": [v - 1 for v in values], "high": [v + 1 for v in values]}
    return {"mean": sum(values) / len(values), "per_step": values, **bounds}


def tree(level=0.0):
    """One image key, three imagined steps after two that were seen."""
    paths = {"model": 26.0, "floor": 30.0, "persistence": 22.0}
    imagined = {k: {"psnr": series([v + level, v, v - level])} for k, v in paths.items()}
    return {
        "rollout": {"length": 5, "context": 2},
        "observations": {
            "image": {
                "kind": "image",
                "context": {"model": {"psnr": series([20.0, 40.0])}},
                "imagined": imagined,
                "skill": series([0.1, 0.2, 0.3]),
            }
        },
        "reward": {"predicted": series([1.0] * 5), "recorded": series([2.0] * 5)},
        "drift": series([1.0, 2.0, 3.0]),
    }


def test_one_tree_is_drawn_with_its_baselines():
    found = {c.id: c for c in charts([Named(tree(), "a")])}
    assert list(found) == ["k0-error", "k0-skill", "drift", "reward"]
    names = [line.name for line in found["k0-error"].lines]
    assert names == ["model", "floor", "persistence"]
    assert [line.hidden for line in found["k0-error"].lines] == [False, False, True]
    assert found["k0-error"].first == 0
    assert found["k0-error"].lines[0].values == (40.0, 26.0, 26.0, 26.0)
    assert found["k0-error"].lines[1].values[0] is None
    assert (found["reward"].first, found["reward"].last) == (-1, 3)
    assert found["k0-skill"].first == 1


def test_several_trees_are_a_line_each():
    trees = [tree(level) for level in (0.0, 1.0, 2.0)]
    found = {c.id: c for c in charts([Named(t, f"run {i}") for i, t in enumerate(trees)])}
    lines = found["k0-error"].lines
    assert [line.name for line in lines] == ["run 0", "run 1", "run 2", "persistence"]
    assert len({line.style for line in lines}) == 4
    assert [line.values[1:] for line in lines[:3]] == [(26, 26, 26), (27, 26, 25), (28, 26, 24)]


def test_checkpoints_of_one_run_stand_at_their_training_steps():
    trees = [tree(level) | {"checkpoint": {"step": step}} for level, step in ((2, 900), (0, 100))]
    found = {c.id: c for c in charts([Named(t, f"run {i}") for i, t in enumerate(trees)])}
    chart = found["k0-training"]
    assert chart.axis == (100, 900)
    assert [line.name for line in chart.lines] == ["imagined +1", "imagined +3"]
    assert [line.values for line in chart.lines] == [(26, 28), (26, 24)]
    svg = parsed(draw(chart, 400, 200))
    assert svg.get("data-x") is None
    dots = [float(dot.get("cx")) for dot in svg.iter(f"{SVG}circle")]
    assert len(dots) == 4
    assert len(set(dots)) == 2


def test_checkpoints_of_several_runs_share_no_training():
    trees = [tree() | {"checkpoint": {"step": s}, "run": {"name": str(s)}} for s in (1, 2)]
    assert "k0-training" not in {c.id for c in charts([Named(t, "a") for t in trees])}


@pytest.mark.parametrize(
    "empty",
    [
        {},
        {"observations": {}},
        {"observations": {"image": {}}},
        {"observations": {"x": {"kind": "else"}}, "drift": None},
        {"reward": {"predicted": {"per_step": [None, None]}}},
    ],
)
def test_a_tree_without_numbers_has_no_charts(empty):
    assert charts([Named(empty, "a")]) == []


def test_many_entries_reuse_styles_that_exist():
    assert {entry_style(i) for i in range(20)} <= set(PALETTE)
    assert entry_style(0) == entry_style(ENTRIES)


@pytest.mark.parametrize(("paper", "field"), [("#fcfcfa", "light"), ("#131518", "dark")])
def test_every_colour_stands_out_from_the_paper(paper, field):
    for style, look in PALETTE.items():
        assert contrast(getattr(look, field), paper) >= 3, style


def contrast(a: str, b: str) -> float:
    """WCAG's contrast of two colours."""
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
