"""A report in the logs: its names, and what becomes of files that are gone or lead elsewhere."""

import copy
import json
import re

import numpy as np
import pytest

from openloop_cli.errors import OutputError
from openloop_cli.loggers import VideoFile
from openloop_cli.loggers.report import report_log, report_metrics
from openloop_cli.results.metrics_file import read_metrics, write_metrics
from tests.conftest import ROOT
from tests.trees import errors, tree_of

TABLE = (ROOT / "docs" / "metrics.md").read_text()


@pytest.fixture
def report(tmp_path):
    tree = tree_of({"image": errors(), "cam/a": errors(seed=1)})
    tree["files"] = {"video/image": "a.mp4", "page": "a.html", "video/cam/a": "a.cam_a.mp4"}
    tree["config"] = {"action_repeat": 2}
    for name in ("a.mp4", "a.cam_a.mp4"):
        (tmp_path / name).write_bytes(b"video")
    return tree


def test_numbers_curves_and_videos(report, tmp_path):
    found = report_metrics(report, tmp_path, multiplier=2)
    headline = report["headline"]["image"]
    assert found["report/skill/image"] == headline["skill"]
    assert found["report/useful_horizon/image"] == headline["useful_horizon"]["steps"]
    assert found["counters/env_step"] == 2000
    assert found["counters/updates"] == 10
    assert found["report/openloop/image"] == VideoFile(tmp_path / "a.mp4")
    assert found["report/openloop/cam/a"] == VideoFile(tmp_path / "a.cam_a.mp4")
    skill = report["observations"]["image"]["skill"]["per_step"]
    np.testing.assert_array_equal(found["report/curve/skill/image"], skill)


def test_every_name_is_in_the_table_and_every_line_of_it_is_emitted(report, tmp_path):
    from openloop_cli.jobs.loading import ReportJob
    from openloop_cli.jobs.report import run_job

    # A genuine run's report has all names, but skill only where something moves.
    run = ROOT / "tests" / "fixtures" / "genuine" / "runs" / "dummy_f32"
    job = ReportJob(run, out=tmp_path / "b.mp4", num_windows=3, length=8, page=True, recorded=True)
    made = copy.deepcopy(run_job(job).metrics)
    made["recorded"]["usage"] |= {"nvml/compute/gpu0": 0.5, "nvml/memory/gpu0": 0.5}
    names = {*report_metrics(made, tmp_path), *report_metrics(report, tmp_path)}
    assert {"train/loss/dyn", "replay/items", "episode/score", "timers/roll_out"} <= names
    rows = re.findall(r"^\| `(\w+/[^`]+)`", TABLE, flags=re.MULTILINE)
    forms = [re.compile(re.sub(r"<\w+>", "[^/]+(/[^/]+)*", row)) for row in rows]
    assert len(rows) > 10
    for name in names:
        assert any(form.fullmatch(name) for form in forms), name
    for form in forms:
        assert any(form.fullmatch(name) for name in names), form


@pytest.mark.parametrize("name", ["../a.mp4", "/etc/passwd", "a.mp4/../../b.mp4", "a.sh", "", 3])
def test_nothing_is_copied_but_a_video_beside_it(report, tmp_path, name):
    report["files"] = {"video/image": name}
    assert "report/openloop/image" not in report_metrics(report, tmp_path)


def test_a_video_that_is_gone_is_told(report, tmp_path):
    (tmp_path / "a.mp4").unlink()
    told = []
    assert "report/openloop/image" not in report_metrics(report, tmp_path, tell=told.append)
    assert told == [
        f"{tmp_path / 'a.mp4'}: the video of this report is gone, its numbers are logged"
    ]


def test_several_reports_in_the_order_of_their_steps(report, tmp_path):
    later = copy.deepcopy(report)
    later["checkpoint"]["step"] = 5000
    with report_log([f"jsonl:{tmp_path}"], keep="skill", multiplier=None, tell=print) as log:
        log.take([(later, tmp_path / "b"), (report, tmp_path / "a")])
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    assert [line["step"] for line in lines] == [2000, 10_000]
    assert "report/skill/image" in lines[0]
    assert "counters/updates" not in lines[0]


def test_of_several_runs_each_has_its_name_in_front(report, tmp_path):
    other = copy.deepcopy(report)
    other["run"]["name"] = "other"
    with report_log([f"jsonl:{tmp_path}"], keep=None, multiplier=3, tell=print) as log:
        log.take([(report, tmp_path / "a"), (other, tmp_path / "b")])
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    assert [line["step"] for line in lines] == [3000, 3000]
    assert "cheetah/report/skill/image" in lines[0]
    assert "other/report/skill/image" in lines[1]


def test_without_a_step_there_is_no_place_for_it_and_the_others_are_logged(report, tmp_path):
    other, told = copy.deepcopy(report), []
    other["checkpoint"]["step"] = None
    logging = report_log([f"jsonl:{tmp_path}"], keep=None, multiplier=None, tell=told.append)
    log = logging.__enter__()
    log.take([(other, tmp_path / "a"), (report, tmp_path / "b")])
    with pytest.raises(OutputError, match=r"not all was logged: .*names no step"):
        logging.__exit__(None, None, None)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1
    assert [line.partition(": the report names no step")[0] for line in told] == [
        f"not logged: {tmp_path / 'a'}"
    ]


def test_a_failing_output_is_an_error_at_the_end(report, tmp_path):
    told = []
    (tmp_path / "log").mkdir()
    logging = report_log(
        [f"jsonl:{tmp_path / 'log'}"], keep=None, multiplier=None, tell=told.append
    )
    log = logging.__enter__()
    (tmp_path / "log" / "metrics.jsonl").unlink()
    (tmp_path / "log" / "metrics.jsonl").mkdir()
    log.take([(report, tmp_path / "a")])
    with pytest.raises(OutputError, match="not all was logged"):
        logging.__exit__(None, None, None)
    assert len(told) == 1


def test_what_is_written_can_be_logged(report, tmp_path):
    write_metrics(tmp_path / "a.metrics.json", report)
    tree = read_metrics(tmp_path / "a.metrics.json")
    assert report_metrics(tree, tmp_path)["report/skill/image"] is not None
