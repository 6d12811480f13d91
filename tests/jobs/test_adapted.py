"""`--model package:Name`: a model of one function gets the report that DreamerV3 gets."""

import json
import sys

import pytest

from openloop_cli.errors import ModelError, OptionError
from openloop_cli.jobs.report import ReportJob, run_job
from openloop_cli.models.adapter import load_adapter
from tests.synthetic_run import make_run

CODE = '''
import numpy as np

def ahead(observed, actions):
    return next(iter(actions.values())).shape[1] - observed["image"].shape[1]

class Still:
    """The last frame, copied: as many futures of it as are asked for."""

    def __init__(self, path):
        self.path = path

    def imagine(self, observed, actions, futures, seed):
        steps = ahead(observed, actions)
        return {k: x[:, None, -1:].repeat(futures, 1).repeat(steps, 2) for k, x in observed.items()}

class Drawn(Still):
    """Noise around it, and a decoder that sees everything as it is."""

    def imagine(self, observed, actions, futures, seed):
        found = super().imagine(observed, actions, futures, seed)
        noise = np.random.default_rng(seed).normal(0, 0.1, found["pose"].shape)
        return {"image": found["image"] / 255, "pose": found["pose"] + noise}

    def reconstruct(self, observed, actions):
        return observed

def one_key(observed, actions, futures, seed):
    return {"pose": np.zeros((len(observed["pose"]), ahead(observed, actions), 4))}

def short(observed, actions, futures, seed):
    return {"image": observed["image"][:, :1]}

def other(observed, actions, futures, seed):
    return {"pictures": observed["image"]}

def broken(observed, actions, futures, seed):
    raise RuntimeError("out of ideas\\nand more")

nothing = 3
'''


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("adapted") / "run")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the model's code, which is the current one."""
    (tmp_path / "made_up_model.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("made_up_model", None)


def report(run, out, name, **options):
    options = {"length": 8, "num_windows": 3, "page": False} | options
    run_job(ReportJob(run, (), out / "a.mp4", model=f"made_up_model:{name}", **options))
    return json.loads((out / "a.metrics.json").read_text())


def test_a_copied_frame_is_persistence(run, here):
    tree = report(run, here, "Still")
    for key in ("image", "pose", "token"):
        found = tree["observations"][key]["imagined"]
        metric = {"image": "mse", "pose": "symlog_mse", "token": "mistakes"}[key]
        errors = {path: numbers[metric]["mean"] for path, numbers in found.items()}
        assert errors["model"] == errors["shuffled_actions"] == errors["persistence"] > 0
        assert "floor" not in found
    assert tree["rollout"]["model"] == "made_up_model:Still"
    assert "config" not in tree


def test_futures_and_a_reconstruction(run, here):
    saved = here / "b.npz"
    tree = report(run, here, "Drawn", samples=2, save_arrays=saved, page=True)
    assert list(tree["headline"]) == ["image", "pose"]
    floor = tree["observations"]["pose"]["imagined"]["floor"]
    assert floor["mse"]["mean"] == 0
    assert tree["observations"]["pose"]["spread"]["std"]["mean"] > 0.03
    again = report(run, here, "Drawn", samples=2)
    assert again["observations"] == tree["observations"]
    assert "made_up_model:Drawn" in (here / "a.html").read_text()


def test_a_function_of_one_key(run, here):
    tree = report(run, here, "one_key", evaluate=False)
    assert list(tree["observations"]) == ["pose"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("short", r"imagine: image: expected numbers of \(3, 1, 4, 16, 16, 3\), found uint8"),
        ("other", "imagine returned 'pictures', there are image, pose, token"),
        ("broken", r"imagine: RuntimeError: out of ideas.*\(made_up_model.py, line \d+\)"),
        ("nothing", r"has no imagine\(observed, actions, futures, seed\)"),
        ("missing", "has no attribute 'missing'"),
    ],
)
def test_what_is_wrong_with_a_model_is_one_line(run, here, name, message):
    with pytest.raises(ModelError, match=message) as caught:
        report(run, here, name)
    assert "\n" not in str(caught.value)
    assert not list(here.glob("a.*"))


def test_only_what_is_named_is_run(here):
    with pytest.raises(ModelError, match="no module nowhere"):
        load_adapter("nowhere:Model", here)
    for name in ("made_up_model", "made_up_model:", "/etc/x.py:f", "a b:c"):
        with pytest.raises(OptionError, match="expected package:Name"):
            load_adapter(name, here)
