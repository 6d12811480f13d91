"""`openloop score`: predictions of any model and their truth -> a video, a page, a metrics.json."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from openloop_cli.cli import options as o
from openloop_cli.cli.terminal import progress_on_stderr

if TYPE_CHECKING:
    from openloop_cli.jobs.score import ScoreJob

READING = "Reading"


class Range(StrEnum):
    """Ranges of pictures in floats."""

    unit = "0:1"
    signed = "-1:1"
    levels = "0:255"


@o.with_options
def score(
    predictions: Annotated[
        list[o.Place] | None,
        typer.Argument(
            parser=o.path,
            metavar="[PREDICTIONS...]",
            help="An .npz or a folder of .npy with truth/KEY and\nprediction/KEY, or what"
            " nano-world-model, OpenSTL or\nworldproof wrote; several give a report each",
            show_default=False,
        ),
    ] = None,
    *,
    truth: Annotated[
        o.Place | None,
        typer.Option(
            parser=o.path,
            metavar="FOLDER",
            help="What happened: videos or folders of frames",
            rich_help_panel=READING,
        ),
    ] = None,
    prediction: Annotated[
        list[o.Place] | None,
        typer.Option(
            parser=o.path,
            metavar="FOLDER",
            help="What was predicted, under the same names;\nrepeatable: a report each",
            rich_help_panel=READING,
        ),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(metavar="N", help="Steps that were seen", show_default="as the file says"),
    ] = None,
    out: Annotated[
        o.Place | None,
        typer.Option(
            "--out",
            "-o",
            parser=o.path,
            metavar="FILE",
            help="Video .mp4, .gif or .apng (lossless), still .png,\nor arrays .npz; of several"
            " predictions a folder",
            show_default="PREDICTIONS.mp4",
        ),
    ] = None,
    keys: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Observation keys, comma-separated", show_default="all"),
    ] = None,
    range_: Annotated[
        Range,
        typer.Option(
            "--range",
            metavar="A:B",
            help="Of pictures in floats: 0:1, -1:1 or 0:255",
            rich_help_panel=READING,
        ),
    ] = Range.unit,
    channels_first: Annotated[
        bool,
        typer.Option(
            "--channels-first",
            help="Pictures are (C, H, W)",
            rich_help_panel=READING,
        ),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="What the model is called", show_default="the file's name"
        ),
    ] = None,
    step: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Its training step, for curves and logs"),
    ] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no page")] = False,
    quiet: o.Quiet = False,
    style: Annotated[
        o.Style,
        typer.Option(
            metavar="STYLE",
            help="explained, or reference: DreamerV3's grid",
            rich_help_panel=o.PICTURES,
        ),
    ] = o.Style.explained,
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
    """Score predictions of any model against what happened.

    Baselines, skill, useful horizon, video and page, as for a checkpoint. Several
    predictions of one truth are compared, too. Nothing in a file is executed.
    """
    from openloop_cli.cli.logging import log_reports
    from openloop_cli.cli.stopping import stopping_at_once
    from openloop_cli.cli.summary import print_json, print_summary
    from openloop_cli.errors import OptionError
    from openloop_cli.jobs.score import ScoreJob, run_score, run_scores
    from openloop_cli.predictions.pixels import Pixels

    if report is not None and no_report:
        raise OptionError("--report and --no-report exclude each other")
    places = _places(predictions, truth, prediction)
    settings = o.settings(
        pictures,
        out=out,
        metrics=metrics,
        report=report,
        save_arrays=save_arrays,
        page=not no_report,
        keys=keys,
        style=style,
        redact=redact,
        context=context,
        logging=logging,
    )
    pixels = Pixels(range_.value, channels_first)
    jobs = [ScoreJob(place, settings, truth, pixels, name or "", step) for place in places]
    with log_reports(logging) as log:
        if len(jobs) == 1:
            with stopping_at_once(), progress_on_stderr(quiet) as progress:
                result = run_score(jobs[0], progress, log.video)
            if json:
                print_json(result)
            elif not quiet:
                print_summary(result)
            log.reports([result.files["metrics"]])
            return
        _check_several(jobs)
        with stopping_at_once(), progress_on_stderr(quiet) as progress:
            found = run_scores(jobs, progress)
        for one in found.reports:
            if json:
                print_json(one)
            elif not quiet:
                print_summary(one)
        if not quiet:
            _print_comparison(found.comparison, found.note)
        log.reports([one.files["metrics"] for one in found.reports])


def _places(
    predictions: list[o.Place] | None, truth: o.Place | None, prediction: list[o.Place] | None
) -> list[o.Place]:
    """What is scored; with a truth, the folders of `--prediction`."""
    from openloop_cli.errors import OptionError

    if (truth is None) != (not prediction):
        raise OptionError(
            "--truth and --prediction go together", hint="--truth gt/ --prediction pred/"
        )
    if predictions and truth is not None:
        raise OptionError("expected PREDICTIONS, or --truth and --prediction, not both")
    places = [*(predictions or ()), *(prediction or ())]
    if not places:
        raise OptionError(
            "expected predictions to score",
            hint="openloop score rollouts.npz, or --truth gt/ --prediction pred/ --context N",
        )
    return places


def _check_several(jobs: "list[ScoreJob]") -> None:
    from openloop_cli.errors import OptionError

    settings = jobs[0].settings
    named = {"--metrics": settings.metrics, "--report": settings.report}
    named |= {"--save-arrays": settings.save_arrays}
    for option, path in named.items():
        if path is not None:
            raise OptionError(
                f"{option} {path}: {len(jobs)} predictions would all write it",
                hint="let --out name a folder",
            )
    if jobs[0].name:
        raise OptionError("--name: several predictions cannot have one name")


def _print_comparison(result: object, note: str) -> None:
    from openloop_cli.cli.compare_text import print_comparison
    from openloop_cli.cli.terminal import say
    from openloop_cli.jobs.comparison import ComparisonResult

    if isinstance(result, ComparisonResult):
        print_comparison(result)
    elif note:
        say(f"note: {note}", style="yellow", lead=len("note:"))
