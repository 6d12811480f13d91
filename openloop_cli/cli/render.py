"""`openloop render`: a checkpoint and a replay -> a video and a metrics.json."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from openloop_cli.cli.terminal import progress_on_stderr

WHAT, HOW, LOOKS, OUTPUT = "What is shown", "How it is rolled out", "How it looks", "Output"


class Latents(StrEnum):
    """How each categorical latent becomes a state."""

    sample = "sample"
    mode = "mode"


class Selection(StrEnum):
    """Which windows may be chosen."""

    safe = "safe"
    any = "any"


class Style(StrEnum):
    """Which picture is drawn."""

    explained = "explained"
    reference = "reference"


class Dtype(StrEnum):
    """Compute dtypes of the reference."""

    bfloat16 = "bfloat16"
    float16 = "float16"
    float32 = "float32"


def render(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CKPT",
            help="A checkpoint folder, its agent.pkl, a ckpt folder (its latest), or a run folder.",
            show_default=False,
        ),
    ],
    replay: Annotated[
        list[Path],
        typer.Argument(
            metavar="REPLAY...",
            help="A replay folder, a run folder, or chunk files.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="The video: .mp4, .gif or .apng (lossless); a still: .png; or arrays: .npz.",
        ),
    ],
    config: Annotated[
        Path | None,
        typer.Option(help="The run's config.yaml.", show_default="looked for from CKPT upwards"),
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(
            help="Steps of a window.", show_default="the run's report_length", rich_help_panel=WHAT
        ),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            help="Steps that are observed; the rest is imagined.",
            show_default="half",
            rich_help_panel=WHAT,
        ),
    ] = None,
    sequences: Annotated[
        int, typer.Option(help="Windows that are measured.", rich_help_panel=WHAT)
    ] = 16,
    show: Annotated[int, typer.Option(help="Windows that are drawn.", rich_help_panel=WHAT)] = 6,
    seed: Annotated[
        int, typer.Option(help="Chooses windows and draws latents.", rich_help_panel=WHAT)
    ] = 0,
    windows: Annotated[
        Selection,
        typer.Option(
            help="safe: no episode starts while imagining; any: as the reference.",
            rich_help_panel=WHAT,
        ),
    ] = Selection.safe,
    window: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHUNK_UUID:INDEX",
            help="Exactly this window; repeatable, in this order.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    windows_from_file: Annotated[
        Path | None,
        typer.Option(
            "--windows-from",
            metavar="METRICS",
            help="The windows, length and context of this metrics.json.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    keys: Annotated[
        str | None,
        typer.Option(
            help="Observation keys, separated by commas.", show_default="all", rich_help_panel=WHAT
        ),
    ] = None,
    latents: Annotated[
        Latents,
        typer.Option(help="Draw latents, or take the most likely.", rich_help_panel=HOW),
    ] = Latents.sample,
    samples: Annotated[
        int, typer.Option(help="Imagined futures of each window.", rich_help_panel=HOW)
    ] = 1,
    evaluate: Annotated[
        bool,
        typer.Option(
            help="Measure skill, baselines, losses; off: only the prediction.", rich_help_panel=HOW
        ),
    ] = True,
    device: Annotated[
        str | None,
        typer.Option(
            help="cpu, gpu, tpu, gpu:1 …", show_default="jax's first", rich_help_panel=HOW
        ),
    ] = None,
    dtype: Annotated[
        Dtype | None,
        typer.Option(help="Compute dtype.", show_default="the run's", rich_help_panel=HOW),
    ] = None,
    style: Annotated[
        Style,
        typer.Option(help="explained, or reference: DreamerV3's own grid.", rich_help_panel=LOOKS),
    ] = Style.explained,
    fps: Annotated[float, typer.Option(help="Steps per second.", rich_help_panel=LOOKS)] = 10,
    scale: Annotated[
        int | None,
        typer.Option(
            help="Even whole factor.", show_default="tiles of 128 pixels", rich_help_panel=LOOKS
        ),
    ] = None,
    metrics: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The metrics JSON.",
            show_default="OUT's name, .metrics.json",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Also write one page with video, curves and all numbers.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    save_arrays: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz", help="Also write all arrays there.", rich_help_panel=OUTPUT
        ),
    ] = None,
    cache: Annotated[
        bool, typer.Option(help="Keep compiled programs for next time.", rich_help_panel=HOW)
    ] = True,
    json: Annotated[
        bool, typer.Option("--json", help="The summary as JSON on stdout.", rich_help_panel=OUTPUT)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only errors.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Show what a checkpoint predicts: truth, prediction and error, as a video with numbers."""
    # Imported here: `openloop --help` answers at once.
    from openloop_cli.cli.stopping import stopping_at_once
    from openloop_cli.cli.summary import print_json, print_summary
    from openloop_cli.job import ReportJob, run_job
    from openloop_cli.loading import windows_from

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
        keys=tuple(part.strip() for part in keys.split(",")) if keys else (),
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
