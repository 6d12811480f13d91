"""`openloop watch`: beside a running training, each new checkpoint as it comes."""

import os
from contextlib import suppress
from typing import Annotated

import typer

from openloop_cli.cli import options as o
from openloop_cli.cli.options import HOW, Latents, Place, Selection, Style

WHEN = "When"


def watch(
    run: Annotated[
        Place,
        typer.Argument(
            metavar="RUN", parser=o.path, help="A run folder, or its ckpt.", show_default=False
        ),
    ],
    out_dir: o.OutDir,
    replay: Annotated[
        list[Place] | None,
        typer.Option(
            parser=o.path,
            help="A replay folder, run folder or chunk file; repeatable.",
            show_default="the run's own",
        ),
    ] = None,
    report_every: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="At most one checkpoint, the newest, in this time; negative: every checkpoint.",
            rich_help_panel=WHEN,
        ),
    ] = -1,
    until_step: Annotated[
        int | None,
        typer.Option(
            help="End once a checkpoint of this step or later is rendered.",
            show_default="never",
            rich_help_panel=WHEN,
        ),
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Render what is complete now, and end.", rich_help_panel=WHEN),
    ] = False,
    settle: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Without a `done` file, files count as complete after this time unchanged.",
            rich_help_panel=WHEN,
        ),
    ] = 60,
    nice: Annotated[
        int,
        typer.Option(
            min=0, max=19, help="How far to step back behind the trainer.", rich_help_panel=HOW
        ),
    ] = 19,
    config: o.Config = None,
    length: o.Length = None,
    context: o.Context = None,
    sequences: o.Sequences = 16,
    show: o.Show = None,
    seed: o.Seed = 0,
    windows: o.Windows = Selection.safe,
    windows_from: o.WindowsFrom = None,
    fresh_windows: o.FreshWindows = False,
    keys: o.Keys = None,
    latents: o.LatentsBy = Latents.sample,
    samples: o.Samples = 1,
    evaluate: o.Evaluate = True,
    device: o.Device = "cpu",
    dtype: o.DtypeOf = None,
    cache: o.Cache = True,
    style: o.StyleOf = Style.explained,
    fps: o.Fps = 10,
    scale: o.Scale = None,
    format: o.Format = o.Kind.mp4,
    report: o.Page = True,
    save_arrays: o.Arrays = False,
    quiet: o.Quiet = False,
) -> None:
    """Render each new checkpoint of a running training, at low priority, on the CPU.

    It goes on after a restart, on the same windows. It ends at --until-step, with --once, or by
    Ctrl-C.
    """
    from openloop_cli.cli.batch_view import watch_view
    from openloop_cli.cli.stopping import stopping_cleanly
    from openloop_cli.cli.terminal import say
    from openloop_cli.jobs.watch import Watch, WatchJob
    from openloop_cli.results.outcome import FAILED

    _step_back(nice, device)
    settings = o.make_settings(
        config=config,
        length=length,
        context=context,
        sequences=sequences,
        show=show,
        seed=seed,
        windows=windows,
        windows_from_file=windows_from,
        keys=keys,
        latents=latents,
        samples=samples,
        evaluate=evaluate,
        device=device,
        dtype=dtype,
        cache=cache,
        style=style,
        fps=fps,
        scale=scale,
    )
    job = WatchJob(
        run=run,
        replay=tuple(replay or (run,)),
        settings=settings,
        folder=out_dir,
        kind=f".{format}",
        page=report,
        arrays=save_arrays,
        report_every=report_every,
        until_step=until_step,
        once=once,
        settle=settle,
        fresh_windows=fresh_windows,
        config=config,
    )
    with stopping_cleanly():
        outcomes = Watch(job, watch_view(quiet)).run()
    if once and not outcomes and not quiet:
        say(f"{run}: no complete checkpoint")
    if any(outcome.status == FAILED for outcome in outcomes):
        raise typer.Exit(1)


def _step_back(nice: int, device: str | None) -> None:
    """Leaves processor and accelerator to the trainer; before jax is imported."""
    if hasattr(os, "setpriority"):
        with suppress(OSError):  # already lower, as under a job scheduler
            os.setpriority(os.PRIO_PROCESS, 0, max(nice, os.getpriority(os.PRIO_PROCESS, 0)))
    if device == "cpu":
        # Else jax also opens the accelerator, and takes most of its memory.
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    else:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
