"""How results name paths: nothing of this machine's layout, unless it was typed."""

from pathlib import Path

import pytest

from openloop_cli.storage import place
from openloop_cli.storage.shown import shown_path, shown_text


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "home" / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "home" / "work")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("home/work/runs/a", "runs/a"),
        ("home/work", "."),
        ("home/logdir/a", "~/logdir/a"),
        ("data/run", "../../data/run"),
    ],
)
def test_absolute_paths(path, shown, here):
    assert shown_path(here / path) == shown


def test_what_was_typed_otherwise_stays():
    assert shown_path(Path("../runs/a")) == "../runs/a"
    assert shown_path(place("s3://bucket/run")) == "s3://bucket/run"


def test_redacted(here):
    assert shown_path(here / "home/work/secret/a", redact=True) == "a"
    text = f"{here}/home/work/secret/a.pkl: cut short"
    assert shown_text(text, redact=True) == "a.pkl: cut short"


def test_texts(here):
    text = f"found '{here}/home/work/a/b' and {here}/home/c/d, 3 m/s, a/b, s3://x/y/z"
    assert shown_text(text) == "found 'a/b' and ~/c/d, 3 m/s, a/b, s3://x/y/z"
