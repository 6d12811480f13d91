"""One report: from paths and options to files. The only place where the stages meet the disk."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openloop_cli.cache import cache_note
from openloop_cli.jobs.loading import (
    MOST_WINDOWS,
    SHOWN,
    SHOWN_STILL,
    STILL,
    VIDEO_KINDS,
    Loaded,
    ReportJob,
    check_job,
    far_enough,
    load_job,
    open_job,
    outputs,
    picture_paths,
)
from openloop_cli.jobs.provenance import provenance
from openloop_cli.results.metrics_file import plain, windows_path, write_metrics
from openloop_cli.run import Run
from openloop_cli.storage import place
from openloop_cli.storage.atomic import check_writable
from openloop_cli.text import clean

if TYPE_CHECKING:
    from openloop_cli.loggers.usage import Usage
    from openloop_cli.page import Media
    from openloop_cli.reporting import Report
    from openloop_cli.rollout.result import OpenLoop

__all__ = ["VIDEO_KINDS", "JobResult", "Progress", "ReportJob", "measure_job", "report", "run_job"]

Progress = Callable[[str, float], None]
"""Called with the stage that begins and the share of the work that is done, 0 to 1."""

# An interval of at most this share of the imagined steps needs no more windows.
NARROW = 0.2

OnVideo = Callable[[str, Path], None]
"""Called with an observation key and its video, once that is whole."""


@dataclass(frozen=True)
class JobResult:
    """What `run_job` wrote: the metrics tree, and the files by what they are."""

    metrics: Mapping[str, Any]
    files: Mapping[str, Path]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class RolledOut:
    """A rollout in memory. One thread measures it, another films it for the page.

    Attributes:
      provenance: Where its numbers come from, the first part of the metrics tree.
      numbers: The other part, and how many seconds it took.
      media: What moves on the page, None without one, and how many seconds it took.
      usage: What measures the process, for a log.
    """

    report: "Report"
    provenance: Mapping[str, Any]
    numbers: "Future[tuple[dict[str, Any], float]]"
    media: "Future[tuple[Media | None, float]]"
    usage: "Usage | None"


@dataclass
class Clock:
    """Seconds of each stage, and who wants to know."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, done: float) -> Iterator[None]:
        self.progress(name, done)
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - start


def run_job(
    job: ReportJob,
    progress: Progress = lambda stage, done: None,
    on_video: OnVideo = lambda key, video: None,
) -> JobResult:
    """Reads, rolls out, measures, draws and writes one report.

    Args:
      on_video: Called with each video that is written, while the rest is still being measured.

    Raises:
      OpenloopError: Saying what is wrong with which input, option or output. No output is left
        half written; those that were written before the error stay.
    """
    clock = Clock(progress)
    if job.model:
        from openloop_cli.jobs.adapted import run_adapted

        result = run_adapted(job, clock, on_video)
        progress("done", 1.0)
        return result
    check_job(job)
    with clock.stage("open", 0.0):
        job, run = open_job(job)
        for path in outputs(job).values():
            check_writable(path)
    rolled_out = _roll_out_enough(job, run, clock)
    result = write_job(job, rolled_out, clock, on_video)
    progress("done", 1.0)
    return result


def report(
    run: Path | str, replay: Path | str | Sequence[Path | str] = (), **options: Any
) -> "Report":
    """What `openloop render` does, without files: reads, rolls out and measures.

    Args:
      run: A run, ckpt or checkpoint folder, or an agent.pkl; an address, too.
      replay: A replay folder, run folder or chunk files; the run's own if not given.
      options: As fields of `ReportJob`: `length`, `context`, `num_windows`, `seed`, `samples`, …

    Raises:
      OpenloopError: Saying what is wrong with which input or option.
    """
    paths = (replay,) if isinstance(replay, (str, PathLike)) else tuple(replay)
    job = ReportJob(place(run), tuple(place(path) for path in paths), **options)
    clock = Clock(lambda stage, done: None)
    job, opened = open_job(job)
    rolled_out = _roll_out_enough(job, opened, clock)
    _measured(rolled_out, clock, 0.6)
    return rolled_out.report


