"""Two Ray workers on this machine: the same results as locally, also when one is killed midway."""

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from openloop_cli.batch.batch_job import run_batch
from openloop_cli.batch.ray import Cluster, ray_engine
from openloop_cli.errors import OptionError
from tests.conftest import ROOT

from .conftest import add_checkpoint, batch_of
from .test_batch_job import results, statuses


@pytest.fixture
def cluster(monkeypatch):
    """Two workers; Ray itself is only there with the extra."""
    ray = pytest.importorskip("ray", reason="Ray is not installed (the extra openloop[ray])")
    # The workers find the package where this process has it.
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        "local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
    )
    yield Cluster()
    ray.shutdown()


def workers():
    """Processes that are in the midst of one of our tasks: Ray names them so."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::openloop"):
            found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds workers in /proc")
def test_equal_to_local_though_a_worker_is_killed(run, tmp_path, cluster):
    for number in range(5, 9):
        add_checkpoint(run, number)
    (sorted((run / "ckpt").glob("2026*"))[3] / "agent.pkl").write_bytes(b"no pickle")
    job = batch_of(run, tmp_path / "local")
    local = run_batch(job)
    killed = []

    def kill_one():
        end = time.monotonic() + 100
        while not killed and time.monotonic() < end:
            for pid in workers() if list((tmp_path / "ray").glob("*.json")) else ():
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                break
            time.sleep(0.005)

    thread = threading.Thread(target=kill_one)
    thread.start()
    events = []
    far = run_batch(replace(job, folder=tmp_path / "ray"), events.append, ray_engine(cluster))
    thread.join()
    assert killed
    assert statuses(far).count("done") == 7
    assert sorted(x.name for x in far.failures) == sorted(x.name for x in local.failures)
    assert [x.error for x in far.failures] == [x.error for x in local.failures]
    assert sorted(event.name for event in events) == sorted(x.name for x in local.outcomes)
    assert results(tmp_path / "ray") == results(tmp_path / "local")
    assert not [path for path in (tmp_path / "ray").iterdir() if ".partial" in path.name]
    # Each engine goes on where the other stopped.
    again = run_batch(replace(job, folder=tmp_path / "ray"))
    assert statuses(again).count("skipped") == 7


def test_it_joins_no_cluster_that_was_not_named(run, tmp_path, monkeypatch):
    """Ray by itself would take any that it finds on the machine."""
    asked = []

    class Ray:
        class exceptions:  # noqa: N801 (Ray's own name)
            RayError = RayTaskError = RuntimeError

        is_initialized = staticmethod(lambda: False)

        @staticmethod
        def init(address, **options):
            asked.append(address)
            raise ConnectionError("nobody there")

    monkeypatch.setattr("openloop_cli.batch.ray._import_ray", lambda: Ray)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for cluster in (Cluster(), Cluster("first:6379")):
        with pytest.raises(OptionError, match=r"--address \S+: nobody there"):
            run_batch(batch_of(run, tmp_path / "out"), engine=ray_engine(cluster))
    monkeypatch.setenv("RAY_ADDRESS", "second:6379")
    with pytest.raises(OptionError, match="second:6379"):
        run_batch(batch_of(run, tmp_path / "out"), engine=ray_engine(Cluster()))
    assert asked == ["local", "first:6379", "second:6379"]


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OptionError, match="Ray is not installed") as error:
        ray_engine(Cluster())
    assert "openloop[ray]" in error.value.hint
