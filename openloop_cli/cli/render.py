"""`openloop render`: a checkpoint and its replay -> a video, a page and a metrics.json."""

from typing import Annotated

import typer

from openloop_cli.cli import options as o
from openloop_cli.cli.terminal import progress_on_stderr


@o.with_options
def render(
    run: Annotated[
        o.Place,
        typer.Argument(
            parser=o.path,
            metavar="RUN",
            help="Run folder or ckpt folder (its latest checkpoint),\n"
            "checkpoint folder, or agent.pkl",
            show_default=False,
        ),
    ],
    replay: Annotated[
        list[o.Place] | None,
        typer.Argument(
            parser=o.path,
            metavar="[REPLAY...]",
            help="Replay folder, run folder or chunk files\n(default: RUN's own)",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[
        o.Place | None,
        typer.Option(
            "--out",
            "-o",
            parser=o.path,
            metavar="FILE",
            help="Video .mp4, .gif or .apng (lossless), still .png,\nor arrays .npz",
            show_default="RUN-STEP.mp4",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="PACKAGE:NAME",
            help="Run this model of your own, made with RUN;\ndocs/any-model.md",
            show_default="DreamerV3",
        ),
    ] = None,
    windows: o.Windows,
    details: o.Report,
    rollout: o.Rollout,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no page")] = False,
    quiet: o.Quiet = False,
    pictures: o.Pictures,
    report: Annotated[
        o.Place | None,
        typer.Option(
            parser=o.path,
            metavar="FILE.html",
            help="The page",
            show_default="next to the video or still",
            rich_help_panel=o.FILES,
        ),
    ] = None,
    metrics: Annotated[
        o.Place | None,
        typer.Option(
            parser=o.path,
            metavar="FILE.json",
            help="All numbers",
            show_default="OUT.metrics.json",
            rich_help_panel=o.FILES,
        ),
    ] = None,
    save_arrays: Annotated[
        o.Place | None,
        typer.Option(
            parser=o.path,
            metavar="FILE.npz",
            help="Also write all arrays to this file",
            rich_help_panel=o.FILES,
        ),
    ] = None,
    redact: o.Redact = False,
    logging: o.Logging,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print the summary as JSON", rich_help_panel=o.FILES),
    ] = False,
) -> None:
    """Render a checkpoint's predictions as a video and a page.

    The model sees the context steps of a window and imagines the rest from the
    recorded actions alone. Rows show truth, prediction and error.
    """
    # Imported here so that `openloop --help` answers at once.
    from openloop_cli.cli.logging import log_reports
    from openloop_cli.cli.stopping import stopping_at_once
    from openloop_cli.cli.summary import print_json, print_summary
    from openloop_cli.errors import OptionError
    from openloop_cli.jobs.report import run_job

    if report is not None and no_report:
        raise OptionError("--report and --no-report exclude each other")
    job = o.settings(
        windows,
        details,
        rollout,
        pictures,
        checkpoint=run,
        replay=tuple(replay or ()),
        model=model or "",
        out=out,
        metrics=metrics,
        report=report,
        save_arrays=save_arrays,
        page=not no_report,
        redact=redact,
        logging=logging,
    )
    with log_reports(logging) as log:
        with stopping_at_once(), progress_on_stderr(quiet) as progress:
            result = run_job(job, progress, log.video)
        if json:
            print_json(result)
        elif not quiet:
            print_summary(result)
        log.reports([result.files["metrics"]])