def measure_job(
    job: ReportJob, progress: Progress = lambda stage, done: None
) -> tuple["Report", dict[str, Any]]:
    """The same without writing anything: the report and its metrics tree.

    Raises:
      OpenloopError: Saying what is wrong with which input or option.
    """
    check_job(job)
    clock = Clock(progress)
    with clock.stage("open", 0.0):
        job, run = open_job(job)
    rolled_out = _roll_out_enough(job, run, clock)
    tree = _measured(rolled_out, clock, 0.6)
    return rolled_out.report, plain(tree | {"frames": {}, "files": {}, "timings": clock.seconds})


def _roll_out_enough(job: ReportJob, run: Run, clock: Clock) -> RolledOut:
    """Of windows that are long enough, and with `grow` of so many that the horizons are sure."""
    with clock.stage("read", 0.02):
        job = far_enough(job, run)
    while True:
        loaded = read_job(job, run, clock)
        rolled_out = roll_out_job(job, loaded, clock)
        if not job.grow or job.windows or job.num_windows >= MOST_WINDOWS:
            return rolled_out
        # Windows that share steps with others would tell hardly more.
        if loaded.windows.apart < job.num_windows or _sure(rolled_out.numbers.result()[0]):
            return rolled_out
        job = replace(job, num_windows=min(2 * job.num_windows, MOST_WINDOWS))


def _sure(numbers: Mapping[str, Any]) -> bool:
    """Whether the intervals of all useful horizons are narrow, where there are any."""
    found = [x.get("useful_horizon") or {} for x in numbers["headline"].values()]
    ends = [(x["high"] - x["low"], x["of"]) for x in found if x.get("low") is not None]
    return all(width <= max(1, NARROW * steps) for width, steps in ends)


def read_job(job: ReportJob, run: Run, clock: Clock) -> Loaded:
    """Reads parameters and windows, while jax is being imported."""
    with clock.stage("read", 0.02), ThreadPoolExecutor(1) as pool:
        loaded = pool.submit(load_job, job, run)
        note = cache_note() if job.cache else None
        import openloop_cli.rollout.roll_out  # noqa: F401

        found = loaded.result()
        return replace(found, notes=(*found.notes, note)) if note else found


def roll_out_job(job: ReportJob, loaded: Loaded, clock: Clock) -> RolledOut:
    """Rolls out what was read, and begins to measure it."""
    from openloop_cli.models.model import place_model
    from openloop_cli.reporting import make_report
    from openloop_cli.rollout.roll_out import roll_out
    from openloop_cli.rollout.stored import start_windows

    run = loaded.run
    usage = _usage() if job.recorded else None
    with clock.stage("roll out", 0.25):
        model = place_model(loaded.params, run.config.model, run.spaces, device=job.device)
        windows, started = start_windows(model, loaded.windows, job.start, keep=job.cache)
        loaded = replace(loaded, windows=windows, notes=(*loaded.notes, *started))
        loop = roll_out(
            model,
            loaded.windows,
            context=loaded.context,
            seed=job.seed,
            latents=job.latents,
            samples=job.samples,
            evaluate=job.evaluate,
            cache=job.cache,
        )
    loaded = replace(loaded, notes=(*loaded.notes, *_not_finite(loop, run)))
    loaded = replace(loaded, notes=(*loaded.notes, *filter(None, _channels(job, run))))
    step = run.checkpoint.step
    report = make_report(loop, run.config.model, name=run.name, step=step, keys=job.keys)
    numbers, media = start_report(job, report)
    return RolledOut(report, provenance(job, loaded, model.device_name), numbers, media, usage)


def start_report(
    job: ReportJob, report: "Report"
) -> tuple["Future[tuple[dict[str, Any], float]]", "Future[tuple[Media | None, float]]"]:
    """Begins to measure and to film, in threads of their own."""
    pool = ThreadPoolExecutor(2, thread_name_prefix="openloop-measure")
    numbers = pool.submit(_timed, lambda: report.tree | {"truth": report.truth})
    media = pool.submit(_timed, lambda: _media(report, job.fps) if job.report else None)
    pool.shutdown(wait=False)
    return numbers, media


def _channels(job: ReportJob, run: Run) -> Iterator[str]:
    """What pictures cannot show as it is."""
    from openloop_cli.draw.grid import channels_note

    for key, space in run.spaces.images.items():
        if not job.keys or key in job.keys:
            yield channels_note(clean(key), space.shape[-1], job.style)


def _usage() -> "Usage":
    from openloop_cli.loggers.usage import Usage

    return Usage()


