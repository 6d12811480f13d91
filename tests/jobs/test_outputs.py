"""Names of a report's files: distinct, harmless, and checked before anything is computed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from openloop_cli.errors import OutputError
from openloop_cli.jobs import report
from openloop_cli.jobs.loading import ReportJob, picture_paths
from openloop_cli.jobs.report import run_job
from openloop_cli.results.metrics_file import read_metrics
from openloop_cli.spaces import Space, Spaces
from tests.synthetic_run import SPACES, make_params, make_run


def test_one_picture_has_the_name_that_was_asked_for():
    assert picture_paths(Path("a/x.mp4"), ["../b"]) == {"../b": Path("a/x.mp4")}


def test_names_are_plain_and_distinct():
    keys = [
        "cam/a",
        "cam_a",
        "CAM_A",
        "a/../b",
        "/",
        "..",
        "x" * 300,
        "x" * 301,
        "\n",
        "ü",
        "\ud800",
    ]
    paths = picture_paths(Path("a/x.mp4"), keys)
    assert list(paths) == keys
    assert {path.parent for path in paths.values()} == {Path("a")}
    names = [path.name.casefold() for path in paths.values()]
    assert len(set(names)) == len(keys)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-") for name in names)
    assert max(map(len, names)) < 120
    assert picture_paths(Path("x.mp4"), ["cam/a", "b"])["cam/a"] == Path("x.cam_a.mp4")


@pytest.fixture
def two_cameras(tmp_path):
    """A run with two cameras whose names differ in what no file name may hold."""
    spaces = Spaces(
        (("cam/a", SPACES.obs[0][1]), ("cam_a", Space((16, 16, 3), "uint8"))), SPACES.act
    )
    run = make_run(tmp_path / "run", params=make_params(spaces=spaces))
    for path in (run / "replay").glob("*.npz"):
        arrays = dict(np.load(path))
        image = arrays.pop("image")
        del arrays["pose"], arrays["token"]
        np.savez(path, **{"cam/a": image, "cam_a": 255 - image}, **arrays)
    return run


def test_two_keys_with_one_spelling_are_two_videos(two_cameras, tmp_path):
    out = tmp_path / "x.gif"
    job = ReportJob(two_cameras, (two_cameras,), out, length=4, num_windows=1, scale=2)
    files = run_job(job).files
    first, second = files["video/cam/a"], files["video/cam_a"]
    assert first.read_bytes() != second.read_bytes()


def test_a_video_that_cannot_be_written_is_told_before_the_rollout(
    two_cameras, tmp_path, monkeypatch
):
    out = tmp_path / "x.gif"
    picture_paths(out, ["cam/a", "cam_a"])["cam_a"].mkdir()
    monkeypatch.setattr(report, "roll_out_job", lambda *args: pytest.fail("rolled out"))
    with pytest.raises(OutputError, match="found a folder"):
        run_job(ReportJob(two_cameras, (two_cameras,), out, length=4))


def test_metrics_name_the_same_arrays_whatever_the_hash_seed(tmp_path):
    run = make_run(tmp_path / "run")
    code = (
        "from openloop_cli.jobs.report import ReportJob, run_job\n"
        f"run_job(ReportJob({str(run)!r}, ({str(run)!r},), 'a.npz', save_arrays='b.npz',"
        " length=4, num_windows=1, evaluate=False))"
    )
    found = set()
    for seed in ("1", "2", "3"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
        found.add(read_metrics(tmp_path / "a.metrics.json")["files"]["arrays"])
    assert found == {"a.npz"}
