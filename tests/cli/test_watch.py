"""`openloop watch` as a process of its own, beside one that writes checkpoints."""

import json
import os
import signal
import subprocess
import sys
import time

import typer

from openloop_cli.cli.app import app
from tests.jobs.test_watch import Trainer, run  # noqa: F401 (a fixture)

CODE = "from openloop_cli.cli import main; main()"
QUICK = ["--length", "6", "--num-windows", "3", "--show", "1", "--scale", "2", "--no-report"]


def start(*args):
    return subprocess.Popen(
        [sys.executable, "-c", CODE, "watch", *map(str, args), *QUICK],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(true, process, seconds=120):
    end = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it did not come to it"
        time.sleep(0.05)


def test_beside_a_trainer_to_its_last_step(run, tmp_path):  # noqa: F811
    trainer, out = Trainer(run), tmp_path / "out"
    process = start(run, "--out-dir", out, "--until-step", 300)
    for number in (1, 2, 3):
        for _ in trainer.save():
            time.sleep(0.05)
        done = out / f"run-20270101T{number:06d}F000000.metrics.json"
        until(lambda done=done: done.exists() or process.poll() == 0, process)
        if number == 1:
            assert os.getpriority(os.PRIO_PROCESS, process.pid) == 19
    printed, told = process.communicate(timeout=60)
    assert (process.returncode, printed) == (0, "")
    lines = [line.split() for line in told.splitlines()]
    waits = [line for line in told.splitlines() if line.startswith("waiting")]
    assert set(waits) <= {
        f"waiting  for a checkpoint in {run}",
        f"waiting  for the next complete checkpoint in {run}",
    }
    assert len(waits) == len(set(waits))
    assert [words[:4] for words in lines if words[0] != "waiting"] == [
        ["done", f"run-20270101T{number:06d}F000000", "step", f"{number}00"] for number in (1, 2, 3)
    ]
    assert json.loads((out / "index.json").read_text())["count"] == {"done": 3}
    assert json.loads(done.read_text())["rollout"]["device"] == "cpu"


def test_a_signal_ends_it(run, tmp_path):  # noqa: F811
    list(Trainer(run).save())
    process = start(run, "--out-dir", tmp_path / "out")
    until(lambda: (tmp_path / "out/index.json").exists(), process)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 143, told
    assert "Traceback" not in told
    assert not [path for path in tmp_path.rglob("*") if ".partial" in path.name]


def test_once_tells_failures_by_its_exit_code(run, tmp_path):  # noqa: F811
    trainer = Trainer(run, keep=9)
    list(trainer.save())
    (run / "ckpt/20270101T000001F000000/agent.pkl").write_bytes(b"no pickle")
    list(trainer.save())
    process = start(run, "--out-dir", tmp_path / "out", "--once")
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1
    assert [line.split()[0] for line in told.splitlines()] == ["failed", "done"]


def test_once_says_so_where_there_is_nothing(run, tmp_path):  # noqa: F811
    (run / "empty").mkdir()
    process = start(run / "empty", "--out-dir", tmp_path / "out", "--once")
    printed, told = process.communicate(timeout=120)
    assert (process.returncode, printed) == (0, "")
    assert told == f"{run / 'empty'}: no complete checkpoint\n"


def test_once_again_says_that_nothing_is_new(run, tmp_path):  # noqa: F811
    list(Trainer(run).save())
    options = [run, "--out-dir", tmp_path / "out", "--once"]
    assert start(*options).communicate(timeout=120)[1].startswith("done ")
    assert start(*options).communicate(timeout=120) == (
        "",
        f"{run}: nothing new, 1 checkpoint rendered before\n",
    )


def test_a_typo_costs_no_results(run, tmp_path):  # noqa: F811
    list(Trainer(run).save())
    options = [run, "--out-dir", tmp_path / "out", "--once"]
    start(*options).communicate(timeout=120)
    _, told = start(*options, "--keys", "typo").communicate(timeout=120)
    assert "--keys typo: no such observation" in told
    assert "nothing new" in start(*options).communicate(timeout=120)[1]


def test_options_have_help():
    command = typer.main.get_command(app).commands["watch"]
    assert all(option.help for option in command.params if option.name != "help")
