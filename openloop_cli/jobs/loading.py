"""A report's inputs: checked, found and read, before anything is computed.

`ReportJob` is small and picklable: the command line, batches and a cluster all make one.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from openloop_cli.arrays import Params
from openloop_cli.checkpoints import read_checkpoint
from openloop_cli.encode.animation import MOST_FPS
from openloop_cli.errors import ConfigError, MetricsError, OptionError, ReplayError
from openloop_cli.jobs.recorded import recorded
from openloop_cli.jobs.sources import own_run
from openloop_cli.keys import KeyOptions
from openloop_cli.models.dreamerv3.inputs import unclassed
from openloop_cli.replay import Choice, Replay, Windows, choose_windows, is_window_id, open_replay
from openloop_cli.results import metrics_file
from openloop_cli.run import Run, put_together
from openloop_cli.storage import place, remote
from openloop_cli.storage.atomic import check_writable, resolved
from openloop_cli.text import clean, plural

VIDEO_KINDS = (".mp4", ".gif", ".apng")
STILL = ".png"
PAGE_KINDS = (".html", ".htm")
# Beyond these nothing can be told apart, or drawn at all.
MOST_SCALE, MOST_SEED = 128, 2**32 - 1
MOST_WINDOWS = 64  # that are added without being asked for by number
SHOWN, SHOWN_STILL = 6, 3
_LONGEST_NAME = 200
KINDS = (*VIDEO_KINDS, STILL, ".npz")
_LONGEST_KEY = 80


@dataclass(frozen=True)
class ReportJob:
    """What to report, from where, and where to. Fields are the options of `openloop render`.

    Attributes:
      replay: Empty is the checkpoint's own run.
      out: None is `<run>-<step>.mp4` in the current folder.
      start: `stored` or `zeros`: the latent state that windows start from; None finds out whether
        the stored ones are the checkpoint's.
      length: None is the run's own, or longer: see `far_enough`.
      grow: Measure more windows than `num_windows`, twice as many each time up to `MOST_WINDOWS`,
        until the intervals of all useful horizons are narrow.
      windows: Ids of exactly the windows to measure; empty chooses `num_windows`.
      show: None is `SHOWN` windows in a video, and `SHOWN_STILL` in a still, which is read, not
        watched.
      report: The page. None writes one next to a video or still if `page`, else none.
      redact: Results name no folders.
      encode, decode, actions: Keys that the model sees; None finds them out (`keys`).
      model: Somebody's own, `package:Name`; `checkpoint` is then what it is made with. Empty is
        DreamerV3.
      recorded: Also tell what the run recorded of itself (`jobs.recorded`), which a log shows.
    """

    checkpoint: Path
    replay: tuple[Path, ...] = ()
    out: Path | None = None
    config: Path | None = None
    length: int | None = None
    context: int | None = None
    num_windows: int = 16
    grow: bool = False
    show: int | None = None
    seed: int = 0
    latents: str = "sample"
    start: str | None = None
    samples: int = 1
    evaluate: bool = True
    allow_resets: bool = False
    windows: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    style: str = "explained"
    fps: float = 10
    scale: int | None = None
    metrics: Path | None = None
    save_arrays: Path | None = None
    report: Path | None = None
    page: bool = False
    redact: bool = False
    device: str | None = None
    dtype: str | None = None
    encode: tuple[str, ...] | None = None
    decode: tuple[str, ...] | None = None
    actions: tuple[str, ...] | None = None
    cache: bool = True
    recorded: bool = False
    model: str = ""

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
      context: Context steps, of `length`.
      recorded: What the run recorded of itself, where the job asks for it.
    """

    run: Run
    choice: Choice | None
    windows: Windows
    params: Params
    context: int
    notes: tuple[str, ...] = ()
    recorded: Mapping[str, Any] | None = None

    @property
    def length(self) -> int:
        """Steps of a window, replay context not counted."""
        return int(self.windows.data["is_first"].shape[1]) - self.windows.replay_context


def open_job(job: ReportJob, replay: Replay | None = None) -> tuple[ReportJob, Run]:
    """Finds the job's run; reads names and settings only.

    Args:
      replay: The job's replay, if it is already open.

    Returns:
      The job with its replay and outputs filled in, and the run with the job's options.

    Raises:
      OpenloopError: Saying which path or option is wrong.
    """
    check_job(job)
    checkpoint = read_checkpoint(job.checkpoint)
    if not job.replay:
        job = replace(job, replay=(own_run(job.checkpoint),))
    named = KeyOptions(job.encode, job.decode, job.actions)
    run = put_together(checkpoint, replay or open_replay(job.replay), job.config, named)
    job = with_outputs(job, _stem_of_run(run))
    _check_outputs(job, run)
    if job.dtype:
        model = replace(run.config.model, compute_dtype=job.dtype)
        run = replace(run, config=replace(run.config, model=model))
    return job, run


