"""metrics.json: strict JSON, digits that last, and every file as its schema says."""

import json
import math
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from openloop_cli.jobs.report import ReportJob, run_job
from openloop_cli.results.metrics_file import (
    DIGITS,
    FORMAT,
    STEP_DIGITS,
    VERSION,
    metrics_json,
    plain,
    read_metrics,
    write_metrics,
)
from tests.synthetic_run import make_params, make_run

GENUINE = Path(__file__).parents[1] / "fixtures" / "dmc_proprio"
SCHEMA = json.loads(files("openloop_cli.results").joinpath("metrics.schema.json").read_text())
# Few, because each takes a compilation.
KINDS = {
    "futures": {"samples": 3},
    "diverged, futures": {"samples": 3},
    "prediction only": {"evaluate": False},
    "one window": {"num_windows": 1, "windows": ("1:0",)},
    "a bare checkpoint": {"evaluate": False},
    "no images": {"out": "x.npz"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run with images, the same without config and step, the same full of NaN, and a genuine
    one without images."""
    folder = tmp_path_factory.mktemp("runs")
    images, bare = make_run(folder / "images"), make_run(folder / "bare")
    (bare / "config.yaml").unlink()
    for path in bare.glob("ckpt/*/step.pkl"):
        path.unlink()
    nothing = {
        name: np.full_like(x, np.nan) if x.dtype.kind == "f" else x
        for name, x in make_params().items()
    }
    diverged = make_run(folder / "diverged", params=nothing)
    return {"images": images, "bare": bare, "none": GENUINE, "diverged": diverged}


def render(runs, folder: Path, kind: str, options: dict) -> Path:
    named = {"no images": "none", "a bare": "bare", "diverged": "diverged"}
    run = next((runs[name] for part, name in named.items() if part in kind), runs["images"])
    options = {"out": "x.mp4", "num_windows": 3, "length": 8} | options
    options["out"] = folder / options["out"]
    run_job(ReportJob(run, (run,), **options))
    return folder / "x.metrics.json"


@pytest.fixture(scope="module")
def written(runs, tmp_path_factory):
    """The text of a metrics.json of each kind."""
    return {
        kind: render(runs, tmp_path_factory.mktemp("out"), kind, options).read_text()
        for kind, options in KINDS.items()
    }


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["format"]["const"] == FORMAT
    assert SCHEMA["properties"]["version"]["const"] == VERSION


def test_the_schema_describes_every_name():
    def walk(schema, place):
        if "properties" in schema or "additionalProperties" in schema:
            assert schema.get("additionalProperties") is not True, place
            assert schema.get("description"), place
        for name, value in schema.get("properties", {}).items():
            walk(value, f"{place}/{name}")
            described = "description" in value or "$ref" in value
            assert described, f"{place}/{name}"
        for key in ("additionalProperties", "items"):
            if isinstance(schema.get(key), dict):
                walk(schema[key], f"{place}/{key}")
        for name, value in schema.get("$defs", {}).items():
            walk(value, f"{place}/$defs/{name}")

    walk(SCHEMA, "")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_as_the_schema_says(kind, written):
    def refuse(name):
        raise AssertionError(name)

    tree = json.loads(written[kind], parse_constant=refuse)
    errors = list(Draft202012Validator(SCHEMA).iter_errors(tree))
    assert not errors, [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in errors]
    assert ("drift" in tree) == KINDS[kind].get("evaluate", True)
    assert ("spread" in next(iter(tree["observations"].values()))) == ("futures" in kind)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_what_diverged_is_null(written):
    tree = json.loads(written["diverged, futures"])
    for numbers in tree["headline"].values():
        assert numbers["skill"] is None
        assert numbers["useful_horizon"]["steps"] is None
    assert tree["drift"]["mean"] is None
    assert any("NaN or Infinity in" in note for note in tree["notes"])


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.update(version=1),
        lambda tree: tree.pop("rollout"),
        lambda tree: tree.update(more=1),
        lambda tree: tree["rollout"]["windows"].clear(),
        lambda tree: tree["rollout"].update(windows=["no id"]),
        lambda tree: tree["checkpoint"].update(sha256="0"),
        lambda tree: tree["observations"]["image"]["imagined"]["model"].update(mmse={}),
        lambda tree: tree["observations"]["image"]["imagined"]["model"]["mse"].update(mean="1"),
        lambda tree: tree["observations"]["image"]["imagined"].pop("persistence"),
        lambda tree: tree["headline"]["image"]["at"].update(first=1),
    ],
)
def test_the_schema_refuses_what_is_not_right(change, written):
    tree = json.loads(written["futures"])
    change(tree)
    assert list(Draft202012Validator(SCHEMA).iter_errors(tree))


def test_what_is_undefined_is_null(tmp_path):
    tree = {
        "a": math.nan,
        "b": [math.inf, -math.inf, np.float32("nan")],
        "c": np.array([1, np.nan]),
    }
    write_metrics(tmp_path / "m.json", tree)
    text = (tmp_path / "m.json").read_text()
    assert json.loads(text) == {"a": None, "b": [None, None, None], "c": [1, None]}
    assert "NaN" not in text
    assert "Infinity" not in text


def test_digits_are_more_than_float32_holds():
    values = np.random.default_rng(0).lognormal(0, 20, 1000).astype(np.float32)
    back = json.loads(metrics_json(dict(enumerate(values))))
    np.testing.assert_allclose(list(back.values()), values, rtol=10.0 ** (1 - DIGITS))
    back = json.loads(metrics_json({"a": values}))["a"]
    np.testing.assert_allclose(back, values, rtol=10.0 ** (1 - STEP_DIGITS))
    assert json.loads(metrics_json({"a": 1 / 3}))["a"] == 0.3333333
    assert plain(np.int64(2**53 + 1)) == 2**53 + 1


def test_round_trip(tmp_path):
    tree = {
        "format": FORMAT,
        "version": VERSION,
        "text": 'quotes " and é and \n',
        "path": Path("a/b"),
        "empty": {},
        "flags": np.array([True, False]),
        "nested": {"rows": np.arange(6.0).reshape(2, 3), "none": None},
    }
    write_metrics(tmp_path / "m.json", tree)
    assert read_metrics(tmp_path / "m.json") == plain(tree)
    assert plain(plain(tree)) == plain(tree)
    lines = (tmp_path / "m.json").read_text().splitlines()
    assert '    "rows": [[0.0,1.0,2.0],[3.0,4.0,5.0]],' in lines
