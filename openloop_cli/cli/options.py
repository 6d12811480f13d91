"""The options that `render`, `compare`, `batch` and `watch` share, and what is made of them.

Paths are read by `place`, so that each may be an address on the network.
"""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from openloop_cli.jobs.loading import ReportJob

    Place = Path
else:
    # typer shows the type's name, and would make a local path of what it knows as one.
    Place = type("path", (), {})

WHAT, HOW, LOOKS, OUTPUT = "What is shown", "How it is rolled out", "How it looks", "Output"


def path(text: str) -> Path:
    """A place that is read, or written; named so because typer shows the name."""
    from openloop_cli.storage import place

    return place(text)


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


class Kind(StrEnum):
    """What a video is written as."""

    mp4 = "mp4"
    gif = "gif"
    apng = "apng"
    png = "png"


OutDir = Annotated[
    Place,
    typer.Option(
        "--out-dir", "-o", parser=path, help="The folder for all results, made if missing."
    ),
]
Config = Annotated[
    Place | None,
    typer.Option(
        parser=path, help="A config.yaml for all.", show_default="looked for from each upwards"
    ),
]
Length = Annotated[
    int | None,
    typer.Option(
        help="Steps of a window.", show_default="the run's report_length", rich_help_panel=WHAT
    ),
]
Context = Annotated[
    int | None,
    typer.Option(
        help="Steps that are observed; the rest is imagined.",
        show_default="half",
        rich_help_panel=WHAT,
    ),
]
Sequences = Annotated[int, typer.Option(help="Windows that are measured.", rich_help_panel=WHAT)]
Show = Annotated[
    int | None,
    typer.Option(
        help="Windows that are drawn.", show_default="6; in a .png 3", rich_help_panel=WHAT
    ),
]
Seed = Annotated[int, typer.Option(help="Chooses windows and draws latents.", rich_help_panel=WHAT)]
Windows = Annotated[
    Selection,
    typer.Option(
        help="safe: no episode starts while imagining; any: as the reference.",
        rich_help_panel=WHAT,
    ),
]
WindowsFrom = Annotated[
    Place | None,
    typer.Option(
        "--windows-from",
        parser=path,
        metavar="METRICS",
        help="The windows, length and context of this metrics.json.",
        rich_help_panel=WHAT,
    ),
]
FreshWindows = Annotated[
    bool,
    typer.Option(
        "--fresh-windows",
        help="Choose windows anew; without it, those that the folder remembers are kept.",
        rich_help_panel=WHAT,
    ),
]
Keys = Annotated[
    str | None,
    typer.Option(
        help="Observation keys, separated by commas.", show_default="all", rich_help_panel=WHAT
    ),
]
LatentsBy = Annotated[
    Latents, typer.Option(help="Draw latents, or take the most likely.", rich_help_panel=HOW)
]
Samples = Annotated[int, typer.Option(help="Imagined futures of each window.", rich_help_panel=HOW)]
Evaluate = Annotated[
    bool,
    typer.Option(
        help="Measure skill, baselines, losses; off: only the prediction.", rich_help_panel=HOW
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="cpu, gpu, tpu, gpu:1 …", show_default="jax's first", rich_help_panel=HOW),
]
DtypeOf = Annotated[
    Dtype | None,
    typer.Option(help="Compute dtype.", show_default="the run's", rich_help_panel=HOW),
]
Cache = Annotated[
    bool, typer.Option(help="Keep compiled programs for next time.", rich_help_panel=HOW)
]
StyleOf = Annotated[
    Style, typer.Option(help="explained, or reference: DreamerV3's own.", rich_help_panel=LOOKS)
]
Fps = Annotated[float, typer.Option(help="Steps per second.", rich_help_panel=LOOKS)]
Scale = Annotated[
    int | None,
    typer.Option(
        help="Even whole factor.", show_default="tiles of 128 pixels", rich_help_panel=LOOKS
    ),
]
Format = Annotated[
    Kind, typer.Option("--format", help="Of the videos; png: a still.", rich_help_panel=OUTPUT)
]
Page = Annotated[
    bool,
    typer.Option(
        "--report/--no-report",
        help="A page for each, with video, curves and all numbers.",
        rich_help_panel=OUTPUT,
    ),
]
Arrays = Annotated[
    bool,
    typer.Option(
        "--save-arrays", help="Also write all arrays of each, as .npz.", rich_help_panel=OUTPUT
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.", rich_help_panel=OUTPUT)]


def split_keys(keys: str | None) -> tuple[str, ...]:
    """`image,position` as the two."""
    return tuple(part.strip() for part in keys.split(",")) if keys else ()


def make_settings(
    *, keys: str | None, windows: Selection, windows_from_file: Path | None, **options: Any
) -> "ReportJob":
    """The options of all checkpoints as a job, whose paths are still to be filled in."""
    from openloop_cli.jobs.loading import ReportJob, windows_from

    told: dict[str, Any] = {
        name: x.value if isinstance(x, StrEnum) else x for name, x in options.items()
    }
    job = ReportJob(
        checkpoint=Path(),
        replay=(),
        out=Path("unwritten.npz"),
        episode_safe=windows is Selection.safe,
        keys=split_keys(keys),
        **told,
    )
    if windows_from_file is None:
        return job
    ids, length, context = windows_from(windows_from_file)
    return replace(
        job,
        windows=ids,
        length=length if job.length is None else job.length,
        context=context if job.context is None else job.context,
    )
