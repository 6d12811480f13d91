"""Open-loop predictions of a world model, from what a run left on disk.

    found = report("logdir/run", length=50)                  # in a notebook it shows itself
    found.headline, found.tree, found.frames("image"), found.to_frame()

or step by step:

    run = open_run("logdir/run", "logdir/run")               # a checkpoint and its replay
    choice, windows = run.choose_windows(length=50, num_windows=6)
    loop = roll_out(load_model(run), windows, context=25)
    found = make_report(loop, run.config.model, name=run.name, step=run.checkpoint.step)

Names are imported when they are first used, so that what needs no jax does not wait for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openloop_cli.checkpoints import read_checkpoint
    from openloop_cli.errors import OpenloopError
    from openloop_cli.jobs.report import ReportJob, report, run_job
    from openloop_cli.replay import open_replay
    from openloop_cli.reporting import make_report
    from openloop_cli.rollout.roll_out import load_model, roll_out
    from openloop_cli.run import open_run

__version__ = "0.1.0"

_HOMES = {
    "OpenloopError": "errors",
    "ReportJob": "jobs.loading",
    "load_model": "rollout.roll_out",
    "make_report": "reporting",
    "open_replay": "replay",
    "open_run": "run",
    "read_checkpoint": "checkpoints",
    "report": "jobs.report",
    "roll_out": "rollout.roll_out",
    "run_job": "jobs.report",
}

__all__ = [
    "OpenloopError",
    "ReportJob",
    "load_model",
    "make_report",
    "open_replay",
    "open_run",
    "read_checkpoint",
    "report",
    "roll_out",
    "run_job",
]


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"openloop_cli.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
