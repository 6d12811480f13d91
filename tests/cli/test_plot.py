"""`openloop plot`: metrics files in, one picture out, one line for what is wrong."""

import json
import xml.etree.ElementTree as ET

import pytest
from typer.testing import CliRunner

from openloop_cli.cli.app import app
from openloop_cli.errors import MetricsError, OptionError


def metrics(folder, name, step):
    series = {"mean": 1.0, "per_step": [1.0, 2.0], "low": [0.5, 1.5], "high": [1.5, 2.5]}
    tree = {
        "format": "openloop-metrics",
        "version": 1,
        "run": {"name": "<cheetah>"},
        "checkpoint": {"step": step},
        "rollout": {"length": 3, "context": 1},
        "observations": {"pose": {"kind": "continuous", "imagined": {"model": {"mae": series}}}},
        "drift": series,
    }
    path = folder / name
    path.write_text(json.dumps(tree))
    return str(path)


def run(*args):
    return CliRunner().invoke(app, ["plot", *args], catch_exceptions=True)


def test_one_file_and_several(tmp_path):
    a, b = metrics(tmp_path, "a.json", 1000), metrics(tmp_path, "b.json", 2000)
    for given, words in (([a], "model"), ([a, b], "step 2,000")):
        out = tmp_path / "curves.svg"
        result = run(*given, "--out", str(out))
        assert result.exit_code == 0, result.output
        assert "curves.svg" in result.output
        text = "".join(ET.parse(out).getroot().itertext())
        assert words in text
        assert "<cheetah>" in text
        assert "pose: error by step" in text


def test_only_the_keys_that_were_asked_for(tmp_path):
    a = metrics(tmp_path, "a.json", 1000)
    result = run(a, "--keys", "nose", "--out", str(tmp_path / "c.svg"))
    assert isinstance(result.exception, MetricsError)
    assert "the metrics hold pose" in str(result.exception)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"format": "other"}, "not a metrics.json"), ({"version": 9}, "format version 9"),
     ({"observations": {}, "drift": {}}, "holds no curves")],
)  # fmt: skip
def test_other_files_are_refused(tmp_path, change, words):
    path = tmp_path / "a.json"
    metrics(tmp_path, "a.json", 1)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    result = run(str(path), "--out", str(tmp_path / "c.svg"))
    assert isinstance(result.exception, MetricsError)
    assert words in str(result.exception)


def test_an_unknown_ending_is_refused(tmp_path):
    result = run(metrics(tmp_path, "a.json", 1), "--out", str(tmp_path / "c.gif"))
    assert isinstance(result.exception, OptionError)
