"""Two Ray workers on this machine, then two nodes on loopback: the same results as locally, also
when a worker is killed midway, or a whole node."""

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from openloop_cli.errors import NotInstalledError, OptionError
from openloop_cli.jobs.batch import run_batch
from openloop_cli.jobs.engines.ray import Cluster, ray_engine
from tests.conftest import ROOT

from .conftest import add_checkpoint, batch_of
from .test_batch import results, statuses

# Ray starts its processes with a fork. The command that does so has not imported jax by then; here
# other tests of the same process have.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")


@pytest.fixture
def ray(monkeypatch):
    """Ray itself, which is only there with the extra."""
    ray = pytest.importorskip("ray", reason="Ray is not installed (the extra openloop[ray])")
    # The workers find the package where this process has it.
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    yield ray
    ray.shutdown()


@pytest.fixture
def cluster(ray):
    """Two workers of one node."""
    ray.init(
        "local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
    )
    return Cluster()


@pytest.fixture
def nodes(ray):
    """A head that runs no tasks and two nodes of one worker each, as on three machines."""
    from ray.cluster_utils import Cluster as Nodes

    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        nodes.add_node(num_cpus=1)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def workers():
    """Processes that are in the midst of one of our tasks, which Ray names so: of each the process
    of its node that started it."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if title.startswith(b"ray::openloop"):
            found[int(folder.name)] = parent
    return found


in_proc = pytest.mark.skipif(
    not Path("/proc/self/cmdline").exists(), reason="finds workers in /proc"
)


@in_proc
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


@in_proc
def test_two_nodes_of_which_one_dies_midway(run, tmp_path, nodes):
    for number in range(5, 9):
        add_checkpoint(run, number)
    job = batch_of(run, tmp_path / "local")
    run_batch(job)
    doomed = nodes.list_all_nodes()[-1]
    starters = {process.process.pid for process in doomed.all_processes["raylet"]}
    seen, lost = set(), []

    def remove_one():
        end = time.monotonic() + 100
        while not lost and time.monotonic() < end:
            busy = set(workers().values())
            seen.update(busy)
            if len(seen) > 1 and busy & starters and list((tmp_path / "ray").glob("*.json")):
                nodes.remove_node(doomed, allow_graceful=False)
                lost.append(doomed)
            time.sleep(0.005)

    thread = threading.Thread(target=remove_one)
    thread.start()
    engine = ray_engine(Cluster(address=nodes.address))
    far = run_batch(replace(job, folder=tmp_path / "ray"), engine=engine)
    thread.join()
    assert lost
    assert len(seen) == 2
    assert statuses(far) == ["done"] * 8
    assert results(tmp_path / "ray") == results(tmp_path / "local")


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

    monkeypatch.setattr("openloop_cli.jobs.engines.ray._import_ray", lambda: Ray)
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
    with pytest.raises(NotInstalledError, match="Ray, which is not installed") as error:
        ray_engine(Cluster())
    assert "openloop[ray]" in error.value.hint
