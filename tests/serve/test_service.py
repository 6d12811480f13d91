"""The command: from its options to its last flush, in a process of its own."""

import json
import math
import signal
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from openloop_cli.cli.app import app
from openloop_cli.errors import OpenloopError
from openloop_cli.loggers import make_output
from openloop_cli.loggers.jsonl import Jsonl
from openloop_cli.loggers.serve import ServeOutput
from tests.serve.harness import Peer, rows, serving

pytest.importorskip("msgpack", reason="the extra `serve` is not installed")


@pytest.fixture
def start(tmp_path):
    """Starts the command; gives the process and its address."""
    processes = []

    def run(*options):
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "openloop_cli", "serve", "0"),
                *("--log", f"jsonl:{tmp_path / 'log'}", "--folder", str(tmp_path / "kept")),
                *options,
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        line = process.stderr.readline()
        assert line.startswith("listening on 127.0.0.1:"), line
        return process, ("127.0.0.1", int(line.split(":")[1].split(",")[0]))

    yield run
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def lines(path):
    return [json.loads(line, parse_constant=pytest.fail) for line in path.open()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_last_flush_at_the_end(start, tmp_path, number):
    process, where = start()
    with Peer(where) as peer:
        peer.call("tran", rows([0], first=True))
        peer.call("tran", rows([0], last=True))
        peer.call("add", {"x": 1.5})
        process.send_signal(number)
        assert process.wait(60) == 0
    found = lines(tmp_path / "log" / "metrics.jsonl")
    assert found[0]["step"] == 2
    assert found[0]["episode/score"] == 2.0
    assert found[0]["x"] == 1.5
    assert lines(tmp_path / "log" / "scores.jsonl") == [{"step": 2, "episode/score": 2.0}]


def test_hard_kills_lose_nothing_of_ours_and_the_step_never_goes_back(start, tmp_path):
    sent = steps = 0
    shown = []
    for kill in range(4):
        process, where = start("--log-every", "0.1")
        output = ServeOutput(*where, folder=tmp_path / "spool")
        with Peer(where) as peer:
            for _ in range(20):
                output.write([(sent, "ours", float(sent))])
                sent += 1
                peer.call("tran", rows([0]))
            output.close()  # all is answered
            assert json.loads(peer.call("status")[1])["step"] >= steps
            if kill % 2:  # after what came is flushed, else before
                while json.loads(peer.call("status")[1])["queue"]["entries"]:
                    pass
        process.kill()
        process.wait()
        process, where = start()
        with Peer(where) as peer:
            steps = json.loads(peer.call("status")[1])["step"]
        shown.append(steps)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    found = [line for line in lines(tmp_path / "log" / "metrics.jsonl") if "ours" in line]
    assert sorted({line["ours"] for line in found}) == list(range(sent))
    assert shown == sorted(shown)
    assert all(line["step"] <= max(sent, steps) for line in found)


def test_status(tmp_path):
    with serving(tmp_path) as running, Peer(running.address) as peer:
        peer.call("tran", rows([0, 1]))
        place = f"127.0.0.1:{running.address[1]}"
        found = CliRunner().invoke(app, ["serve", "--status", "--json", place])
        assert json.loads(found.stdout)["rows"] == 2
        found = CliRunner().invoke(app, ["serve", "--status", place])
        assert "rows      2" in found.stdout
    found = CliRunner().invoke(app, ["serve", "--status", place])
    assert isinstance(found.exception, OpenloopError)
    assert "no server answers" in found.exception.message


@pytest.mark.parametrize(
    "options", [["nowhere"], ["0"], ["0", "--log", "x:y"], ["0", "--log", "jsonl"]]
)
def test_wrong_usage(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, ["serve", *options])
    assert found.exception.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_other_commands_import_nothing_of_it():
    code = "import openloop_cli.cli.app, sys; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not {"openloop_cli.serve", "openloop_cli.wire", "msgpack", "asyncio"} & set(loaded)


def test_a_taken_port(tmp_path):
    with serving(tmp_path) as running:
        place = f"127.0.0.1:{running.address[1]}"
        words = ["serve", place, "--log", f"jsonl:{tmp_path}", "--folder", str(tmp_path / "b")]
        found = CliRunner().invoke(app, words)
    assert "cannot listen" in found.exception.message


def test_jsonl_is_strict_and_keeps_both_values_of_a_name(tmp_path):
    told = []
    output = make_output(f"jsonl:{tmp_path}", told.append)
    output.write(
        [
            (1, "a", 1),
            (2, "a", np.float32(2.5)),
            (1, "a", 3),
            (1, "b", math.nan),
            (1, "t", "text"),
            (2, "v", np.zeros(3)),
        ]
    )
    assert lines(tmp_path / "metrics.jsonl") == [
        {"step": 1, "a": 1.0},
        {"step": 2, "a": 2.5},
        {"step": 1, "a": 3.0},
    ]
    assert len(told) == 1


def test_a_torn_line_is_taken_away(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1, "a": 1.0}\n{"step": 2, "a')
    Jsonl(tmp_path, print).write([(3, "a", 3.0)])
    assert [x["step"] for x in lines(tmp_path / "metrics.jsonl")] == [1, 3]


def test_a_log_folder_that_is_removed_comes_again(tmp_path):
    output = Jsonl(tmp_path / "log", print)
    (tmp_path / "log" / "metrics.jsonl").unlink()
    (tmp_path / "log").rmdir()
    output.write([(1, "a", 1.0)])
    assert lines(tmp_path / "log" / "metrics.jsonl") == [{"step": 1, "a": 1.0}]
