"""Text from strangers: nothing of it acts, breaks a line, or floods a screen."""

import pytest

from openloop_cli.text import LONGEST_WORD, clean, markdown, markup, message, visible

ACTING = [
    "\x1b[31m",
    "\x9b2J",
    "\u202e",
    "\u2066",
    "\x00",
    "\x07",
    "\r",
    "\ud800",
    "\ue000",
    "\u200b",
]


@pytest.mark.parametrize("acting", ACTING)
@pytest.mark.parametrize("function", [clean, markup, markdown, message, visible])
def test_nothing_acts(function, acting):
    found = function(f"a{acting}b")
    assert acting[0] not in found
    assert found.startswith("a")
    assert found.endswith("b")


@pytest.mark.parametrize("function", [clean, message])
def test_one_line(function):
    assert function("a\nb") == "a\ufffdb"


def test_lines_stay_lines_where_they_are_ours():
    assert visible("a\nb") == "a\nb"


def test_a_long_name_hides_nothing_that_is_said_about_it():
    found = message(f"{'x' * 100_000}: no such key (it has {'y' * 1000})")
    assert "…" in found
    assert found.endswith("y)")
    assert ": no such key (it has y" in found
    assert len(found) < 1000
    assert len(message("word " * 10_000)) <= 2001


def test_paths_that_people_have_are_whole():
    path = "/" + "folder/" * (LONGEST_WORD // 7 - 1)
    assert message(f"{path}: missing") == f"{path}: missing"
