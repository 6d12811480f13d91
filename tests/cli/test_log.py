"""`openloop log`, and `--log` of `render`."""

import json
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from openloop_cli.cli import options
from openloop_cli.cli.app import app
from openloop_cli.errors import OpenloopError
from openloop_cli.results.metrics_file import write_metrics
from tests.conftest import ROOT
from tests.trees import errors, tree_of

PROPRIO = ROOT / "tests" / "fixtures" / "dmc_proprio"
RENDER = ["render", str(PROPRIO), "--length", "8", "--num-windows", "3", "--no-evaluate"]


@pytest.fixture
def metrics(tmp_path):
    write_metrics(tmp_path / "a.metrics.json", tree_of({"image": errors()}))
    return tmp_path / "a.metrics.json"


def invoke(*words):
    return CliRunner().invoke(app, list(map(str, words)))


def steps(folder):
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").open()]


def test_a_report_that_exists(metrics, tmp_path):
    log = tmp_path / "log"
    found = invoke("log", metrics, "--log", f"jsonl:{log}", "--log", f"scope:{log}")
    assert found.exit_code == 0
    assert found.stdout == f"logged 1 report: jsonl:{log}, scope:{log}\n"
    assert steps(log) == [1000]
    assert (log / "scope" / "report-skill-image.float").stat().st_size == 16
    assert (
        invoke("log", metrics, "--log", f"jsonl:{log}", "--step-multiplier", 4, "-q").stdout == ""
    )
    assert steps(log) == [1000, 4000]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "--log is missing"),
        (["--log", "x:y"], 2, "no output of this name"),
        (["--log", "jsonl:/dev/null/x"], 1, "cannot be written: not a directory"),
        (["--log", "jsonl:x", "--log-filter", "("], 2, "no regular expression"),
        (["--log", "jsonl:x", "--step-multiplier", "0"], 2, ""),
    ],
)
def test_wrong_options(metrics, tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    found = invoke("log", metrics, *words)
    if isinstance(found.exception, OpenloopError):
        assert found.exception.exit_code == code
        assert said in found.exception.message
    else:
        assert found.exit_code == code


def test_a_file_that_is_none_costs_no_output(metrics, tmp_path):
    (tmp_path / "bad.json").write_text("[]")
    found = invoke("log", metrics, tmp_path / "bad.json", "--log", f"jsonl:{tmp_path / 'log'}")
    assert "not a metrics.json" in found.exception.message
    assert not (tmp_path / "log").exists()


def test_a_render_is_a_render_and_then_a_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = invoke(*RENDER, "--out", "a.mp4", "--log", "jsonl:log", "--log", "scope:log")
    assert found.exit_code == 0, found.output
    (step,) = steps(tmp_path / "log")
    assert step > 0
    (video,) = (tmp_path / "log" / "scope").glob("report-openloop-*.mp4/*.mp4")
    assert video.read_bytes() in [path.read_bytes() for path in tmp_path.glob("a*.mp4")]


def test_an_output_that_cannot_be_is_told_before_anything_is_rendered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").touch()
    found = invoke(*RENDER, "--out", "a.mp4", "--log", "jsonl:f/log")
    assert found.exception.exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_without_log_nothing_of_it_is_imported(tmp_path):
    code = (
        "import sys; from typer.testing import CliRunner; from openloop_cli.cli.app import app;"
        f"r = CliRunner().invoke(app, {[*RENDER, '--out', str(tmp_path / 'a.mp4'), '--quiet']!r});"
        "print(r.exit_code, *(x for x in sys.modules if 'loggers' in x or 'tensorboard' in x))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "0\n"


@pytest.mark.parametrize("command", [["batch"], ["watch", "--once"]])
def test_each_output_gets_each_report_once(tmp_path, monkeypatch, command):
    """Also those that were there before, as after a kill between a report and its logging."""
    monkeypatch.chdir(tmp_path)
    words = [*command, PROPRIO, "--out-dir", "all", *RENDER[2:], "--no-report"]
    for logs in ([], ["jsonl:a"], ["jsonl:a"], ["jsonl:a", "jsonl:b"]):
        found = invoke(*words, *(word for log in logs for word in ("--log", log)))
        assert found.exit_code == 0, found.output
    (report,) = (tmp_path / "all").glob("*.metrics.json")
    for name in "ab":
        assert len(steps(tmp_path / name)) == 1
    # Another report under the same name is another one.
    report.write_text(report.read_text().replace('"notes": [', '"notes": ["new", ', 1))
    assert invoke(*words, "--log", "jsonl:a").exit_code == 0
    assert len(steps(tmp_path / "a")) == 2


def test_a_comparison_logs_what_it_measured_and_what_it_was_given(metrics, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    later = tree_of({"image": errors(seed=1)})
    later["checkpoint"]["step"] = 2000
    write_metrics(tmp_path / "b.metrics.json", later)
    found = invoke("compare", metrics, "b.metrics.json", "--log", "jsonl:log")
    assert found.exit_code == 0, found.output
    assert steps(tmp_path / "log") == [1000, 2000]
    shutil.copytree(PROPRIO, tmp_path / "other")
    words = ["compare", PROPRIO, "other", "--replay", PROPRIO, *RENDER[2:6]]
    found = invoke(*words, "--log", "jsonl:more")
    assert "let --out name a folder" in found.exception.hint
    found = invoke(*words, "--out", "made", "--log", "jsonl:more")
    assert found.exit_code == 0, found.output
    assert len(steps(tmp_path / "more")) == len(list((tmp_path / "made").glob("*.metrics.json")))


def test_report_batches_measure_as_many_windows_more():
    job = options.settings(options.Windows(num_windows=3, report_batches=4))
    assert job.num_windows == 12
    with pytest.raises(OpenloopError, match="--report-batches 2 with --window"):
        options.settings(options.Windows(window=["a:1"], report_batches=2))
