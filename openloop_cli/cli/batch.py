"""`openloop batch`: many checkpoints -> a folder of results, a comparison, an index."""

import json as jsonlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openloop_cli.cli import options as o
from openloop_cli.cli.options import HOW, OUTPUT, Latents, Place, Selection, Style

if TYPE_CHECKING:
    from openloop_cli.jobs.batch import BatchResult, Engine
    from openloop_cli.jobs.sources import Source

WHERE = "Where it runs"


class Parallel(StrEnum):
    """What several devices divide among them."""

    windows = "windows"
    checkpoints = "checkpoints"


class EngineName(StrEnum):
    """Where the work is done."""

    local = "local"
    ray = "ray"


def batch(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CKPT... REPLAY",
            help="Checkpoints: folders, quoted globs, run folders (all of theirs), or - for a list"
            " on stdin. Then their replay, unless --replay names it.",
            show_default=False,
        ),
    ] = None,
    *,
    out_dir: o.OutDir,
    replay: Annotated[
        list[Place] | None,
        typer.Option(
            parser=o.path, help="A replay folder, run folder or chunk file for all; repeatable."
        ),
    ] = None,
    runs: Annotated[
        str | None,
        typer.Option(
            metavar="GLOB|TABLE",
            help="All checkpoints of these run folders, each with its own replay: a quoted glob"
            " such as 'logdir/*'; or a .yaml or .csv table.",
        ),
    ] = None,
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
    device: o.Device = None,
    dtype: o.DtypeOf = None,
    cache: o.Cache = True,
    style: o.StyleOf = Style.explained,
    fps: o.Fps = 10,
    scale: o.Scale = None,
    format: o.Format = o.Kind.mp4,
    report: o.Page = True,
    save_arrays: o.Arrays = False,
    compare: Annotated[
        bool, typer.Option(help="Compare all at the end.", rich_help_panel=OUTPUT)
    ] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Redo also what is there.", rich_help_panel=HOW)
    ] = False,
    shard: Annotated[
        str,
        typer.Option(
            metavar="I/N",
            help="Only the Ith of N parts, I from 1 to N.",
            show_default=False,
            rich_help_panel=WHERE,
        ),
    ] = "",
    parallel: Annotated[
        Parallel,
        typer.Option(
            help="Several devices divide each checkpoint's windows, or take a checkpoint each, in"
            " a process of its own; on a CPU a few processes share its cores.",
            rich_help_panel=WHERE,
        ),
    ] = Parallel.windows,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes of --parallel checkpoints.",
            min=1,
            show_default="one for each GPU, or for each 4 cores",
            rich_help_panel=WHERE,
        ),
    ] = None,
    engine: Annotated[
        EngineName,
        typer.Option(
            help="local; or ray: each checkpoint a task (openloop\\[ray]).", rich_help_panel=WHERE
        ),
    ] = EngineName.local,
    address: Annotated[
        str | None,
        typer.Option(
            help="Of the Ray cluster.",
            show_default="RAY_ADDRESS, else this machine",
            rich_help_panel=WHERE,
        ),
    ] = None,
    task_cpus: Annotated[
        float, typer.Option(help="CPUs of each Ray task.", min=0, rich_help_panel=WHERE)
    ] = 1,
    task_gpus: Annotated[
        float, typer.Option(help="GPUs of each Ray task.", min=0, rich_help_panel=WHERE)
    ] = 0,
    json: Annotated[
        bool, typer.Option("--json", help="The index as JSON on stdout.", rich_help_panel=OUTPUT)
    ] = False,
    quiet: o.Quiet = False,
) -> None:
    """Render many checkpoints: one compilation, the same windows for all, stop and go on.

    What is finished is skipped. A checkpoint that fails is told, and the others go on; then the
    exit code is 1.
    """
    _check_parallel(parallel, workers, engine)
    from openloop_cli.cli.batch_view import batch_view
    from openloop_cli.cli.stopping import stopping_cleanly
    from openloop_cli.jobs.batch import (
        BatchJob,
        local_engine,
        plan_batch,
        run_batch,
        shard_items,
    )

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
    sources, notes = _sources(names or [], replay or [], runs)
    job = BatchJob(
        sources=tuple(sources),
        settings=settings,
        folder=out_dir,
        kind=f".{format}",
        page=report,
        arrays=save_arrays,
        shard=shard,
        force=force,
        fresh_windows=fresh_windows,
        compare=compare,
        notes=tuple(notes),
    )
    run: Engine = local_engine
    if engine is EngineName.ray:
        from openloop_cli.jobs.engines.ray import Cluster, ray_engine

        run = ray_engine(Cluster(address, task_cpus, task_gpus))
    elif parallel is Parallel.checkpoints:
        from openloop_cli.jobs.engines.processes import parallel_engine

        run = parallel_engine(device, workers)
    with stopping_cleanly():
        own = shard_items(job, plan_batch(job))
        with batch_view(len(own), quiet) as on_event:
            result = run_batch(job, on_event, run)
    _print(result, json, quiet)
    if result.failures:
        raise typer.Exit(1)


