"""The index of a batch: numbers against training, rows that sort, videos that play, and no harm."""

import re

import pytest

from openloop_cli.page.index import Index, index_html, index_tree
from openloop_cli.results.outcome import DONE, FAILED, WAITING, Outcome

from .parsed import Parsed

HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e"


def outcome(folder, number, key="image", **changes):
    name = f"run-{number}"
    skill = 0.1 * number
    horizon = {"steps": 20 - number, "at_least": False, "of": 25}
    headline = {"metric": "psnr", "imagined": 20.0 + number, "skill": skill}
    values = {
        "name": name,
        "checkpoint": folder / "ckpt" / name,
        "status": DONE,
        "run": "run",
        "step": 1000 * number,
        "headline": {key: headline | {"useful_horizon": horizon}},
        "files": {f"video/{key}": folder / f"{name}.mp4", "page": folder / f"{name}.html"},
    }
    return Outcome(**(values | changes))


def index(folder, count=3):
    failed = outcome(folder, 98, status=FAILED, error="/x/y/agent.pkl: cut short", headline={})
    waiting = outcome(folder, 99, status=WAITING, headline={})
    return Index([*(outcome(folder, n) for n in range(1, count + 1)), failed, waiting])


def test_rows_charts_and_links(tmp_path):
    page = Parsed(index_html(tmp_path, index(tmp_path)))
    assert page.all("h1")[0][1] == "3 of 5 checkpoints rendered"
    assert [text for _, text in page.all("h3")] == ["Skill", "Useful horizon"]
    assert len(page.all("tr")) == 2 + 5
    assert [a["src"] for a, _ in page.all("video")] == [f"run-{n}.mp4" for n in (1, 2, 3)]
    assert "run-2.html" in [a["href"] for a, _ in page.all("a")]
    text = " ".join(x for _, x in page.all("td"))
    for words in ("22.0 dB", "0.20", "18 of 25", "agent.pkl: cut short", "not there yet"):
        assert words in text


def test_it_reaches_nothing_but_files_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # paths are told from where the command ran
    html = index_html(tmp_path, index(tmp_path))
    assert "http://" not in html.replace("http://www.w3.org/", "")
    assert "https://" not in html
    policy = re.search(r'Content-Security-Policy" content="([^"]+)', html)[1]
    assert policy.startswith("default-src 'none'; img-src data: 'self' file:; media-src")
    assert str(tmp_path) not in html


def test_foreign_text_does_nothing(tmp_path):
    found = outcome(tmp_path, 1, key=HOSTILE, run=HOSTILE, notes=(HOSTILE,))
    failed = outcome(tmp_path, 2, status=FAILED, error=HOSTILE, headline={})
    html = index_html(tmp_path, Index([found, outcome(tmp_path, 3), failed], notes=[HOSTILE]))
    assert "<img src=x" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_folders_are_left_out_when_asked(tmp_path):
    whole = Index([outcome(tmp_path / "secret", 1, files={})], redact=True)
    assert "secret" not in index_html(tmp_path, whole)
    assert "secret" not in str(index_tree(tmp_path, whole))


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_any_number_of_rows(tmp_path, count):
    html = index_html(tmp_path, index(tmp_path, count))
    assert html.count("<video") == count
    # A browser takes minutes to make the controls of a thousand videos.
    assert not any("controls" in a for a, _ in Parsed(html).all("video"))
    assert len(html) < 60_000 + 3_000 * count
