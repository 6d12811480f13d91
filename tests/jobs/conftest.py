"""A made-up run of several checkpoints that differ, and jobs that take next to no time."""

import numpy as np
import pytest

from openloop_cli.jobs.batch import BatchJob
from openloop_cli.jobs.loading import ReportJob
from openloop_cli.jobs.sources import expand
from tests.synthetic_run import make_params, make_run, save_checkpoint


@pytest.fixture
def run(tmp_path):
    """A run folder with four checkpoints, of steps 30, 60, 90, 120."""
    folder = make_run(tmp_path / "run")
    for number in (3, 4):
        add_checkpoint(folder, number)
    return folder


def add_checkpoint(run, number):
    """A further checkpoint with parameters of its own."""
    params = make_params()
    rng = np.random.default_rng(number)
    name = "dyn/dynin0/kernel"
    params[name] = rng.normal(size=params[name].shape).astype(np.float32)
    save_checkpoint(run / "ckpt" / f"2026010{number}T000000F000000", params, 30 * number)


def settings(**options):
    defaults = {"length": 6, "num_windows": 3, "show": 2, "scale": 2}
    return ReportJob(None, (), None, **(defaults | options))


def batch_of(run, folder, names=None, **options):
    """A batch of all of a run's checkpoints, with next to nothing to draw."""
    sources = tuple(expand(names or [str(run)], (run,)))
    own = {k: options.pop(k) for k in list(options) if k in ReportJob.__dataclass_fields__}
    defaults = {"kind": ".npz", "page": False, "compare": False}
    return BatchJob(sources, settings(**own), folder, **(defaults | options))
