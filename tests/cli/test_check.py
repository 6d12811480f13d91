"""`openloop check` as a process: exit codes, tables, summaries, refusals."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from openloop_cli.jobs.report import ReportJob, measure_job
from openloop_cli.results.metrics_file import read_metrics, write_metrics
from tests.trees import errors, tree_of


def openloop(*args, summary=None):
    code = "from openloop_cli.cli import main; main()"
    environment = {k: v for k, v in os.environ.items() if k != "GITHUB_STEP_SUMMARY"}
    if summary is not None:
        environment["GITHUB_STEP_SUMMARY"] = str(summary)
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


@pytest.fixture
def metrics(tmp_path):
    path = tmp_path / "m.json"
    write_metrics(path, tree_of({"image": errors()}))
    return path


def test_pass_and_fail(metrics):
    good = openloop("check", metrics, "--min", "headline.image.skill=0.5")
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.splitlines()[-1] == "1 passes"
    bad = openloop(
        "check", metrics, "--min", "headline.image.skill=0.9", "--max", "headline.image.skill=0.9"
    )
    assert (bad.returncode, bad.stderr) == (3, "")
    lines = bad.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["FAIL", "pass", "1"]
    assert lines[1].split()[1:3] == ["headline.image.skill", "0.8"]
    assert lines[-1] == "1 of 2 fails"
    assert all(line == line.rstrip() for line in lines)


def test_quiet_and_json(metrics):
    limit = ("--max", "headline.image.skill=0.5")
    quiet = openloop("check", metrics, *limit, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (3, "", "")
    told = openloop("check", metrics, *limit, "--json")
    assert told.returncode == 3
    tree = json.loads(told.stdout)
    assert tree["passed"] is False
    assert tree["findings"][0]["name"] == "headline.image.skill"


def test_files(metrics, tmp_path):
    step, summary, junit = (tmp_path / name for name in ("step", "s.md", "j.xml"))
    step.write_text("before\n")
    limit = ("--min", "headline.image.skill=0.9")
    assert openloop("check", metrics, *limit, "--junit", junit, summary=step).returncode == 3
    assert step.read_text().startswith("before\n\n### openloop check m.json: 1 of 1 fails\n")
    assert ElementTree.parse(junit).getroot().get("failures") == "1"
    before = step.read_text()
    done = openloop("check", metrics, *limit, "--summary", summary, summary=step)
    assert done.returncode == 3
    assert step.read_text() == before
    assert "| headline.image.skill |" in summary.read_text()
    assert openloop("check", metrics, *limit, summary="").returncode == 3


@pytest.mark.parametrize("text", ["skill", "skill=", "=1", "skill=high", "skill=nan"])
def test_malformed_limits_are_wrong_usage(metrics, text):
    done = openloop("check", metrics, "--min", text)
    assert (done.returncode, done.stdout) == (2, "")
    assert "PATH=VALUE" in done.stderr


def test_nothing_to_check_is_wrong_usage(metrics):
    assert openloop("check", metrics).returncode == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "not JSON"),
        ("no json", "not JSON"),
        ('{"format": "openloop-metrics", "version": 1', "not JSON"),
        ('{"format": "openloop-metrics", "version": 1, "x": NaN}', "NaN"),
        ('{"format": "openloop-metrics", "version": 1, "x": -Infinity}', "Infinity"),
        ('{"format": "openloop-metrics", "version": 1, "x": 1e999}', "too large"),
        ("[" * 100_000, "not JSON"),
        ("9" * 10_000, "not JSON"),
        ("[]", "not a metrics.json"),
        ('{"format": "other", "version": 1}', "not a metrics.json"),
        ('{"format": "openloop-metrics", "version": 4}', "format version 4, expected 1 to 3"),
        ('{"format": "openloop-metrics"}', "format version None"),
        (b"\xff\xfe\x00", "not text"),
        (None, "cannot be read"),
    ],
)
@pytest.mark.parametrize("place", ["metrics", "baseline"])
def test_files_that_are_no_metrics(metrics, tmp_path, content, told, place):
    bad = tmp_path / "bad.json"
    if isinstance(content, bytes):
        bad.write_bytes(content)
    elif content is not None:
        bad.write_text(content)
    args = (bad, "--min", "x=1") if place == "metrics" else (metrics, "--baseline", bad)
    done = openloop("check", *args)
    assert (done.returncode, done.stdout) == (1, "")
    first, *more = done.stderr.splitlines()
    assert first.startswith(f"error: {bad}: ")
    assert told in first
    assert all(line.startswith("hint: ") for line in more)
    assert len(more) <= 1


@pytest.mark.parametrize("path", ["headline.image.skil", "headline.image", "headline.image.at.x"])
def test_a_number_that_does_not_exist(metrics, path):
    done = openloop("check", metrics, "--min", f"{path}=1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {metrics}: no number '{path}'\nhint: ")


def test_other_windows(metrics, tmp_path):
    other = tmp_path / "other.json"
    names = [f"V:{i}" for i in range(16)]
    write_metrics(other, tree_of({"image": errors()}, windows=names))
    done = openloop("check", metrics, "--baseline", other)
    assert done.returncode == 1
    assert "windows (16 and 16, 0 of them the same)" in done.stderr


def test_the_sample(sample_metrics, tmp_path):
    later, earlier = sample_metrics["later"], sample_metrics["earlier"]
    worse = openloop("check", earlier, "--baseline", later, "--junit", tmp_path / "j.xml")
    assert worse.returncode == 3
    failed = [line.split()[1] for line in worse.stdout.splitlines() if line.startswith("FAIL")]
    for name in ("velocity.context", "velocity.imagined"):
        assert f"headline.{name}" in failed
    assert "reward.imagined.mae.mean" in failed
    assert openloop("check", later, "--baseline", later).returncode == 0
    assert openloop("check", later, "--baseline", earlier).returncode == 0


def test_another_seed_of_the_sample(sample_metrics, sample_run, tmp_path):
    later = sample_metrics["later"]
    found = read_metrics(later)
    length, context = found["rollout"]["length"], found["rollout"]["context"]
    windows, checkpoint = tuple(found["rollout"]["windows"]), Path(found["checkpoint"]["path"])
    job = ReportJob(
        checkpoint, (sample_run,), Path("x.npz"),
        windows=windows, length=length, context=context, seed=7,
    )  # fmt: skip
    _, tree = measure_job(job)
    write_metrics(tmp_path / "seed.json", tree)
    # Another draw, not the same numbers once more.
    both = [x["headline"]["image"]["imagined"] for x in (tree, found)]
    assert both[0] != pytest.approx(both[1], rel=1e-6)
    done = openloop("check", tmp_path / "seed.json", "--baseline", later)
    assert done.returncode == 0, done.stdout
