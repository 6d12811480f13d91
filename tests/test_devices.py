"""One device here; four in a process that pretends to have them (`on_four_devices.py`)."""

import os
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import jax
import numpy as np
import pytest

from openloop_cli.errors import OptionError
from openloop_cli.models.dreamerv3.inputs import model_inputs
from openloop_cli.models.model import Model, find_devices, place_model
from openloop_cli.rollout import blocks, compiled
from openloop_cli.rollout.roll_out import roll_out
from openloop_cli.run import open_run
from tests.synthetic_run import make_run

ROOT = Path(__file__).resolve().parents[1]


def test_four_devices():
    """All of `on_four_devices.py`; the number of devices has to be set before jax starts."""
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
    }
    inner = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*inner, ROOT / "tests" / "on_four_devices.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("name", ["cpu:1", "cpu:", "cpu:x", "cpu:-1", "cpu:1:0"])
def test_no_such_device(name):
    with pytest.raises(OptionError, match=f"--device {name}: there are 1 cpu devices, from 0"):
        find_devices(name)


def test_no_such_platform():
    with pytest.raises(OptionError, match=r"--device quantum: .*quantum"):
        find_devices("quantum")


def test_one_device_is_given_no_mesh_and_compiles_three_programs(tmp_path):
    """What several devices need costs nothing where there is one."""
    folder = make_run(tmp_path / "made_up")
    run = open_run(folder, folder)
    _, windows = run.choose_windows(length=7, num_windows=7)
    model = place_model(run.read_params(), run.config.model, run.spaces, device="cpu")
    assert model.mesh is None
    compiled._COMPILED.clear()
    jax.clear_caches()
    before = compilations()
    once = roll_out(model, windows, context=3, evaluate=True)
    assert compilations() - before == 3
    again = roll_out(model, windows, context=3, evaluate=True)
    assert compilations() - before == 3
    jax.tree.map(np.testing.assert_array_equal, once.model.prediction, again.model.prediction)


def compilations() -> int:
    return len(compiled._COMPILED)


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_cores_share_the_windows_of_a_cpu(cores, tmp_path, monkeypatch):
    """Seven windows in as many blocks as there are cores, but of three windows at least."""
    folder = make_run(tmp_path / "made_up")
    run = open_run(folder, folder)
    _, windows = run.choose_windows(length=7, num_windows=7)
    model = place_model(run.read_params(), run.config.model, run.spaces, device="cpu")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cores), raising=False)
    parts = blocks.Blocks(model, model_inputs(windows, run.spaces, model.config.dyn), 3, 7)
    assert [len(index) for index in parts.blocks] == {1: [7], 2: [4, 4], 3: [4, 4]}[cores]
    shared = roll_out(model, windows, context=3, evaluate=True)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(1), raising=False)
    alone = roll_out(model, windows, context=3, evaluate=True)
    for path in ("model", "evaluation.posterior", "evaluation.other"):
        one, other = (attrgetter(path)(loop) for loop in (alone, shared))
        np.testing.assert_allclose(one.logit, other.logit, atol=1e-5)
        for key, x in one.prediction.items():
            np.testing.assert_allclose(x, other.prediction[key], atol=1e-5)


def test_the_name_tells_how_many():
    class H200:
        platform, device_kind = "gpu", "NVIDIA H200"

    assert Model({}, None, None, (H200(),)).device_name == "gpu NVIDIA H200"
    assert Model({}, None, None, (H200(), H200())).device_name == "2 × gpu NVIDIA H200"
    assert Model({}, None, None, tuple(jax.local_devices())).device_name == "cpu"
