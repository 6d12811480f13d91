"""Every command with addresses, through the one boundary of errors: memory:// and loopback."""

import json
import sys

import pytest

from openloop_cli.cli.app import main
from tests.synthetic_run import TIMES, make_run

SMALL = ("--length", "8", "--num-windows", "3")


@pytest.fixture
def cli(monkeypatch, capsys):
    """Arguments -> exit code, stdout, stderr."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["openloop", *map(str, args)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def run(memory, put, tmp_path):
    put(memory, make_run(tmp_path / "made_up"), "/runs/made_up")
    return "memory://runs/made_up"


def test_render_plot_check(cli, run, memory):
    code, out, err = cli("render", run, run, "--out", "memory://out/v.gif", *SMALL)
    assert code == 0, err
    assert "memory://out/v.gif" in out
    metrics = "memory://out/v.metrics.json"
    assert cli("plot", metrics, "--out", "memory://out/curves.svg")[0] == 0
    assert b"<svg" in memory.cat_file("/out/curves.svg")
    limit = "observations.image.imagined.model.mse.mean=1000"
    files = ("--summary", "memory://out/s.md", "--junit", "memory://out/j.xml")
    assert cli("check", metrics, "--max", limit, "--baseline", metrics, *files)[0] == 0
    assert cli("check", metrics, "--min", limit)[0] == 3
    assert memory.exists("/out/s.md")
    assert memory.exists("/out/j.xml")
    again = ("--window", metrics, "--out", "memory://out/again.npz", "--no-evaluate")
    assert cli("render", run, run, *again)[0] == 0
    first, second = (
        json.loads(memory.cat_file(f"/out/{name}.metrics.json")) for name in ("v", "again")
    )
    assert first["rollout"]["windows"] == second["rollout"]["windows"]


def test_inspect(cli, run):
    code, out, _ = cli("inspect", run, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["kind"] == "run folder"
    assert found["checkpoint"]["path"] == f"{run}/ckpt/{TIMES[1]}"
    assert len(found["checkpoints"]) == 2
    assert found["replay"]["chunks"] == 3


def test_compare(cli, run, memory):
    sources = [f"{run}/ckpt/{time}" for time in TIMES]
    files = ("--out", "memory://compared", "--video", "memory://compared/v.gif")
    code, _, err = cli("compare", *sources, "--replay", run, *SMALL, *files)
    assert code == 0, err
    assert {"comparison.json", "comparison.md", "v.gif"} <= {
        x.rpartition("/")[2] for x in memory.ls("/compared", detail=False)
    }


def test_batch_of_runs_and_watch(cli, run, memory):
    options = ("--no-evaluate", "--no-report", "--no-compare", "--format", "gif", *SMALL)
    code, out, err = cli("batch", "--runs", "memory://runs/*", "--out-dir", "memory://r", *options)
    assert code == 0, err
    assert "2 rendered" in out
    assert memory.exists(f"/r/made_up-{TIMES[0]}.gif")
    code, out, err = cli("batch", "--runs", "memory://runs/*", "--out-dir", "memory://r", *options)
    assert "0 rendered, 2 skipped" in out
    code, out, err = cli(
        "batch", f"{run}/ckpt/{TIMES[0]}", run, "--out-dir", "memory://r", *options
    )
    assert code == 0, err
    options = tuple(x for x in options if x != "--no-compare")
    assert cli("watch", run, "--out-dir", "memory://w", "--once", *options)[0] == 0
    assert json.loads(memory.cat_file("/w/index.json"))["count"] == {"done": 2}
    # After a restart nothing is rendered again, and no record leads to another place.
    record = f"/w/.openloop/made_up-{TIMES[0]}.json"
    tree = json.loads(memory.cat_file(record)) | {"checkpoint": "http://127.0.0.1:9/x/agent.pkl"}
    memory.pipe_file(record, json.dumps(tree).encode())
    assert cli("watch", run, "--out-dir", "memory://w", "--once", *options)[0] == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("render", "memory://no", "memory://no", "--out", "x.gif"), "memory://no: no such file"),
        (("render", "ssh://a/b", "c", "--out", "x.gif"), "ssh://a/b: no known kind of place"),
        (("render", "{run}", "{run}", "--out", "https://h/x.gif"), "nothing can be written"),
        (("inspect", "http://127.0.0.1:9/agent.pkl"), "cannot be reached"),
        (("inspect", "memory://no"), "memory://no: no such file or folder"),
        (("batch", "--runs", "memory://no/*", "--out-dir", "x"), "no run folder"),
        (("batch", "--runs", "memory://no.csv", "--out-dir", "x"), "cannot be read"),
        (("plot", "memory://no.json", "--out", "x.svg"), "cannot be read: no such file"),
        (("compare", "memory://a", "memory://b", "--replay", "memory://c"), "no such file"),
        (("check", "simplecache::memory://x", "--min", "a=1"), "chained protocols"),
    ],
)
def test_errors_are_one_line(cli, run, args, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = cli(*(x.format(run=run) for x in args))
    assert code == 1
    assert words in err
    assert "Traceback" not in err
    assert err.count("error:") == 1
    assert len(err.strip().splitlines()) <= 3  # a stage, the error, a hint
    assert not out
