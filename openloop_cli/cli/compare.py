"""`openloop compare`: several checkpoints or metrics.json files -> one table, files, one video."""

from dataclasses import dataclass
from typing import Annotated

import typer

from openloop_cli.cli import options as o
from openloop_cli.cli.terminal import progress_on_stderr


@dataclass(frozen=True, kw_only=True)
class Pictures(o.Pictures):
    """How the video is drawn."""

    show: Annotated[
        int, typer.Option(metavar="N", help="Windows to draw", rich_help_panel=o.PICTURES)
    ] = 4


@o.with_options
def compare(
    sources: Annotated[
        list[o.Place],
        typer.Argument(
            metavar="A B...",
            parser=o.path,
            help="Checkpoints, or metrics.json files of openloop render",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        o.Place | None,
        typer.Option(
            "--out",
            "-o",
            parser=o.path,
            metavar="PATH",
            help=".json or .md file, or a folder for both and for each\nmetrics.json",
        ),
    ] = None,
    video: Annotated[
        o.Place | None,
        typer.Option(
            parser=o.path,
            metavar="FILE",
            help="Truth and each checkpoint's prediction, as .mp4, .gif\nor .apng",
        ),
    ] = None,
    report: Annotated[
        o.Place | None,
        typer.Option(
            parser=o.path, metavar="FILE.html", help="A page with tables, curves and pictures"
        ),
    ] = None,
    replay: o.Replay = None,
    against: Annotated[
        o.Place | None,
        typer.Option(
            parser=o.path, metavar="A", help="Reference checkpoint", show_default="the first"
        ),
    ] = None,
    windows: o.Windows,
    rollout: o.Rollout,
    allow_different: Annotated[
        bool,
        typer.Option(
            "--allow-different",
            help="Compare even if windows, seeds or latents differ;\n"
            "fewer differences are significant then",
            rich_help_panel=o.CHOICE,
        ),
    ] = False,
    pictures: Pictures,
    logging: o.Logging,
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON")] = False,
    quiet: o.Quiet = False,
) -> None:
    """Compare checkpoints on the same windows.

    A number is marked better or worse only if a paired bootstrap over the
    windows says so.
    """
    from openloop_cli.cli.compare_text import print_comparison, print_comparison_json
    from openloop_cli.cli.logging import log_reports
    from openloop_cli.cli.stopping import stopping_at_once
    from openloop_cli.errors import OptionError
    from openloop_cli.jobs.comparison import ComparisonJob, is_folder, is_metrics, run_comparison

    if against is not None and against not in sources:
        named = ", ".join(str(x) for x in sources)
        raise OptionError(f"--against {against}: expected one of {named}")
    job = ComparisonJob(
        sources=tuple(sources),
        settings=o.settings(
            windows, rollout, pictures, logging=logging, replay=tuple(replay or ())
        ),
        against=sources.index(against) if against is not None else 0,
        allow_different=allow_different,
        out=out,
        video=video,
        page=report,
    )
    made = [path for path in sources if is_metrics(path)]
    if logging.log and len(made) < len(sources) and (out is None or not is_folder(out)):
        raise OptionError(
            "--log logs the metrics.json of each checkpoint, and there will be none",
            hint="let --out name a folder for them",
        )
    with log_reports(logging) as log:
        with stopping_at_once(), progress_on_stderr(quiet) as progress:
            result = run_comparison(job, progress)
        if json:
            print_comparison_json(result)
        elif not quiet:
            print_comparison(result)
        written = (path for name, path in result.files.items() if name.startswith("metrics/"))
        log.reports([*made, *written])
