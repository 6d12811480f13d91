"""memory:// end to end: the same results as from the disk."""

import json
from pathlib import Path

import numpy as np
import pytest

from openloop_cli import open_run
from openloop_cli.errors import RemoteError
from openloop_cli.jobs.report import ReportJob, run_job
from openloop_cli.storage import place, stores
from openloop_cli.storage.atomic import atomic_path

PLACES = ("checkpoint/path", "config/source", "replay/paths")


@pytest.fixture
def remote_run(memory, put, sample_run):
    put(memory, sample_run, "/runs/cheetah")
    return "memory://runs/cheetah"


def test_a_report_is_the_same_as_from_the_disk(remote_run, sample_run, memory, tmp_path):
    options = {"length": 16, "num_windows": 4, "show": 2, "evaluate": False}
    there = run_job(ReportJob(remote_run, (remote_run,), "memory://out/a/video.mp4", **options))
    here = run_job(ReportJob(sample_run, (sample_run,), tmp_path / "video.mp4", **options))
    written = json.loads(memory.cat_file("/out/a/video.metrics.json"))
    assert written["checkpoint"]["path"].startswith("memory://runs/cheetah/ckpt/")
    assert written["replay"]["paths"] == ["memory://runs/cheetah"]
    assert _without_places(written) == _without_places(
        json.loads(here.files["metrics"].read_text())
    )
    assert written["frames"] == here.metrics["frames"]
    assert memory.cat_file("/out/a/video.mp4") == (tmp_path / "video.mp4").read_bytes()
    assert sorted(x.rpartition("/")[2] for x in memory.ls("/out/a", detail=False)) == [
        "video.metrics.json",
        "video.mp4",
        "video.windows.npz",
    ]
    assert str(there.files["metrics"]) == "memory://out/a/video.metrics.json"


def _without_places(tree):
    tree = json.loads(json.dumps(tree)) | {"timings": None}
    for path in PLACES:
        part, name = path.split("/")
        tree[part][name] = None
    return tree


def test_python_takes_addresses(remote_run, sample_run, requests):
    there, here = open_run(remote_run, remote_run), open_run(sample_run, sample_run)
    assert str(there.config.source) == "memory://runs/cheetah/config.yaml"
    choice, windows = there.choose_windows(length=20, num_windows=5, seed=3)
    same_choice, same = here.choose_windows(length=20, num_windows=5, seed=3)
    assert choice == same_choice
    assert all(np.array_equal(windows.data[key], same.data[key]) for key in same.data)
    params, expected = there.read_params(), here.read_params()
    assert list(params) == list(expected)
    assert all(np.array_equal(params[name], expected[name]) for name in expected)
    assert requests.trips <= 20


def test_what_fails_leaves_nothing_behind(memory, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    memory.pipe_file("/out/v.txt", b"before")
    with pytest.raises(KeyboardInterrupt):
        _write_half()
    assert memory.cat_file("/out/v.txt") == b"before"
    assert not list(tmp_path.iterdir())
    with atomic_path(place("memory://out/v.txt")) as local:
        local.write_text("after")
    assert memory.cat_file("/out/v.txt") == b"after"
    assert [x["name"] for x in memory.ls("/out")] == ["/out/v.txt"]
    assert not list(tmp_path.iterdir())


def _write_half():
    with atomic_path(place("memory://out/v.txt")) as local:
        assert local.suffix == ".txt"
        local.write_text("half")
        raise KeyboardInterrupt


def test_a_network_that_fails_is_no_damaged_chunk(remote_run, monkeypatch):
    run, fetch = open_run(remote_run, remote_run), stores.fetch

    def failing(path, ranges):
        if path.suffix == ".npz":
            raise RemoteError(f"{path}: cannot be reached")
        return fetch(path, ranges)

    monkeypatch.setattr(stores, "fetch", failing)
    with pytest.raises(RemoteError, match="cannot be reached"):
        run.choose_windows(length=16, num_windows=4)


def test_a_damaged_chunk_is_passed_over_as_on_a_disk(remote_run, sample_run, memory):
    chunk = sorted(memory.find("/runs/cheetah/replay"))[1]
    memory.pipe_file(chunk, memory.cat_file(chunk)[:-1000])
    _, windows = open_run(remote_run, remote_run).choose_windows(length=16, num_windows=4)
    assert not any(path.name in chunk for path in windows.chunk_files)


def test_python_takes_universal_paths(remote_run):
    upath = pytest.importorskip("upath", reason="needs universal-pathlib")
    run = open_run(upath.UPath(remote_run), upath.UPath(remote_run) / "replay")
    assert run.checkpoint.step == 3670
    assert len(run.replay.chunks) == 4
    assert place(upath.UPath("/somewhere/local")) == Path("/somewhere/local")
