"""`openloop table`: every number of metrics files in one long table."""

import csv
import importlib.util
import io
import sys

import pytest

from openloop_cli.results.metrics_file import read_metrics, write_metrics
from openloop_cli.results.table import metrics_rows
from tests.results.test_metrics_file import OLD
from tests.trees import errors, tree_of

from .command import openloop

FIELDS = ["run", "step", "key", "metric", "path", "lead", "value", "low", "high"]


@pytest.fixture
def files(tmp_path):
    tree = tree_of({"image": errors()})
    tree["run"]["name"] = "=cmd|' /C calc'!A0"
    write_metrics(tmp_path / "a.metrics.json", tree)
    return [tmp_path / "a.metrics.json", OLD]


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_on_stdout(files):
    done = openloop("table", *files)
    assert (done.returncode, done.stderr) == (0, "")
    rows = table(done.stdout)
    assert list(rows[0]) == FIELDS
    trees = [read_metrics(path) for path in files]
    assert len(rows) == sum(len(list(metrics_rows(tree))) for tree in trees)
    found = {tuple(row[x] for x in ("run", "key", "metric", "path", "lead")): row for row in rows}
    tree = trees[1]
    key = next(iter(tree["observations"]))
    series = tree["observations"][key]["imagined"]["floor"]["mae"]
    whole = found["dmc_proprio", key, "mae", "floor", ""]
    assert [float(whole[x]) for x in ("value", "low", "high")] == [
        series[x] for x in ("mean", "mean_low", "mean_high")
    ]
    third = found["dmc_proprio", key, "mae", "floor", "3"]
    assert [float(third[x]) for x in ("value", "low", "high")] == [
        series[x][2] for x in ("per_step", "low", "high")
    ]
    horizon = tree["observations"][key]["useful_horizon"]["steps"]
    row = found["dmc_proprio", key, "useful_horizon", "model", ""]
    assert row["value"] == ("" if horizon is None else str(horizon))


def test_steps_of_the_context_lead_up_to_0(files):
    rows = table(openloop("table", OLD, "--out", "-").stdout)
    tree = read_metrics(OLD)
    context, length = tree["rollout"]["context"], tree["rollout"]["length"]
    said = [x for x in rows if (x["key"], x["metric"], x["path"]) == ("reward", "mean", "model")]
    assert [x["lead"] for x in said] == ["", *map(str, range(1 - context, length - context + 1))]
    assert [float(x["value"]) for x in said[1:]] == tree["reward"]["predicted"]["per_step"]


def test_a_name_is_no_formula_of_a_spreadsheet(files):
    assert table(openloop("table", files[0]).stdout)[0]["run"].startswith("'=cmd")


def test_names_act_on_no_terminal(tmp_path):
    tree = tree_of({"a\x1b[31m\udc80": errors()})
    tree["checkpoint"]["step"] = 10**17
    write_metrics(tmp_path / "a.json", tree)
    done = openloop("table", tmp_path / "a.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert {row["key"] for row in table(done.stdout)} >= {"a\ufffd[31m\ufffd"}
    assert openloop("table", tmp_path / "a.json", "-o", tmp_path / "t.csv").returncode == 0
    if importlib.util.find_spec("pyarrow"):
        assert openloop("table", tmp_path / "a.json", "-o", tmp_path / "t.parquet").returncode == 0


def test_a_file(files, tmp_path):
    done = openloop("table", *files, "--out", tmp_path / "t.csv")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 't.csv'}\n")
    assert (tmp_path / "t.csv").read_text() == openloop("table", *files).stdout


def test_parquet(files, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    assert openloop("table", *files, "--out", tmp_path / "t.parquet", "-q").returncode == 0
    rows = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        tuple(row) for path in files for row in metrics_rows(read_metrics(path))
    ]


def test_without_pyarrow(files, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = openloop("table", *files, "--out", tmp_path / "t.parquet")
    assert done.returncode == 1
    assert done.stderr == (
        "error: Parquet needs pyarrow, which is not installed\n"
        "hint: pip install 'openloop[parquet]', or use .csv\n"
    )
    assert not (tmp_path / "t.parquet").exists()


def test_refusals(files, tmp_path):
    done = openloop("table", *files, "--out", tmp_path / "t.xlsx")
    assert done.returncode == 2
    assert "unsupported extension" in done.stderr
    assert openloop("table", tmp_path / "gone.json").returncode == 1
