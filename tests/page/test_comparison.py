"""The page of a comparison: its verdict as the heading, and every difference with its interval."""

import copy

import pytest

from openloop_cli.compare.compare import compare
from openloop_cli.page.comparison import write_comparison_page
from openloop_cli.results.entries import Entry
from openloop_cli.results.metrics_file import PER_WINDOW

from .parsed import Parsed


def worse(tree):
    """The same run with images half as good again in every window, at every step."""
    tree = copy.deepcopy(tree)
    tree["headline"]["image"]["at"] = {
        step: psnr - 3 for step, psnr in tree["headline"]["image"]["at"].items()
    }
    errors = tree["observations"]["image"][PER_WINDOW]["model"]
    tree["observations"]["image"][PER_WINDOW]["model"] = [[2 * x for x in w] for w in errors]
    return tree


def page_of(path, *trees):
    comparison = compare([Entry(f"step {n}", tree, f"{n}") for n, tree in enumerate(trees, 1)])
    write_comparison_page(path, comparison)
    return comparison, Parsed(path.read_text(encoding="utf-8"))


def test_two_checkpoints_stand_in_one_table_with_their_differences(small, tmp_path):
    comparison, page = page_of(tmp_path / "c.html", small.tree, worse(small.tree))
    heading = page.all("h1")[0][1]
    assert heading.lower() == comparison.verdict.lower()
    assert heading.startswith("Step 1 ")
    heads = [text for _, text in page.all("th")]
    for name in ("step 1", "step 2", "difference", "its interval", "verdict"):
        assert name in heads
    assert "image: PSNR in dB ↑ at +1" in heads
    cells = [text for _, text in page.all("td")]
    at = [row for row in comparison.rows if row.key == "image" and row.title == "+1"]
    change = at[0].cells[1]
    assert change.change == pytest.approx(-3.01, abs=0.02)
    assert f"{change.change:+.3g}".replace("-", "−") in cells
    assert f"{change.low:+.3g} to {change.high:+.3g}".replace("-", "−") in cells
    assert "▼ worse" in cells
    assert "not told apart" in cells


def test_more_have_a_table_for_each_key_and_the_difference_below_the_number(small, tmp_path):
    _, page = page_of(tmp_path / "c.html", small.tree, worse(small.tree), small.tree)
    titles = [text for _, text in page.all("h2")]
    assert "image: PSNR in dB, higher is better" in titles
    assert "Differences" not in titles
    below = [text for _, text in page.all("small")]
    assert any(text.startswith("▼ worse −3.01 (") for text in below)
