"""A report's inputs: checked, found and read, before anything is computed.

`ReportJob` is small and picklable: the command line, batches and a cluster all make one.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from openloop_cli.arrays import Params
from openloop_cli.checkpoints import read_checkpoint
from openloop_cli.encode.animation import MOST_FPS
from openloop_cli.errors import MetricsError, OptionError, OutputError
from openloop_cli.replay import Choice, Replay, Windows, open_replay
from openloop_cli.results import metrics_file
from openloop_cli.run import Run, put_together
from openloop_cli.storage import place
from openloop_cli.storage.atomic import check_writable, resolved

VIDEO_KINDS = (".mp4", ".gif", ".apng")
STILL = ".png"
# Beyond these nothing can be told apart, or drawn at all.
MOST_SCALE, MOST_SEED = 128, 2**32 - 1
SHOWN, SHOWN_STILL = 6, 3
KINDS = (*VIDEO_KINDS, STILL, ".npz")
_LONGEST_KEY = 80


@dataclass(frozen=True)
class ReportJob:
    """What to report, from where, and where to. Fields are the options of `openloop render`.

    Attributes:
      show: None is `SHOWN` windows in a video, and `SHOWN_STILL` in a still, which is read, not
        watched.
    """

    checkpoint: Path
    replay: tuple[Path, ...]
    out: Path
    config: Path | None = None
    length: int | None = None
    context: int | None = None
    sequences: int = 16
    show: int | None = None
    seed: int = 0
    latents: str = "sample"
    samples: int = 1
    evaluate: bool = True
    episode_safe: bool = True
    windows: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    style: str = "explained"
    fps: float = 10
    scale: int | None = None
    metrics: Path | None = None
    save_arrays: Path | None = None
    report: Path | None = None
    device: str | None = None
    dtype: str | None = None
    cache: bool = True

    def __post_init__(self) -> None:
        """Text may stand for a path, and then be an address too."""
        for name in ("checkpoint", "out", "config", "metrics", "save_arrays", "report"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else place(value))
        object.__setattr__(self, "replay", tuple(place(path) for path in self.replay))


@dataclass(frozen=True)
class Loaded:
    """Everything that a rollout needs, in memory.

    Attributes:
      choice: How the windows were chosen; None when they were given.
      params: Of the world model alone.
      context: Steps that will be observed, of `length`.
    """

    run: Run
    choice: Choice | None
    windows: Windows
    params: Params
    context: int
    notes: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        """Steps of a window, replay context not counted."""
        return int(self.windows.data["is_first"].shape[1]) - self.windows.replay_context


def open_job(job: ReportJob, replay: Replay | None = None) -> Run:
    """Finds the job's run and takes its options over; reads names and settings only.

    Args:
      replay: The job's replay where it is open already, for others or from before.

    Raises:
      OpenloopError: Saying which path or option is wrong.
    """
    check_job(job)
    checkpoint = read_checkpoint(job.checkpoint)
    run = put_together(checkpoint, replay or open_replay(job.replay), job.config)
    _check_outputs(job, run)
    if job.dtype:
        model = replace(run.config.model, compute_dtype=job.dtype)
        run = replace(run, config=replace(run.config, model=model))
    return run


def load_job(job: ReportJob, run: Run, windows: Windows | None = None) -> Loaded:
    """Reads the world model's parameters and the windows.

    Args:
      windows: Those that the job asks for by id, where they were read already.

    Raises:
      OpenloopError: Saying what is wrong with the checkpoint, the replay or an option.
    """
    _, context = window_steps(job, run)
    known = [key for key, _ in run.spaces.obs]
    for key in job.keys:
        if key not in known:
            raise OptionError(f"--keys {key}: the run observes {', '.join(known)}")
    choice = None
    if windows is None:
        choice, windows = _read_windows(job, run)
    params = run.read_params()
    notes = [*_not_finite_params(params), *_not_finite_data(run, windows)]
    return Loaded(run, choice, windows, params, context, tuple(notes))


def check_job(job: ReportJob) -> None:
    """What can be told wrong without opening anything.

    Raises:
      OptionError, OutputError: The option or the output's name, and what was expected.
    """
    if job.out.suffix.lower() not in KINDS:
        raise OutputError(
            f"{job.out}: no known kind of file", hint=f"let its name end in {', '.join(KINDS)}"
        )
    if job.report and job.report.suffix.lower() not in (".html", ".htm"):
        raise OutputError(
            f"{job.report}: --report writes a web page", hint="let its name end in .html"
        )
    _check_distinct(outputs(job))
    if job.length is not None and job.length < 2:
        raise OptionError(f"--length {job.length}: expected 2 or more steps")
    if job.context is not None and job.context < 1:
        raise OptionError(f"--context {job.context}: expected 1 or more steps")
    if job.scale is not None and (not 2 <= job.scale <= MOST_SCALE or job.scale % 2):
        raise OptionError(
            f"--scale {job.scale}: expected an even whole factor from 2 to {MOST_SCALE}"
        )
    if not 0 <= job.seed <= MOST_SEED:
        raise OptionError(f"--seed {job.seed}: expected 0 to {MOST_SEED}")
    for name in ("sequences", "show", "samples"):
        value = getattr(job, name)
        if value is not None and value < 1:
            raise OptionError(f"--{name} {value}: expected 1 or more")
    if job.latents == "mode" and job.samples > 1:
        raise OptionError(
            f"--samples {job.samples} with --latents mode: all futures would be the same",
            hint="use --latents sample",
        )
    most = MOST_FPS if job.out.suffix.lower() == ".gif" else 1000
    if not 0 < job.fps <= most:
        raise OptionError(f"--fps {job.fps:g}: expected more than 0 and at most {most}")


def outputs(job: ReportJob) -> dict[str, Path]:
    """The files that a job writes, by option; of several videos only the name they share."""
    found = {
        "--out": job.out,
        "--metrics": job.metrics or job.out.with_name(f"{job.out.stem}.metrics.json"),
        "--save-arrays": job.save_arrays,
        "--report": job.report,
    }
    return {option: path for option, path in found.items() if path is not None}


def picture_paths(out: Path, names: Sequence[str]) -> dict[str, Path]:
    """`video.mp4`, or `video.<name>.mp4` for each of several pictures.

    Names are observation keys, which may hold anything; file names hold letters, digits and `._-`,
    and differ even where letter case does not count.
    """
    if len(names) == 1:
        return {names[0]: out}
    spelled = {name: re.sub(r"[^A-Za-z0-9._-]", "_", name)[:_LONGEST_KEY] for name in names}
    count = Counter(text.casefold() for text in spelled.values())
    paths = {}
    for name, text in spelled.items():
        if count[text.casefold()] > 1:
            text += f"-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"
        paths[name] = out.with_name(f"{out.stem}.{text}{out.suffix}")
    return paths


def windows_from(path: Path) -> tuple[tuple[str, ...], int, int]:
    """The window ids, the length and the context that a metrics.json was made with.

    Raises:
      MetricsError: Not a metrics.json of this version.
    """
    rollout = metrics_file.read_metrics(path).get("rollout")
    if isinstance(rollout, dict):
        ids, length, context = (rollout.get(name) for name in ("windows", "length", "context"))
        named = isinstance(ids, list) and all(isinstance(text, str) for text in ids)
        if ids and named and type(length) is int and type(context) is int:
            return tuple(ids), length, context
    raise MetricsError(
        f"{path}: rollout: no windows, length and context in it",
        hint="pass the metrics.json that `openloop render` wrote",
    )


def window_steps(job: ReportJob, run: Run) -> tuple[int, int]:
    """The length of a window and how many of its steps are observed.

    Raises:
      OptionError: Nothing would be left to imagine.
    """
    length = job.length or run.config.report_length
    if length < 2:
        raise OptionError(
            f"report_length {length} of the run: expected 2 or more", hint="pass --length"
        )
    context = job.context if job.context is not None else length // 2
    if not 1 <= context < length:
        raise OptionError(
            f"--context {context}: expected 1 to {length - 1}, below --length {length}"
        )
    return length, context


def _check_distinct(found: Mapping[str, Path]) -> None:
    places: dict[str, str] = {}
    for option, path in found.items():
        other = places.setdefault(str(resolved(path)), option)
        if other != option:
            raise OptionError(f"{path}: both {other} and {option} would write this file")


def _check_outputs(job: ReportJob, run: Run) -> None:
    """No output is an input, and the videos of several keys, which are known only now, can be
    written."""
    found = list(outputs(job).items())
    images = [key for key in run.spaces.images if not job.keys or key in job.keys]
    if len(images) > 1 and job.out.suffix.lower() in (*VIDEO_KINDS, STILL):
        videos = picture_paths(job.out, images).values()
        for path in videos:
            check_writable(path)
        found += [("--out", path) for path in videos]
    chunks = (chunk.path for chunk in run.replay.chunks)
    inputs = [run.config.source, *run.checkpoint.files, *chunks]
    for option, path in found:
        target = resolved(path)
        for file in inputs:
            if file is not None and file.name == target.name and resolved(file) == target:
                raise OptionError(
                    f"{option} {path}: this file is read, it will not be written over",
                    hint="choose another name",
                )


def _read_windows(job: ReportJob, run: Run) -> tuple[Choice | None, Windows]:
    length, context = window_steps(job, run)
    if job.windows:
        return None, run.read_windows(job.windows, length=length)
    return run.choose_windows(
        length=length,
        context=context,
        count=job.sequences,
        seed=job.seed,
        episode_safe=job.episode_safe,
    )


def _not_finite_params(params: Params) -> Iterator[str]:
    """A run that diverged is worth a look, and its owner a word."""
    found = [name for name, array in params.items() if not np.isfinite(array).all()]
    if found:
        yield (
            f"NaN or Infinity in {len(found)} of {len(params)} parameters, such as {found[0]}:"
            " what is predicted with them is not a number either"
        )


def _not_finite_data(run: Run, windows: Windows) -> Iterator[str]:
    for key, array in windows.data.items():
        if array.dtype.kind == "f":
            # In an observation -Infinity marks a value that is missing.
            fine = np.isfinite(array) | (np.isneginf(array) & (key in run.spaces.vectors))
            count = int((~fine.reshape(*fine.shape[:2], -1).all(-1)).sum())
            if count:
                yield f"NaN or Infinity in {key!r} of the replay, in {count} steps of the windows"
