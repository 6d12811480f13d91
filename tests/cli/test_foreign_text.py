"""Names from files reach neither stdout nor stderr with characters that act on a terminal."""

import json
import unicodedata

import numpy as np
import pytest

from tests.synthetic_run import TREE, make_params, make_run

from .command import openloop

NAME = "evil\x1b]0;title\x07\x1b[2J\u202e[bold]x\nline"


def acting(text: str) -> list[str]:
    return [c for c in text if unicodedata.category(c)[0] == "C" and c != "\n"]


@pytest.fixture
def run(tmp_path):
    params = make_params()
    params[f"opt/{NAME}/x"] = np.zeros(3, np.float32)
    params[f"{NAME}/x"] = np.zeros(3, np.float32)
    folder = make_run(tmp_path / "run", TREE | {"logdir": f"logdir/{NAME}", "task": NAME}, params)
    for path in (folder / "replay").glob("*.npz"):
        arrays = dict(np.load(path))
        np.savez(path, **arrays, **{f"log/{NAME}[/nosuch]": arrays["reward"]})
    return folder


def test_inspect(run):
    done = openloop("inspect", run)
    assert done.returncode == 0
    assert "[bold]x" in done.stdout
    assert acting(done.stdout + done.stderr) == []


def test_render(run, tmp_path):
    done = openloop("render", run, run, "--out", tmp_path / "x.npz", "--length", 6)
    assert done.returncode == 0
    assert "[bold]x" in done.stdout
    assert acting(done.stdout + done.stderr) == []


@pytest.mark.parametrize("long", [False, True])
def test_errors_are_one_short_line(run, tmp_path, long):
    name = NAME * 200 if long else NAME
    (run / "config.yaml").write_text(json.dumps(TREE | {"agent": {"enc": {"typ": name}}}))
    done = openloop("render", run, run, "--out", tmp_path / "x.npz")
    assert done.returncode == 1
    assert acting(done.stderr) == []
    lines = [line for line in done.stderr.splitlines() if not line.endswith(" …")]
    assert [line.split(":")[0] for line in lines] == ["error", "hint"]
    assert max(map(len, lines)) < 1000


def test_another_key_of_the_replay(run, tmp_path):
    """In a note, and in an error."""
    for path in (run / "replay").glob("*.npz"):
        arrays = dict(np.load(path))
        np.savez(path, **arrays, **{NAME * 50: arrays["reward"]})
    words = ["render", run, run, "--out", tmp_path / "x.npz", "--length", 6]
    done = openloop(*words)
    assert (done.returncode, acting(done.stderr)) == (0, [])
    assert "not seen by the model" in done.stderr
    done = openloop(*words, "--encode", "nosuch")
    assert (done.returncode, acting(done.stderr)) == (2, [])
    assert "Traceback" not in done.stderr
