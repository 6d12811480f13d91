"""A checkpoint to each worker: the results of one process, whatever happens to a worker."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from openloop_cli.jobs.batch import run_batch
from openloop_cli.jobs.engines import processes
from openloop_cli.jobs.engines.processes import parallel_engine
from openloop_cli.jobs.outcome import ENCODING, ROLLING
from openloop_cli.jobs.plan import Item
from tests.conftest import ROOT

from .conftest import add_checkpoint, batch_of
from .test_batch import no_partial_files, results, statuses

CODE = "from openloop_cli.cli import main; main()"
QUICK = ["--length", "6", "--num-windows", "3", "--show", "1", "--scale", "2", "--no-report"]
PARALLEL = ["--parallel", "checkpoints", "--workers", "2", "--device", "cpu"]
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

pytestmark = pytest.mark.skipif(CORES < 2, reason="two workers need two cores")


@pytest.fixture(autouse=True)
def findable(monkeypatch):
    """Workers find the package and these tests where this process has them."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)


@pytest.fixture
def crews(monkeypatch):
    """The crews that engines make, to look into."""
    made = []

    class Crew(processes._Crew):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(processes, "_Crew", Crew)
    return made


def two_workers():
    return parallel_engine("cpu", 2)


def test_equal_to_one_process(run, tmp_path):
    for number in range(5, 8):
        add_checkpoint(run, number)
    (sorted((run / "ckpt").glob("2026*"))[3] / "agent.pkl").write_bytes(b"no pickle")
    job = batch_of(run, tmp_path / "local")
    local = run_batch(job)
    events = []
    far = run_batch(replace(job, folder=tmp_path / "far"), events.append, two_workers())
    assert statuses(far).count("done") == 6
    assert [x.name for x in far.outcomes] == [x.name for x in local.outcomes]
    assert [x.error for x in far.outcomes] == [x.error for x in local.outcomes]
    assert results(tmp_path / "far") == results(tmp_path / "local")
    told = {event.name: [e.stage for e in events if e.name == event.name] for event in events}
    assert told[far.outcomes[0].name] == ["reading", ROLLING, ENCODING, "done"]
    for name in ("index.json", "index.html"):
        theirs, ours = ((tmp_path / x / name).read_text() for x in ("far", "local"))
        assert theirs == ours
    assert multiprocessing.active_children() == []
    # Each goes on where the other stopped.
    again = run_batch(replace(job, folder=tmp_path / "far"))
    assert statuses(again).count("skipped") == 6
    back = run_batch(job, engine=two_workers())
    assert statuses(back).count("skipped") == 6


def test_a_worker_is_killed_midway(run, tmp_path, crews):
    """What it had is rendered again, and nothing is missing or different."""
    job = batch_of(run, tmp_path / "local")
    run_batch(job)
    killed = []

    def kill_the_first(event):
        if event.stage == ROLLING and not killed:
            (worker,) = (w for w in crews[0].workers if event.name in w.has)
            worker.process.kill()
            killed.append(event.name)

    far = run_batch(replace(job, folder=tmp_path / "far"), kill_the_first, two_workers())
    assert killed
    assert statuses(far) == ["done"] * 4
    notes = {outcome.name: outcome.notes for outcome in far.outcomes}
    assert notes[killed[0]][-1] == "its worker died (killed by SIGKILL); rendered again"
    assert results(tmp_path / "far") == results(tmp_path / "local")
    assert no_partial_files(tmp_path / "far")


def test_a_checkpoint_that_kills_its_workers(run, tmp_path, crews):
    """It is told in a line; what its first worker had beside it goes on."""
    bad = sorted(path.name for path in (run / "ckpt").glob("2026*"))[1]

    def kill(event):
        if bad in event.name and event.stage == ROLLING:
            (worker,) = (w for w in crews[0].workers if event.name in w.has)
            worker.process.kill()

    result = run_batch(batch_of(run, tmp_path / "out"), kill, two_workers())
    assert statuses(result) == ["done", "failed", "done", "done"]
    (failure,) = result.failures
    assert failure.error == "its worker died twice: killed by SIGKILL"
    assert "--num-windows" in failure.hint
    assert multiprocessing.active_children() == []


def test_workers_that_cannot_start(run, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "work", os._exit)  # with the pipe for an exit code
    with pytest.raises(processes.OpenloopError, match=r"a worker on cpu \d ended as it started: "):
        run_batch(batch_of(run, tmp_path / "out"), engine=two_workers())
    assert multiprocessing.active_children() == []


def test_our_own_mistakes_keep_their_traceback(tmp_path, capfd):
    class Anything:
        def open(self, job):
            return job, None

    items = [Item("x", "no job")]
    with pytest.raises(RuntimeError, match="its traceback is above"):
        two_workers()(items, tmp_path, Anything(), lambda event: None, False)
    assert "AttributeError: 'str' object has no attribute 'checkpoint'" in capfd.readouterr().err


def start(run, out, **options):
    command = [sys.executable, "-c", CODE, "batch", str(run), str(run), "--out-dir", str(out)]
    return subprocess.Popen(
        [*command, *QUICK, *PARALLEL],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def group(pid) -> list[int]:
    """Processes of a group that are still there, however they are called."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == pid and fields[0] != "Z":
            found.append(int(folder.name))
    return found


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize(
    ("number", "everyone", "code"),
    [
        (signal.SIGTERM, False, 143),
        (signal.SIGINT, False, 130),
        (signal.SIGINT, True, 130),
        (signal.SIGKILL, False, -9),
    ],
    ids=["SIGTERM", "SIGINT", "ctrl-c", "SIGKILL"],
)
@pytest.mark.parametrize("moment", ["starting", "working"])
def test_a_signal_leaves_nobody(run, tmp_path, number, everyone, code, moment):
    """`ctrl-c` sends it to the whole group, as a terminal does."""
    for extra in range(5, 9):
        add_checkpoint(run, extra)
    out = tmp_path / "out"
    process = start(run, out)
    if moment == "working":
        until(lambda: list(out.glob("*.metrics.json")))
    else:
        until(lambda: len(group(process.pid)) >= 3)
    (os.killpg if everyone else os.kill)(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    until(lambda: not group(process.pid), 20)
    if number != signal.SIGKILL:
        assert "Traceback" not in err, err
        assert err.splitlines()[-1] == "stopped; the same command resumes"
        assert no_partial_files(out)


def test_what_does_not_go_together(run, tmp_path):
    for more, message in (
        (["--workers", "2"], "--workers 2: needs --parallel checkpoints"),
        (
            ["--parallel", "checkpoints", "--engine", "ray"],
            "--parallel checkpoints with --engine ray: Ray runs each checkpoint as a task anyway",
        ),
        (
            ["--parallel", "checkpoints", "--device", "cpu:0"],
            "--parallel checkpoints with --device cpu:0: that names one device",
        ),
    ):
        done = subprocess.run(
            [sys.executable, "-c", CODE, "batch", run, run, "--out-dir", tmp_path / "out", *more],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        assert done.stderr.splitlines()[0] == f"error: {message}"
