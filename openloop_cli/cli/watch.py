"""`openloop watch`: alongside a running training, each new checkpoint as it comes."""

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import typer

from openloop_cli.cli import options as o

WHEN = "Schedule"


@dataclass(frozen=True, kw_only=True)
class Rollout(o.Rollout):
    """The accelerator belongs to the trainer."""

    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="cpu, gpu or tpu; gpu:1 for the second of several"),
    ] = "cpu"


@o.with_options
def watch(
    run: Annotated[
        o.Place,
        typer.Argument(
            metavar="RUN", parser=o.path, help="Run folder or ckpt folder", show_default=False
        ),
    ],
    *,
    folder: o.Folder,
    replay: o.Replay = None,
    once: Annotated[
        bool, typer.Option("--once", help="Render the complete checkpoints and exit")
    ] = False,
    report_every: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Render at most one checkpoint per so many seconds,\n"
            "the newest; a negative number renders every one",
            rich_help_panel=WHEN,
        ),
    ] = -1,
    until_step: Annotated[
        int | None,
        typer.Option(
            metavar="STEP",
            help="Exit after rendering this step or a later one",
            rich_help_panel=WHEN,
        ),
    ] = None,
    windows: o.Windows,
    details: o.Report,
    rollout: Rollout,
    pictures: o.Pictures,
    logging: o.Logging,
    quiet: o.Quiet = False,
) -> None:
    """Render each new checkpoint alongside training.

    Runs at low priority and resumes after a restart, on the same windows.
    Stops at --until-step, with --once, or on Ctrl-C.
    """
    from openloop_cli.cli.batch_view import watch_view
    from openloop_cli.cli.logging import log_outcome, log_reports, logged_events
    from openloop_cli.cli.stopping import stopping_cleanly
    from openloop_cli.cli.terminal import say
    from openloop_cli.jobs.outcome import Event
    from openloop_cli.jobs.watch import Watch, WatchJob
    from openloop_cli.results.outcome import FAILED
    from openloop_cli.text import plural

    _yield_to_trainer(rollout.device)
    job = WatchJob(
        run=run,
        replay=tuple(replay or (run,)),
        settings=o.settings(
            windows, details, rollout, pictures, logging=logging, redact=folder.redact
        ),
        folder=folder.out_dir,
        kind=f".{folder.format}",
        page=folder.report,
        arrays=folder.save_arrays,
        report_every=report_every,
        until_step=until_step,
        once=once,
        force=folder.force,
        config=rollout.config,
    )
    view, told, waited_for = watch_view(quiet), [], set()

    def on_event(event: Event) -> None:
        told.append(event)
        view(event)

    def on_wait(reason: str) -> None:
        if reason not in waited_for and not quiet:
            waited_for.add(reason)
            say(f"waiting  for {reason} in {run}")

    with stopping_cleanly(), log_reports(logging, folder=job.folder) as log:
        outcomes = Watch(
            job,
            logged_events(on_event, log),
            on_wait=on_wait,
            on_recall=lambda outcome: log_outcome(log, outcome),
        ).run()
    if once and not told and not quiet:
        before = f"nothing new, {plural(len(outcomes), 'checkpoint')} rendered before"
        say(f"{run}: {before if outcomes else 'no complete checkpoint'}")
    if any(outcome.status == FAILED for outcome in outcomes):
        raise typer.Exit(1)


def _yield_to_trainer(device: str | None) -> None:
    """Leaves processor and accelerator to the trainer; before jax is imported."""
    if hasattr(os, "setpriority"):
        with suppress(OSError):  # already lower, as under a job scheduler
            os.setpriority(os.PRIO_PROCESS, 0, 19)
    if device == "cpu":
        # Else jax also opens the accelerator, and takes most of its memory.
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    else:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
