"""`openloop batch`: what it takes, what it tells, and signals of all kinds at any moment."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import typer
from typer.testing import CliRunner

from openloop_cli.cli.app import app
from openloop_cli.results.metrics_file import read_metrics
from tests.jobs.conftest import add_checkpoint
from tests.synthetic_run import make_run

CODE = "from openloop_cli.cli import main; main()"
QUICK = ["--length", "6", "--num-windows", "3", "--show", "1", "--scale", "2", "--no-report"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("made") / "run")
    for number in (3, 4, 5):
        add_checkpoint(folder, number)
    return folder


def start(*args, **options):
    return subprocess.Popen(
        [sys.executable, "-c", CODE, "batch", *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def openloop(*args, stdin=""):
    process = start(*args)
    out, err = process.communicate(stdin, timeout=300)
    return process.returncode, out, err


def results(folder):
    """What was measured and drawn, recorded timings aside."""
    found = {}
    for path in sorted(folder.glob("*.metrics.json")):
        tree = read_metrics(path)
        del tree["timings"]
        found[path.name] = tree
    return found


@pytest.fixture(scope="module")
def undisturbed(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    code, _, err = openloop(run, run, "--out-dir", out, *QUICK)
    assert code == 0, err
    return out


def test_what_it_writes_and_tells(run, undisturbed):
    index = json.loads((undisturbed / "index.json").read_text())
    assert index["count"] == {"done": 5}
    for entry in index["checkpoints"]:
        assert all((undisturbed / name).stat().st_size > 0 for name in entry["files"].values())
        assert "video/image" in entry["files"]
    assert (undisturbed / "comparison.json").is_file()
    code, out, err = openloop(run, run, "--out-dir", undisturbed, *QUICK, "--json")
    assert code == 0
    assert json.loads(out)["count"] == {"done": 5}
    lines = err.splitlines()
    assert [line.split()[:2] for line in lines] == [[f"[{n}/5]", "skipped"] for n in range(1, 6)]
    assert openloop(run, run, "--out-dir", undisturbed, *QUICK, "-q") == (0, "", "")


def test_a_list_on_stdin_and_failures_in_a_line_each(run, tmp_path):
    first = min((run / "ckpt").glob("2026*"))
    listed = f"{first}\n\n{run}/ckpt/gone\n"
    options = ["--replay", run, "--out-dir", tmp_path, *QUICK]
    code, out, err = openloop("-", *options, stdin=listed)
    assert code == 1
    assert "1 rendered, 0 skipped, 1 failed" in out
    (line,) = (line for line in err.splitlines() if line.startswith("[2/2]"))
    assert line.split()[1:3] == ["failed", "run-gone:"]
    assert err.split("1 of 2 failed:")[1].count(f"{run}/ckpt/gone: ") == 1
    # Quiet: the failure alone.
    code, out, err = openloop("-", *options, "-q", stdin=listed)
    assert (code, out) == (1, "")
    assert err.startswith("failed   run-gone: ")
    assert len(err.splitlines()) == 1


def test_a_shard_counts_its_own_and_remarks_are_told(run, tmp_path):
    options = ["--out-dir", tmp_path / "out", *QUICK, "--no-compare", "--no-evaluate"]
    bare = shutil.copytree(run, tmp_path / "bare")
    for marker in (bare / "ckpt").glob("*/done"):
        marker.unlink()
    code, _, err = openloop(bare, bare, *options, "--shard", "2/3")
    assert code == 0
    lines = err.splitlines()
    assert [line.split()[:2] for line in lines] == [["[1/2]", "done"], ["[2/2]", "done"]]
    assert all("(no `done` file: the copy may be incomplete)" in line for line in lines)


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ([], 2, "no checkpoints"),
        (["one"], 1, "one: no folder above it has a replay"),
        (["one", "two", "--shard", "3/2"], 2, "--shard 3/2: expected I/N"),
        (["one", "two", "--length", "1"], 2, "--length 1"),
        (["no*ne", "two"], 1, "no checkpoint matches"),
        (["--runs", "no*ne"], 1, "no run folder"),
        (["--runs", "none.csv"], 1, "none.csv: cannot be read"),
        (["one", "two", "--window", "none.json"], 2, "--window none.json: neither"),
    ],
)
def test_usage(args, code, words, tmp_path):
    found, out, err = openloop(*args, "--out-dir", tmp_path / "out")
    assert (found, out) == (code, "")
    assert words in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from typer.testing import CliRunner; from openloop_cli.cli.app import app;"
        "r = CliRunner().invoke(app, ['batch', '--help']); assert r.exit_code == 0, r.output;"
        "print([m for m in ('jax', 'numpy', 'ray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_options_have_help():
    command = typer.main.get_command(app).commands["batch"]
    assert all(option.help for option in command.params if option.name != "help")
    assert CliRunner().invoke(app, ["batch", "--help"]).exit_code == 0


def await_under_way(process, out):
    """Until an item is finished and the next ones are being worked on."""
    while not list(out.glob("*.metrics.json")) and process.poll() is None:
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_it_soon_and_cleanly(run, tmp_path, undisturbed, number, code):
    process = start(run, run, "--out-dir", tmp_path, *QUICK)
    await_under_way(process, tmp_path)
    time.sleep(random.Random(int(number)).uniform(0, 0.3))
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert not [path for path in tmp_path.rglob("*") if ".partial" in path.name]
    assert openloop(run, run, "--out-dir", tmp_path, *QUICK)[0] == 0
    assert results(tmp_path) == results(undisturbed)


def records(out):
    """When each finished item was remembered."""
    found = {}
    for path in out.glob(".openloop/*-2026*.json"):
        with suppress(FileNotFoundError):  # forgotten since it was listed
            found[path.name] = path.stat().st_mtime_ns
    return found


def await_a_record(out, seconds=30):
    """Until another item is remembered, or an old one forgotten."""
    before, end = records(out), time.monotonic() + seconds
    while records(out) == before and time.monotonic() < end:
        time.sleep(0.005)


# Imports once. Forks a child for each line of arguments and tells its process id; a further line
# asks how it ended.
NURSERY = """
import json, os, sys
import jax, imageio_ffmpeg, PIL.Image
import openloop_cli.jobs.batch, openloop_cli.jobs.engines.local, openloop_cli.jobs.comparison
import openloop_cli.cli, openloop_cli.jobs.report, openloop_cli.rollout.roll_out
while line := sys.stdin.readline():
    if (child := os.fork()) == 0:
        sys.argv = ["openloop", "batch", *json.loads(line)]
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        openloop_cli.cli.main()
        os._exit(0)
    print(child, flush=True)
    sys.stdin.readline()
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture
def nursery():
    """Starts a batch in a fifth of the time: forked off a process that has imported all."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", NURSERY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def ask(*args):
        process.stdin.write(json.dumps([str(arg) for arg in args]) + "\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    yield ask
    process.stdin.close()
    process.wait(60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_killed_at_twenty_moments_it_comes_to_the_same(run, tmp_path, undisturbed, nursery):
    args = [run, run, "--out-dir", tmp_path, *QUICK, "--no-compare"]
    draw, whole = random.Random(0), results(undisturbed)
    killed = 0
    while killed < 20:
        # A batch that was stopped goes on; one that came to its end begins anew.
        finished = len(records(tmp_path)) == len(whole)
        pid = nursery(*args, *["--force"] * finished)
        if draw.random() < 0.3:
            time.sleep(draw.uniform(0, 2))
        else:  # after a first item: starting up takes longer than all that follows
            await_a_record(tmp_path)
            time.sleep(draw.uniform(0, 0.4))
        os.kill(pid, signal.SIGKILL)
        killed += nursery() == signal.SIGKILL
        done = results(tmp_path)
        assert done == {name: whole[name] for name in done}
    code, _, err = openloop(*args)
    assert code == 0, err
    assert results(tmp_path) == whole
    left = [path for path in tmp_path.glob(".*") if ".partial" in path.name]
    assert not [path for path in left if "-2026" in path.name]