def with_windows(job: ReportJob, texts: Iterable[str]) -> ReportJob:
    """The job on exactly these windows.

    Args:
      texts: Ids (`CHUNK_UUID:INDEX`), and metrics.json files: all windows of each, and their length
        and context where the job has none of its own.

    Raises:
      OptionError: Neither an id nor a file, or files whose windows differ in length or context.
      MetricsError: The file is not a metrics.json.
    """
    ids: list[str] = []
    steps: dict[tuple[int, int], str] = {}
    for text in texts:
        if is_window_id(text):
            ids.append(text)
            continue
        path = place(text)
        if not remote(path) and not path.exists():
            raise OptionError(f"--window {text}: neither a metrics.json nor a window's CHUNK:INDEX")
        found, length, context = windows_from(path)
        ids += found
        steps[job.length or length, job.context or context] = text
    if len(steps) > 1:
        raise OptionError(
            f"--window {' --window '.join(steps.values())}: windows of different length or context",
            hint="pass --length and --context",
        )
    for length, context in steps:
        job = replace(
            job,
            length=length if job.length is None else job.length,
            context=context if job.context is None else job.context,
        )
    return replace(job, windows=tuple(ids))


def far_enough(job: ReportJob, run: Run) -> ReportJob:
    """The job with a length, if it has none: up to twice the run's own, for an end that lies beyond
    that, as long as the replay holds as many such windows that share no step.

    Windows given by their ids keep the run's own length.

    Raises:
      ConfigError: The run's own length is too short.
    """
    if job.length is not None or job.windows:
        return job
    own, _ = window_steps(replace(job, context=None), run)
    for length in (2 * own, 3 * own // 2):
        with suppress(OptionError, ReplayError):
            longer = replace(job, length=length)
            _, context = window_steps(longer, run)
            choice = choose_windows(
                run.replay,
                length=length,
                replay_context=run.config.replay_context,
                context=context,
                count=job.num_windows,
                seed=job.seed,
                allow_resets=job.allow_resets,
                keys=run.needed_keys,
            )
            if choice.apart == job.num_windows:
                return longer
    return job


def load_job(job: ReportJob, run: Run, windows: Windows | None = None) -> Loaded:
    """Reads the world model's parameters and the windows.

    Args:
      windows: Those that the job asks for by id, where they were read already.

    Raises:
      OpenloopError: Saying what is wrong with the checkpoint, the replay or an option.
    """
    _, context = window_steps(job, run)
    known = list(run.spaces.decoded)
    for key in job.keys:
        if key not in known:
            raise OptionError(f"--keys {key}: no such observation; there are {', '.join(known)}")
    choice = None
    if windows is None:
        choice, windows = _read_windows(job, run)
    params = run.read_params()
    notes = [
        *_not_finite_params(params),
        *_not_finite_data(run, windows),
        *_unclassed(run, windows),
        *_not_known(job, run, params),
    ]
    found = recorded(run, params) if job.recorded else None
    return Loaded(run, choice, windows, params, context, tuple(notes), found)


def check_job(job: ReportJob) -> None:
    """Checks what can be checked without opening anything.

    Raises:
      OptionError: The option, and what was expected.
    """
    kind = job.out.suffix.lower() if job.out else VIDEO_KINDS[0]
    check_extension("--out", job.out, KINDS)
    check_extension("--report", job.report, PAGE_KINDS)
    check_extension("--save-arrays", job.save_arrays, (".npz",))
    check_distinct(outputs(job))
    if job.length is not None and job.length < 2:
        raise OptionError(f"--length {job.length}: expected 2 or more steps")
    if job.context is not None and job.context < 1:
        raise OptionError(f"--context {job.context}: expected 1 or more steps")
    if job.scale is not None and (not 2 <= job.scale <= MOST_SCALE or job.scale % 2):
        raise OptionError(f"--scale {job.scale}: expected an even factor from 2 to {MOST_SCALE}")
    if not 0 <= job.seed <= MOST_SEED:
        raise OptionError(f"--seed {job.seed}: expected 0 to {MOST_SEED}")
    for name in ("num_windows", "show", "samples"):
        value = getattr(job, name)
        if value is not None and value < 1:
            raise OptionError(f"--{name.replace('_', '-')} {value}: expected 1 or more")
    if job.latents == "mode" and job.samples > 1:
        raise OptionError(
            f"--samples {job.samples} with --latents mode: all futures would be the same",
            hint="use --latents sample",
        )
    most = MOST_FPS if kind == ".gif" else 1000
    if not 0 < job.fps <= most:
        raise OptionError(f"--fps {job.fps:g}: expected more than 0 and at most {most}")


def outputs(job: ReportJob) -> dict[str, Path]:
    """The files that a job names, by option; of several videos only the name they share. What each
    window did lies beside the metrics, under a name of its own."""
    found = {
        "--out": job.out,
        "--metrics": job.metrics,
        "the windows of --metrics": job.metrics and metrics_file.windows_path(job.metrics),
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
    """The window ids, length and context of a metrics.json.

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
        f"{path}: rollout: expected windows, length and context",
        hint="pass the metrics.json that `openloop render` wrote",
    )


def window_steps(job: ReportJob, run: Run) -> tuple[int, int]:
    """The length of a window and how many of its steps are context.

    Raises:
      OptionError: No step would be left to imagine.
      ConfigError: The run's own length is too short.
    """
    length = job.length or run.config.report_length
    if length < 2:
        raise ConfigError(
            f"the run's report_length is {length}, expected 2 or more", hint="pass --length"
        )
    context = job.context if job.context is not None else length // 2
    if not 1 <= context < length:
        raise OptionError(
            f"--context {context}: expected 1 to {length - 1}, below --length {length}"
        )
    return length, context


def check_extension(option: str, path: Path | None, known: tuple[str, ...]) -> None:
    """Checks how the name of an output ends.

    Raises:
      OptionError: In none of the `known` ways.
    """
    if path is not None and path.suffix.lower() not in known:
        raise OptionError(
            f"{option} {path}: unsupported extension", hint=f"use {' or '.join(known)}"
        )


def with_outputs(job: ReportJob, stem: str) -> ReportJob:
    """All outputs named: `<stem>.mp4` by default, and what belongs to it next to it."""
    out = job.out or Path(f"{stem}{VIDEO_KINDS[0]}")
    shown = out.suffix.lower() in (*VIDEO_KINDS, STILL)
    return replace(
        job,
        out=out,
        metrics=job.metrics or out.with_name(f"{out.stem}.metrics.json"),
        report=job.report
        or (out.with_name(f"{out.stem}{PAGE_KINDS[0]}") if job.page and shown else None),
    )


def _stem_of_run(run: Run) -> str:
    step = run.checkpoint.step
    return file_stem(f"{run.name}-{run.checkpoint.path.name if step is None else step}")


def file_stem(name: str) -> str:
    """A name as a file can have it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:_LONGEST_NAME] or "openloop"


def check_distinct(found: Mapping[str, Path]) -> None:
    """No two outputs, by option, are one file.

    Raises:
      OptionError: Two are.
    """
    places: dict[str, str] = {}
    for option, path in found.items():
        other = places.setdefault(str(resolved(path)), option)
        if other != option:
            raise OptionError(f"{path}: both {other} and {option} name this file")


def _check_outputs(job: ReportJob, run: Run) -> None:
    """No output is an input, and the videos of several keys, which are known only now, can be
    written."""
    check_distinct(outputs(job))
    found = list(outputs(job).items())
    images = [key for key in run.spaces.images if not job.keys or key in job.keys]
    if job.out and len(images) > 1 and job.out.suffix.lower() in (*VIDEO_KINDS, STILL):
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
                    f"{option} {path}: this is an input, which is never overwritten",
                    hint="choose another name",
                )


