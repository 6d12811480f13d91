"""`openloop batch`: many checkpoints -> a folder of results, a comparison, an index."""

import json as jsonlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openloop_cli.cli import options as o

if TYPE_CHECKING:
    from openloop_cli.jobs.batch import BatchResult, Engine
    from openloop_cli.jobs.sources import Source

WHERE = "Parallel work"


class Parallel(StrEnum):
    """What several devices share among them."""

    windows = "windows"
    checkpoints = "checkpoints"


class EngineName(StrEnum):
    """What runs the jobs."""

    local = "local"
    ray = "ray"


@o.with_options
def batch(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CKPT... REPLAY",
            help="Checkpoints: folders, quoted globs, run folders (all\n"
            "their checkpoints), or - for a list on stdin.\n"
            "Then their replay; of a single run its own is used",
            show_default=False,
        ),
    ] = None,
    *,
    folder: o.Folder,
    runs: Annotated[
        str | None,
        typer.Option(
            metavar="GLOB|TABLE",
            help="All checkpoints of these runs, each with its replay:\n"
            "a quoted glob, 'logdir/*', or a .yaml or .csv table",
            show_default=False,
        ),
    ] = None,
    replay: Annotated[
        list[o.Place] | None,
        typer.Option(
            parser=o.path,
            metavar="PATH",
            help="Replay of all checkpoints; repeatable",
        ),
    ] = None,
    windows: o.Windows,
    details: o.Report,
    rollout: o.Rollout,
    pictures: o.Pictures,
    logging: o.Logging,
    compare: Annotated[
        bool,
        typer.Option("--compare/--no-compare", help="Write no comparison", rich_help_panel=o.FILES),
    ] = True,
    json: Annotated[
        bool, typer.Option("--json", help="Print the index as JSON", rich_help_panel=o.FILES)
    ] = False,
    shard: Annotated[
        str,
        typer.Option(
            metavar="I/N",
            help="Only the Ith of N parts, I from 1 to N",
            show_default=False,
            rich_help_panel=WHERE,
        ),
    ] = "",
    parallel: Annotated[
        Parallel,
        typer.Option(
            metavar="HOW",
            help="windows: devices share each checkpoint's windows;\n"
            "checkpoints: one process per GPU, or per 4 CPU cores",
            rich_help_panel=WHERE,
        ),
    ] = Parallel.windows,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of processes, with --parallel checkpoints",
            min=1,
            rich_help_panel=WHERE,
        ),
    ] = None,
    engine: Annotated[
        EngineName,
        typer.Option(
            metavar="NAME",
            help="local, or ray: one task per checkpoint",
            rich_help_panel=WHERE,
        ),
    ] = EngineName.local,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Address of the Ray cluster",
            show_default="RAY_ADDRESS, or this machine",
            rich_help_panel=WHERE,
        ),
    ] = None,
    task_cpus: Annotated[
        float,
        typer.Option(metavar="N", help="CPUs per Ray task", min=0, rich_help_panel=WHERE),
    ] = 1,
    task_gpus: Annotated[
        float,
        typer.Option(metavar="N", help="GPUs per Ray task", min=0, rich_help_panel=WHERE),
    ] = 0,
    quiet: o.Quiet = False,
) -> None:
    """Render many checkpoints on the same windows.

    Finished checkpoints are skipped, so the same command resumes a batch that
    was stopped. Failures are reported at the end, with exit code 1.
    """
    _check_parallel(parallel, workers, engine)
    from openloop_cli.cli.batch_view import batch_view
    from openloop_cli.cli.logging import log_reports, logged_events
    from openloop_cli.cli.stopping import stopping_cleanly
    from openloop_cli.jobs.batch import (
        BatchJob,
        local_engine,
        plan_batch,
        run_batch,
        shard_items,
    )

    settings = o.settings(
        windows, details, rollout, pictures, logging=logging, redact=folder.redact
    )
    sources, notes = _sources(names or [], replay or [], runs)
    job = BatchJob(
        sources=tuple(sources),
        settings=settings,
        folder=folder.out_dir,
        kind=f".{folder.format}",
        page=folder.report,
        arrays=folder.save_arrays,
        shard=shard,
        force=folder.force,
        compare=compare,
        notes=tuple(notes),
    )
    run: Engine = local_engine
    if engine is EngineName.ray:
        from openloop_cli.jobs.engines.ray import Cluster, ray_engine

        run = ray_engine(Cluster(address, task_cpus, task_gpus))
    elif parallel is Parallel.checkpoints:
        from openloop_cli.jobs.engines.processes import parallel_engine

        run = parallel_engine(rollout.device, workers)
    several = len({source.checkpoint.parent for source in sources}) > 1
    remembering = log_reports(logging, several_runs=several, folder=job.folder)
    with stopping_cleanly(), remembering as log:
        own = shard_items(job, plan_batch(job))
        with batch_view(len(own), quiet) as on_event:
            result = run_batch(job, logged_events(on_event, log), run)
        _print(result, json, quiet)
    if result.failures:
        raise typer.Exit(1)


def _check_parallel(parallel: Parallel, workers: int | None, engine: EngineName) -> None:
    from openloop_cli.errors import OptionError

    if engine is EngineName.ray and parallel is Parallel.checkpoints:
        raise OptionError(
            "--parallel checkpoints with --engine ray: Ray runs each checkpoint as a task anyway",
            hint="set what each task gets with --task-cpus and --task-gpus",
        )
    if workers is not None and parallel is not Parallel.checkpoints:
        raise OptionError(
            f"--workers {workers}: needs --parallel checkpoints",
        )


def _sources(
    names: list[str], replay: list[Path], runs: str | None
) -> tuple[list["Source"], list[str]]:
    """The checkpoints that were named, with their replays."""
    from openloop_cli.errors import OptionError
    from openloop_cli.jobs.sources import expand, from_runs, from_table, own_run
    from openloop_cli.storage import place

    names, replay = list(names), list(replay)
    sources: list[Source] = []
    notes: list[str] = []
    if runs is not None:
        table = place(runs).suffix.lower() in (".yaml", ".yml", ".csv")
        sources, notes = (from_table(place(runs)), []) if table else from_runs(runs)
    if not names and not sources:
        raise OptionError("no checkpoints", hint="name a run folder, or use --runs")
    if len(names) == 1 and not replay:
        replay = [own_run(place(names[0]))]
    elif names and not replay:
        replay = [place(names.pop())]
    listed = [line for name in names for line in (_stdin_lines() if name == "-" else [name])]
    return [*sources, *expand(listed, replay)], notes


def _stdin_lines() -> list[str]:
    return [line.strip() for line in sys.stdin if line.strip()]


def _print(result: "BatchResult", json: bool, quiet: bool) -> None:
    """The failures with their reasons, and where the results are."""
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
            named = outcome.error.startswith(str(outcome.checkpoint))
            say(f"  {outcome.error}" if named else f"  {outcome.checkpoint}: {outcome.error}")
            if outcome.hint:
                say(f"    hint: {outcome.hint}", style="dim")
    if not json:
        skipped = sum(outcome.status == SKIPPED for outcome in result.outcomes)
        done = len(result.outcomes) - len(failures) - skipped
        typer.echo(f"{done} rendered, {skipped} skipped, {len(failures)} failed")
        for name, path in result.files.items():
            typer.echo(f"{name:14} {path}")
