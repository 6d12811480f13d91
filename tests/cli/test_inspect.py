"""`openloop inspect` as a process: whole in a pipe, JSON, exit codes."""

import json
import subprocess
import sys

import pytest

from tests.synthetic_run import TREE, make_run


def openloop(*args, **options):
    code = "from openloop_cli.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, **options
    )


@pytest.fixture
def run(tmp_path):
    # So long a path would be cut or wrapped in a table 80 columns wide.
    return make_run(tmp_path / ("long" * 30) / "run")


def test_the_text_is_whole_in_a_pipe(run):
    done = openloop("inspect", run)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"{run}  run folder"
    assert all(line == line.rstrip() for line in lines)
    for words in (
        str(run / "config.yaml"),
        "DreamerV3 agent.pkl, complete",
        "deter 16 in 4 blocks, hidden 8, 4 latents of 4 classes",
        "images: stages of 2, 4 channels, kernel 5, pooled",
        "3 starts, 2 whole, of 16 to 25 steps, mean 20.5",
        "52 of 1 + 8 steps, 44 without an episode start in the imagined half",
    ):
        assert words in done.stdout
    row = next(line.split() for line in lines if line.split()[:1] == ["opt"])
    assert row[-1] == "nothing"
    assert "…" not in done.stdout
    assert "\x1b" not in done.stdout


def test_json_is_the_same_tree(run):
    done = openloop("inspect", run, "--json")
    tree = json.loads(done.stdout)
    assert done.returncode == 0
    assert tree["checkpoint"]["step"] == 60
    assert tree["replay"]["episodes"]["complete"] == 2
    assert tree["spaces"]["actions"]["action"]["classes"] == 5


def test_problems_are_part_of_the_output(run):
    tree = json.loads(json.dumps(TREE))
    tree["agent"]["dyn"]["rssm"]["hidden"] = 12
    (run / "config.yaml").write_text(json.dumps(tree))
    done = openloop("inspect", run)
    assert done.returncode == 0
    assert "dyn/dynin0/kernel: expected (16, 12), found (16, 8)" in done.stdout
    assert done.stdout.count("expected (") > 5


def test_nothing_known_is_one_line_and_exit_code_1(tmp_path):
    done = openloop("inspect", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr.splitlines()[0] == f"error: {tmp_path}: neither a checkpoint nor a replay in it"
    )


def test_a_path_with_brackets_is_no_markup(tmp_path):
    run = make_run(tmp_path / "[bold]run[0]")
    assert str(run) in openloop("inspect", run).stdout.splitlines()[0]