def _check_parallel(parallel: Parallel, workers: int | None, engine: EngineName) -> None:
    from openloop_cli.errors import OptionError

    if engine is EngineName.ray and parallel is Parallel.checkpoints:
        raise OptionError(
            "--parallel checkpoints with --engine ray: each checkpoint is a task there already",
            hint="say what each task asks for with --task-cpus and --task-gpus",
        )
    if workers is not None and parallel is not Parallel.checkpoints:
        raise OptionError(
            f"--workers {workers}: only with --parallel checkpoints",
            hint="a single process serves all devices with --parallel windows",
        )


def _sources(
    names: list[str], replay: list[Path], runs: str | None
) -> tuple[list["Source"], list[str]]:
    """What was named, as checkpoints with their replays."""
    from openloop_cli.jobs.sources import expand, from_runs, from_table
    from openloop_cli.storage import place

    names, replay = list(names), list(replay)
    sources: list[Source] = []
    notes: list[str] = []
    if runs is not None:
        table = place(runs).suffix.lower() in (".yaml", ".yml", ".csv")
        sources, notes = (from_table(place(runs)), []) if table else from_runs(runs)
    if names and not replay:
        replay = [place(names.pop())]
        if not names:
            raise typer.BadParameter(
                "expected checkpoints and their replay, as in: batch CKPT... REPLAY, or"
                " batch CKPT... --replay REPLAY"
            )
    if not names and not sources:
        raise typer.BadParameter("expected checkpoints and their replay, or --runs")
    listed = [line for name in names for line in (_stdin_lines() if name == "-" else [name])]
    return [*sources, *expand(listed, replay)], notes


def _stdin_lines() -> list[str]:
    return [line.strip() for line in sys.stdin if line.strip()]


def _print(result: "BatchResult", json: bool, quiet: bool) -> None:
    """What failed and why, and where the results are."""
    from openloop_cli.cli.terminal import say
    from openloop_cli.results.outcome import SKIPPED

    if json:
        tree = jsonlib.loads(result.files["index"].read_text(encoding="utf-8"))
        typer.echo(jsonlib.dumps(tree, indent=2))
    if quiet:
        return
    for note in result.notes:
        say(f"note: {note}", style="yellow", lead=len("note:"))
    failures = result.failures
    if failures:
        say(f"{len(failures)} of {len(result.outcomes)} failed:", style="bold red")
        for outcome in failures:
            # Most errors name a file of the checkpoint already.
            told = outcome.error.startswith(str(outcome.checkpoint))
            say(f"  {outcome.error}" if told else f"  {outcome.checkpoint}: {outcome.error}")
            if outcome.hint:
                say(f"    hint: {outcome.hint}", style="dim")
    if not json:
        skipped = sum(outcome.status == SKIPPED for outcome in result.outcomes)
        done = len(result.outcomes) - len(failures) - skipped
        typer.echo(f"{done} done, {skipped} were there, {len(failures)} failed")
        for name, path in result.files.items():
            typer.echo(f"{name:14} {path}")