def _read_windows(job: ReportJob, run: Run) -> tuple[Choice | None, Windows]:
    length, context = window_steps(job, run)
    if job.windows:
        return None, run.read_windows(job.windows, length=length)
    return run.choose_windows(
        length=length,
        context=context,
        num_windows=job.num_windows,
        seed=job.seed,
        allow_resets=job.allow_resets,
    )


def _not_finite_params(params: Params) -> Iterator[str]:
    """A run that diverged is worth a look, and its owner a word."""
    found = [name for name, array in params.items() if not np.isfinite(array).all()]
    if found:
        yield (
            f"NaN or Infinity in {len(found)} of {len(params)} parameters, such as {found[0]}:"
            " what is predicted with them is not a number either"
        )


def _not_known(job: ReportJob, run: Run, params: Params) -> Iterator[str]:
    """Parameters of the world model that the reference does not have.

    Where somebody names the keys, what the others would need is left unused on purpose.
    """
    named = {"enc/": job.encode, "dyn/": None, "dec/": job.decode}
    modules = tuple(module for module, keys in named.items() if keys is None)
    found = [x for x in run.shapes if x.startswith(modules) and x not in params]
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        yield f"DreamerV3 has no parameter {clean(found[0])}{more}: not used, the model may differ"


def _unclassed(run: Run, windows: Windows) -> Iterator[str]:
    for key, (value, count) in unclassed(windows, run.spaces).items():
        yield (
            f"{key!r} is {value} in {plural(count, 'place')} of the windows, which has no class:"
            " the model sees zeros there, as it did in training"
        )


def _not_finite_data(run: Run, windows: Windows) -> Iterator[str]:
    for key, array in windows.data.items():
        if array.dtype.kind == "f":
            # In an observation -Infinity marks a value that is missing.
            fine = np.isfinite(array) | (np.isneginf(array) & (key in run.spaces.vectors))
            count = int((~fine.reshape(*fine.shape[:2], -1).all(-1)).sum())
            if count:
                yield f"NaN or Infinity in {key!r} of the replay, in {count} steps of the windows"
