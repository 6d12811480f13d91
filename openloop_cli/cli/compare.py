"""`openloop compare`: several checkpoints or metrics.json files -> one table, files, one video."""

from pathlib import Path
from typing import Annotated

import typer

from openloop_cli.cli import options as o
from openloop_cli.cli.options import OUTPUT, WHAT, Latents, Place, Selection
from openloop_cli.cli.terminal import progress_on_stderr


def compare(
    sources: Annotated[
        list[Place],
        typer.Argument(
            metavar="A B",
            parser=o.path,
            help="Checkpoints (with --replay), or metrics.json files.",
            show_default=False,
        ),
    ],
    replay: Annotated[
        list[Place] | None,
        typer.Option(
            parser=o.path,
            help="A replay folder, run folder or chunk file; repeatable.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    against: Annotated[
        Place | None,
        typer.Option(parser=o.path, help="What all are compared with.", show_default="the first"),
    ] = None,
    allow_different: Annotated[
        bool,
        typer.Option(
            "--allow-different",
            help="Compare also over other windows, seeds or latents: less can be told apart.",
        ),
    ] = False,
    config: o.Config = None,
    length: o.Length = None,
    context: Annotated[
        int | None,
        typer.Option(help="Steps that are observed.", show_default="half", rich_help_panel=WHAT),
    ] = None,
    sequences: o.Sequences = 16,
    show: Annotated[int, typer.Option(help="Windows that are drawn.", rich_help_panel=WHAT)] = 4,
    seed: o.Seed = 0,
    windows: o.Windows = Selection.safe,
    latents: o.LatentsBy = Latents.sample,
    device: o.Device = None,
    dtype: o.DtypeOf = None,
    cache: o.Cache = True,
    fps: o.Fps = 10,
    scale: o.Scale = None,
    out: Annotated[
        Place | None,
        typer.Option(
            "--out",
            "-o",
            parser=o.path,
            help="comparison.json, comparison.md, or a folder for both and each metrics.json.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    video: Annotated[
        Place | None,
        typer.Option(
            parser=o.path,
            help="Truth and each checkpoint's prediction: .mp4, .gif or .apng.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    report: Annotated[
        Place | None,
        typer.Option(
            parser=o.path,
            metavar="PAGE.html",
            help="One web page that needs no network: tables, curves, the pictures.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The comparison as JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")] = False,
) -> None:
    """Compare checkpoints on the same windows: which sees farther, and is it more than chance?

    A number is marked better or worse only where a paired bootstrap over the windows says so.
    """
    from openloop_cli.cli.compare_text import print_comparison, print_comparison_json
    from openloop_cli.cli.stopping import stopping_at_once
    from openloop_cli.jobs.comparison import ComparisonJob, run_comparison
    from openloop_cli.jobs.report import ReportJob

    if against is not None and against not in sources:
        raise typer.BadParameter(
            f"{against}: expected one of {', '.join(str(x) for x in sources)}",
            param_hint="--against",
        )
    settings = ReportJob(
        checkpoint=sources[0],
        replay=tuple(replay or ()),
        out=Path("unwritten.npz"),
        config=config,
        length=length,
        context=context,
        sequences=sequences,
        show=show,
        seed=seed,
        latents=latents.value,
        episode_safe=windows is Selection.safe,
        fps=fps,
        scale=scale,
        device=device,
        dtype=dtype.value if dtype else None,
        cache=cache,
    )
    job = ComparisonJob(
        sources=tuple(sources),
        settings=settings,
        against=sources.index(against) if against is not None else 0,
        allow_different=allow_different,
        out=out,
        video=video,
        page=report,
    )
    with stopping_at_once(), progress_on_stderr(quiet) as progress:
        result = run_comparison(job, progress)
    if json:
        print_comparison_json(result)
    elif not quiet:
        print_comparison(result)
