"""The options that commands share, each declared and explained once.

A command takes a whole group as one parameter, such as `windows: o.Windows`, and `with_options`
spreads it for typer. The fields of a group are those of `ReportJob`, so that `settings` makes the
job of all groups together. Paths are read by `place`, so that each may be an address.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from openloop_cli.jobs.loading import ReportJob

    Place = Path
else:
    # typer would make a local path of what it knows as one.
    Place = type("path", (), {})

CHOICE, ROLLOUT, PICTURES, FILES = "Windows", "Rollout", "Pictures", "Files"
LOGGING = "Logging"


def path(text: str) -> Path:
    """A local path or an address."""
    from openloop_cli.storage import place

    return place(text)


class Latents(StrEnum):
    """How each categorical latent becomes a state."""

    sample = "sample"
    mode = "mode"


class Start(StrEnum):
    """The latent state that windows start from."""

    stored = "stored"
    zeros = "zeros"


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
    """Formats of a batch's videos."""

    mp4 = "mp4"
    gif = "gif"
    apng = "apng"
    png = "png"


Device = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="cpu, gpu or tpu; gpu:1 for the second of several",
        show_default="chosen by JAX",
    ),
]
Replay = Annotated[
    list[Place] | None,
    typer.Option(
        parser=path,
        metavar="PATH",
        help="Replay folder, run folder or chunk file; repeatable",
        show_default="the checkpoint's own run",
    ),
]
Redact = Annotated[
    bool,
    typer.Option("--redact", help="Leave folder names out of results", rich_help_panel=FILES),
]
Metrics = Annotated[
    list[Place],
    typer.Argument(
        metavar="METRICS...",
        parser=path,
        help="metrics.json files of openloop render",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only")]


@dataclass(frozen=True, kw_only=True)
class Logging:
    """Where numbers and videos are logged."""

    log: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:TARGET",
            help="terminal; jsonl:, scope:, tensorboard:FOLDER;\nwandb:, trackio:PROJECT[/RUN];"
            " mlflow:URI;\nserve://HOST:PORT; repeatable",
            rich_help_panel=LOGGING,
        ),
    ] = None
    log_filter: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX", help="Log only names that it is found in", rich_help_panel=LOGGING
        ),
    ] = None
    step_multiplier: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Environment steps that one step takes",
            show_default="the run's action repeat",
            rich_help_panel=LOGGING,
        ),
    ] = None


AUTO = "auto"