def _not_finite(loop: "OpenLoop", run: Run) -> Iterator[str]:
    found = [k for k, x in loop.model.prediction.items() if not np.isfinite(x).all()]
    if found:
        narrow = run.config.model.compute_dtype == "float16"
        hint = "; float16 holds nothing above 65504" if narrow else ""
        yield f"predictions of {', '.join(found)} are not finite everywhere{hint}"


def write_job(
    job: ReportJob,
    rolled_out: RolledOut,
    clock: Clock,
    on_video: OnVideo = lambda key, video: None,
) -> JobResult:
    """Draws and encodes while other threads measure and film; the metrics file comes last.

    Files are written by the main thread, where a signal can still remove what is half written.
    """
    metrics, report = outputs(job)["--metrics"], rolled_out.report
    files, hashes = _write_pictures(job, report, clock, on_video)
    tree = _measured(rolled_out, clock, 0.9)
    if job.report:
        with clock.stage("film", 0.91):
            media, seconds = rolled_out.media.result()
        clock.seconds["film"] = seconds
        with clock.stage("write page", 0.95):
            _write_page(job.report, tree | {"timings": clock.seconds}, media)
        files["page"] = job.report
    with clock.stage("write metrics", 0.98):
        tree["frames"] = hashes
        tree["files"] = {name: path.name for name, path in files.items()}
        tree["timings"] = clock.seconds
        tree = write_metrics(metrics, plain(tree))
    files |= {"metrics": metrics, "windows": windows_path(metrics)}
    return JobResult(tree, files, tuple(tree["notes"]))


def _measured(rolled_out: RolledOut, clock: Clock, done: float) -> dict[str, Any]:
    """The metrics tree, once it is there."""
    with clock.stage("measure", done):
        numbers, seconds = rolled_out.numbers.result()
    clock.seconds["measure"] = seconds
    told = rolled_out.provenance
    rollout = {**told["rollout"], "truth": numbers["truth"]}
    tree = {**told, "rollout": rollout, **{k: x for k, x in numbers.items() if k != "truth"}}
    if rolled_out.usage:
        tree["recorded"] = tree["recorded"] | {"usage": rolled_out.usage.stats()}
    return tree


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def _write_pictures(
    job: ReportJob, report: "Report", clock: Clock, on_video: OnVideo
) -> tuple[dict[str, Path], dict[str, Any]]:
    """Videos, stills, arrays: the files by what they are, and what the raw frames hash to."""
    from openloop_cli.encode import write_npz, write_video
    from openloop_cli.encode.frames import frames_sha256
    from openloop_cli.encode.still import report_still, write_still
    from openloop_cli.reporting import report_arrays

    assert job.out is not None  # filled in by open_job
    files: dict[str, Path] = {}
    hashes: dict[str, Any] = {}
    video, still = job.out.suffix.lower() in VIDEO_KINDS, job.out.suffix.lower() == STILL
    pictures = report.pictures if video or still else report.image_keys
    paths = picture_paths(job.out, list(pictures))
    for i, name in enumerate(pictures):
        with clock.stage("draw", 0.7 + 0.28 * i / len(pictures)):
            frames = report.frames(name, show=job.show or SHOWN, style=job.style, scale=job.scale)
            hashes[name] = {"sha256": frames_sha256(frames), "shape": list(frames.shape)}
        if video:
            with clock.stage("encode", 0.75 + 0.23 * i / len(pictures)):
                write_video(paths[name], frames, job.fps)
            files[f"video/{name}"] = paths[name]
            on_video(name, paths[name])
        if still:
            show = job.show or SHOWN_STILL
            write_still(paths[name], report_still(report, name, show, job.scale))
            files[f"still/{name}"] = paths[name]
    # `--out` last, so that `files` names the same one whatever the seed of Python's hashes.
    for arrays in (job.save_arrays, None if video or still else job.out):
        if arrays is None:
            continue
        with clock.stage("write arrays", 0.95):
            write_npz(arrays, report_arrays(report, job.show or SHOWN))
        files["arrays"] = arrays
    return files, hashes


def _media(report: "Report", fps: float) -> "Media":
    from openloop_cli.page.of_report import report_media

    return report_media(report, fps)


def _write_page(path: Path, tree: dict[str, Any], media: "Media | None") -> None:
    from openloop_cli.page import PageEntry, write_page

    write_page(path, [PageEntry(tree)], media=media)
