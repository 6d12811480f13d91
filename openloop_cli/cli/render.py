"""`openloop render`: a checkpoint and a replay -> a video and a metrics.json."""

from typing import Annotated

import typer

from openloop_cli.cli import options as o
from openloop_cli.cli.options import LOOKS, OUTPUT, WHAT, Latents, Place, Selection, Style
from openloop_cli.cli.terminal import progress_on_stderr


def render(
    checkpoint: Annotated[
        Place,
        typer.Argument(
            parser=o.path,
            metavar="CKPT",
            help="A checkpoint folder, its agent.pkl, a ckpt folder (its latest), or a run folder.",
            show_default=False,
        ),
    ],
    replay: Annotated[
        list[Place],
        typer.Argument(
            metavar="REPLAY",
            parser=o.path,
            help="A replay folder, a run folder, or chunk files.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Place,
        typer.Option(
            "--out",
            "-o",
            parser=o.path,
            help="The video: .mp4, .gif or .apng (lossless); a still: .png; or arrays: .npz.",
        ),
    ],
    config: Annotated[
        Place | None,
        typer.Option(
            parser=o.path,
            help="The run's config.yaml.",
            show_default="looked for from CKPT upwards",
        ),
    ] = None,
    length: o.Length = None,
    context: o.Context = None,
    sequences: o.Sequences = 16,
    show: o.Show = None,
    seed: o.Seed = 0,
    windows: o.Windows = Selection.safe,
    window: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHUNK_UUID:INDEX",
            help="Exactly this window; repeatable, in this order.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    windows_from_file: o.WindowsFrom = None,
    keys: o.Keys = None,
    latents: o.LatentsBy = Latents.sample,
    samples: o.Samples = 1,
    evaluate: o.Evaluate = True,
    device: o.Device = None,
    dtype: o.DtypeOf = None,
    style: Annotated[
        Style,
        typer.Option(help="explained, or reference: DreamerV3's own grid.", rich_help_panel=LOOKS),
    ] = Style.explained,
    fps: o.Fps = 10,
    scale: o.Scale = None,
    metrics: Annotated[
        Place | None,
        typer.Option(
            parser=o.path,
            metavar="FILE",
            help="The metrics JSON.",
            show_default="OUT's name, .metrics.json",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    report: Annotated[
        Place | None,
        typer.Option(
            parser=o.path,
            metavar="FILE.html",
            help="Also write one page with video, curves and all numbers.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    save_arrays: Annotated[
        Place | None,
        typer.Option(
            parser=o.path,
            metavar="FILE.npz",
            help="Also write all arrays there.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    cache: o.Cache = True,
    json: Annotated[
        bool, typer.Option("--json", help="The summary as JSON on stdout.", rich_help_panel=OUTPUT)
    ] = False,
    quiet: o.Quiet = False,
) -> None:
    """Show what a checkpoint predicts: truth, prediction and error, as a video with numbers."""
    # Imported here: `openloop --help` answers at once.
    from openloop_cli.cli.stopping import stopping_at_once
    from openloop_cli.cli.summary import print_json, print_summary
    from openloop_cli.jobs.loading import windows_from
    from openloop_cli.jobs.report import ReportJob, run_job

    ids = tuple(window or ())
    if windows_from_file is not None:
        if ids:
            raise typer.BadParameter("--window and --windows-from exclude each other")
        ids, found_length, found_context = windows_from(windows_from_file)
        length = found_length if length is None else length
        context = found_context if context is None else context
    job = ReportJob(
        checkpoint=checkpoint,
        replay=tuple(replay),
        out=out,
        config=config,
        length=length,
        context=context,
        sequences=sequences,
        show=show,
        seed=seed,
        latents=latents.value,
        samples=samples,
        evaluate=evaluate,
        episode_safe=windows is Selection.safe,
        windows=ids,
        keys=o.split_keys(keys),
        style=style.value,
        fps=fps,
        scale=scale,
        metrics=metrics,
        save_arrays=save_arrays,
        report=report,
        device=device,
        dtype=dtype.value if dtype else None,
        cache=cache,
    )
    with stopping_at_once(), progress_on_stderr(quiet) as progress:
        result = run_job(job, progress)
    if json:
        print_json(result)
    elif not quiet:
        print_summary(result)