def _count_or_auto(text: str) -> str:
    """A whole number, or `auto`."""
    if text != AUTO:
        try:
            int(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is neither a whole number nor auto") from None
    return text


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Which windows are measured, of how many steps."""

    length: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Steps per window",
            show_default="the run's report_length, or up to twice",
        ),
    ] = None
    context: Annotated[
        int | None,
        typer.Option(metavar="N", help="Context steps; the rest is imagined", show_default="half"),
    ] = None
    num_windows: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            parser=_count_or_auto,
            help="Windows to measure; auto: 16 to 64,\n"
            "until the horizon's interval is narrow; not of a batch",
        ),
    ] = "16"
    report_batches: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Measure N times as many windows, as the reference's\n"
            "run.report_batches; videos are never joined in time",
        ),
    ] = 1
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", help="Seed for windows and latents",
            rich_help_panel=CHOICE,
        ),
    ] = 0  # fmt: skip
    window: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|ID",
            help="Exactly these windows: one by its CHUNK:INDEX, or\n"
            "those of a metrics.json, with its length and context;\nrepeatable",
            rich_help_panel=CHOICE,
        ),
    ] = None
    allow_resets: Annotated[
        bool,
        typer.Option(
            "--allow-resets",
            help="Allow episode starts among the imagined steps",
            rich_help_panel=CHOICE,
        ),
    ] = False


def _seen(which: str) -> Any:
    return typer.Option(
        metavar="NAMES",
        help=which,
        show_default="found out by their widths",
        rich_help_panel=ROLLOUT,
    )


Encode = Annotated[str | None, _seen("Keys that the encoder sees")]
Decode = Annotated[str | None, _seen("Keys that the decoder predicts")]
Actions = Annotated[str | None, _seen("Keys of the actions")]


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How the model is rolled out, and where."""

    device: Device = None
    latents: Annotated[
        Latents,
        typer.Option(
            metavar="HOW", help="sample, or mode: the most likely latents",
            rich_help_panel=ROLLOUT,
        ),
    ] = Latents.sample  # fmt: skip
    start: Annotated[
        Start | None,
        typer.Option(
            metavar="HOW",
            help="stored, or zeros: the latent state that windows\nstart from",
            show_default="stored, if the checkpoint's own",
            rich_help_panel=ROLLOUT,
        ),
    ] = None
    dtype: Annotated[
        Dtype | None,
        typer.Option(
            metavar="TYPE",
            help="bfloat16, float16 or float32",
            show_default="the run's",
            rich_help_panel=ROLLOUT,
        ),
    ] = None
    config: Annotated[
        Place | None,
        typer.Option(
            parser=path,
            metavar="FILE",
            help="The run's settings, or infer: from the parameters",
            show_default="the nearest config.yaml",
            rich_help_panel=ROLLOUT,
        ),
    ] = None
    encode: Encode = None
    decode: Decode = None
    actions: Actions = None
    cache: Annotated[
        bool,
        typer.Option(
            "--cache/--no-cache",
            help="Do not keep compiled programs for the next run",
            rich_help_panel=ROLLOUT,
        ),
    ] = True


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is measured of each window, and shown."""

    keys: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Observation keys, comma-separated", show_default="all"),
    ] = None
    samples: Annotated[
        int,
        typer.Option(metavar="N", help="Imagined futures per window", rich_help_panel=ROLLOUT),
    ] = 1
    evaluate: Annotated[
        bool,
        typer.Option(
            "--evaluate/--no-evaluate",
            help="Predict only: no skill, baselines or losses",
            rich_help_panel=ROLLOUT,
        ),
    ] = True
    style: Annotated[
        Style,
        typer.Option(
            metavar="STYLE",
            help="explained, or reference: DreamerV3's grid",
            rich_help_panel=PICTURES,
        ),
    ] = Style.explained


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """How windows are drawn."""

    show: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Windows to draw",
            show_default="6; 3 in a .png",
            rich_help_panel=PICTURES,
        ),
    ] = None
    fps: Annotated[
        float, typer.Option(metavar="N", help="Steps per second", rich_help_panel=PICTURES)
    ] = 10
    scale: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Integer upscaling factor (even)",
            show_default="tiles of 128 pixels",
            rich_help_panel=PICTURES,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Folder:
    """What a batch or a watch writes for each checkpoint."""

    out_dir: Annotated[
        Place,
        typer.Option(
            "--out-dir",
            "-o",
            parser=path,
            metavar="FOLDER",
            help="Folder for all results, created if missing (required)",
            show_default=False,
        ),
    ]
    force: Annotated[
        bool,
        typer.Option("--force", help="Choose new windows, re-render finished checkpoints"),
    ] = False
    format: Annotated[
        Kind,
        typer.Option(
            metavar="KIND",
            help="mp4, gif, apng, or png: a still",
            rich_help_panel=FILES,
        ),
    ] = Kind.mp4
    report: Annotated[
        bool,
        typer.Option("--report/--no-report", help="Write no pages", rich_help_panel=FILES),
    ] = True
    save_arrays: Annotated[
        bool,
        typer.Option("--save-arrays", help="Also write all arrays as .npz", rich_help_panel=FILES),
    ] = False
    redact: Redact = False


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives typer a command in which each parameter that is a group of options is replaced by the
    group's fields."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    spread: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            found = inspect.signature(groups[name]).parameters.values()
            spread += found
        else:
            spread.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{x.name: values.pop(x.name) for x in fields(group)})
        command(**values)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__module__ = command.__module__
    run.__annotations__ = {x.name: x.annotation for x in spread}
    run.__signature__ = inspect.Signature(spread)  # type: ignore[attr-defined]
    return run


def split_keys(keys: str | None, option: str = "--keys") -> tuple[str, ...]:
    """`image,position` as the two.

    Raises:
      OptionError: A name between two commas is missing.
    """
    from openloop_cli.errors import OptionError

    if keys is None:
        return ()
    names = tuple(part.strip() for part in keys.split(","))
    if not all(names):
        raise OptionError(
            f"{option} {keys!r}: an empty name", hint=f"write it as {option} image,position"
        )
    return names


def settings(
    *groups: Windows | Rollout | Report | Pictures, logging: Logging | None = None, **more: Any
) -> "ReportJob":
    """The job that these options ask for; paths that `more` does not name are left to the run.

    Raises:
      OpenloopError: What is wrong with --keys, --window or --report-batches.
    """
    from openloop_cli.errors import OptionError
    from openloop_cli.jobs.loading import ReportJob, with_windows

    values = {x.name: getattr(group, x.name) for group in groups for x in fields(group)} | more
    values["recorded"] = bool(logging and logging.log)  # what only a log shows
    values = {name: x.value if isinstance(x, StrEnum) else x for name, x in values.items()}
    window = values.pop("window", None) or ()
    # The reference averages over its batches, which are of one size: a mean over all windows.
    batches = values.pop("report_batches", 1)
    if batches > 1 and window:
        raise OptionError(
            f"--report-batches {batches} with --window: these are measured and no others"
        )
    if "num_windows" in values:
        values["grow"] = values["num_windows"] == AUTO
        values["num_windows"] = (16 if values["grow"] else int(values["num_windows"])) * batches
    keys = split_keys(values.pop("keys", None))
    for name in ("encode", "decode", "actions"):
        if name in values:
            values[name] = split_keys(values[name], f"--{name}") or None
    return with_windows(ReportJob(**{"checkpoint": Path(), **values, "keys": keys}), window)
