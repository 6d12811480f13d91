"""One report: from paths and options to files. The only place where the stages meet the disk.

`ReportJob` is small and picklable: the command line, batches and a cluster all call `run_job`.
"""

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openloop_cli
from openloop_cli import metrics_file
from openloop_cli.errors import OptionError, OutputError
from openloop_cli.replay import Choice, Windows, choose_and_read, read_windows
from openloop_cli.run import Run, open_run, params_sha256

if TYPE_CHECKING:
    from openloop_cli.arrays import Params
    from openloop_cli.report import Report

VIDEO_KINDS = (".mp4", ".gif", ".apng")
KINDS = (*VIDEO_KINDS, ".npz")


Progress = Callable[[str, float], None]
"""Called with the stage that begins and the share of the work that is done, 0 to 1."""


@dataclass(frozen=True)
class ReportJob:
    """What to report, from where, and where to. Fields are the options of `openloop render`."""

    checkpoint: Path
    replay: tuple[Path, ...]
    out: Path
    config: Path | None = None
    length: int | None = None
    context: int | None = None
    sequences: int = 16
    show: int = 6
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
    device: str | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class JobResult:
    """What `run_job` wrote: the metrics tree, and the files by what they are."""

    metrics: Mapping[str, Any]
    files: Mapping[str, Path]
    notes: tuple[str, ...]


@dataclass
class _Clock:
    """Seconds of each stage, and who wants to know."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, done: float) -> Iterator[None]:
        self.progress(name, done)
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - start


def run_job(job: ReportJob, progress: Progress = lambda stage, done: None) -> JobResult:
    """Reads, rolls out, measures, draws and writes one report.

    Raises:
      OpenloopError: Saying what is wrong with which input, option or output. No output is left
        half written; those that were written before the error stay.
    """
    check_job(job)
    clock = _Clock(progress)
    report, tree = _measure(job, clock)
    files, hashes = _write_pictures(job, report, clock)
    metrics = job.metrics or job.out.with_name(f"{job.out.stem}.metrics.json")
    with clock.stage("write metrics", 0.98):
        from openloop_cli.writers.metrics_json import plain, write_metrics

        tree["frames"] = hashes
        tree["files"] = {name: path.name for name, path in files.items()}
        tree["timings"] = clock.seconds
        write_metrics(metrics, tree)
    progress("done", 1.0)
    return JobResult(plain(tree), {**files, "metrics": metrics}, tuple(tree["notes"]))


def measure_job(
    job: ReportJob, progress: Progress = lambda stage, done: None
) -> tuple["Report", dict[str, Any]]:
    """Reads, rolls out and measures one report, writes nothing: the report and its metrics tree.

    Raises:
      OpenloopError: Saying what is wrong with which input or option.
    """
    check_job(job)
    clock = _Clock(progress)
    report, tree = _measure(job, clock)
    from openloop_cli.writers.metrics_json import plain

    return report, plain(tree | {"frames": {}, "files": {}, "timings": clock.seconds})


def _measure(job: ReportJob, clock: _Clock) -> tuple["Report", dict[str, Any]]:
    with clock.stage("open", 0.0):
        run = _open(job)
    with clock.stage("read", 0.02):
        choice, windows, context = _read_windows(job, run)
        params = _read_params(run)
    with clock.stage("import jax", 0.1):
        from openloop_cli.model import place_model
        from openloop_cli.openloop import roll_out
    with clock.stage("roll out", 0.25):
        model = place_model(params, run.config.model, run.spaces, device=job.device)
        loop = roll_out(
            model,
            windows,
            context=context,
            seed=job.seed,
            latents=job.latents,
            samples=job.samples,
            evaluate=job.evaluate,
        )
    with clock.stage("measure", 0.6):
        from openloop_cli.report import make_report

        report = make_report(
            loop, run.config.model, name=run.name, step=run.checkpoint.step, keys=job.keys
        )
        tree = _provenance(job, run, choice, windows, params, model.device_name)
        tree |= {"headline": report.headline, "observations": report.observations, **report.model}
    return report, tree


def check_job(job: ReportJob) -> None:
    """What can be told wrong without opening anything.

    Raises:
      OptionError, OutputError: The option or the output's name, and what was expected.
    """
    if job.out.suffix.lower() not in KINDS:
        raise OutputError(
            f"{job.out}: no known kind of file", hint=f"let its name end in {', '.join(KINDS)}"
        )
    if job.length is not None and job.length < 2:
        raise OptionError(f"--length {job.length}: expected 2 or more steps")
    if job.context is not None and job.context < 1:
        raise OptionError(f"--context {job.context}: expected 1 or more steps")
    if job.scale is not None and (job.scale < 2 or job.scale % 2):
        raise OptionError(f"--scale {job.scale}: expected an even whole factor, such as 2 or 4")
    for name in ("sequences", "show", "samples"):
        if getattr(job, name) < 1:
            raise OptionError(f"--{name} {getattr(job, name)}: expected 1 or more")
    if job.latents == "mode" and job.samples > 1:
        raise OptionError(
            f"--samples {job.samples} with --latents mode: all futures would be the same",
            hint="use --latents sample",
        )
    if not 0 < job.fps <= 1000:
        raise OptionError(f"--fps {job.fps}: expected more than 0 and at most 1000")


def windows_from(path: Path) -> tuple[tuple[str, ...], int, int]:
    """The window ids, the length and the context that a metrics.json was made with.

    Raises:
      MetricsError: Not a metrics.json of this version.
    """
    rollout = metrics_file.read_metrics(path)["rollout"]
    return tuple(rollout["windows"]), rollout["length"], rollout["context"]


def _open(job: ReportJob) -> Run:
    run = open_run(job.checkpoint, job.replay, job.config)
    if job.dtype:
        model = replace(run.config.model, compute_dtype=job.dtype)
        run = replace(run, config=replace(run.config, model=model))
    if job.out.suffix.lower() in VIDEO_KINDS and not run.spaces.images:
        raise OptionError(
            f"{job.out}: the run observes no images ({', '.join(run.spaces.vectors)})",
            hint="let --out end in .npz",
        )
    return run


def _read_windows(job: ReportJob, run: Run) -> tuple[Choice | None, Windows, int]:
    from openloop_cli.inputs import needed_keys

    length = job.length or run.config.report_length
    context = job.context if job.context is not None else length // 2
    if not 1 <= context < length:
        raise OptionError(
            f"--context {context}: expected 1 to {length - 1}, below --length {length}"
        )
    start = run.config.replay_context
    keys = needed_keys(run.spaces, start)
    if job.windows:
        windows = read_windows(
            run.replay, job.windows, length=length, replay_context=start, keys=keys
        )
        return None, windows, context
    choice, windows = choose_and_read(
        run.replay,
        length=length,
        replay_context=start,
        context=context,
        count=job.sequences,
        seed=job.seed,
        episode_safe=job.episode_safe,
        keys=keys,
    )
    return choice, windows, context


def _read_params(run: Run) -> "Params":
    from openloop_cli.world_model.shapes import check_params

    return run.checkpoint.read_params(check_params(run.shapes, run.config.model, run.spaces))


def _write_pictures(
    job: ReportJob, report: "Report", clock: _Clock
) -> tuple[dict[str, Path], dict[str, Any]]:
    """Videos and arrays: the files by what they are, and what the raw frames hash to."""
    from openloop_cli.report import report_arrays
    from openloop_cli.writers import write_npz, write_video
    from openloop_cli.writers.frames import frames_sha256

    files: dict[str, Path] = {}
    hashes: dict[str, Any] = {}
    video = job.out.suffix.lower() in VIDEO_KINDS
    for i, key in enumerate(report.loop.image_keys):
        with clock.stage("draw", 0.7 + 0.28 * i / len(report.loop.image_keys)):
            frames = report.frames(key, show=job.show, style=job.style, scale=job.scale)
            hashes[key] = {"sha256": frames_sha256(frames), "shape": list(frames.shape)}
        if video:
            path = out_path(job.out, key, len(report.loop.image_keys))
            with clock.stage("encode", 0.75 + 0.23 * i / len(report.loop.image_keys)):
                write_video(path, frames, job.fps)
            files[f"video/{key}"] = path
    for arrays in {job.save_arrays, None if video else job.out} - {None}:
        assert arrays is not None
        with clock.stage("write arrays", 0.95):
            write_npz(arrays, report_arrays(report, job.show))
        files["arrays"] = arrays
    return files, hashes


def out_path(out: Path, key: str, count: int) -> Path:
    """`video.mp4`, or `video.<key>.mp4` when there are several image keys."""
    if count == 1:
        return out
    return out.with_name(f"{out.stem}.{key.replace('/', '_')}{out.suffix}")


def _provenance(
    job: ReportJob,
    run: Run,
    choice: Choice | None,
    windows: Windows,
    params: "Params",
    device: str,
) -> dict[str, Any]:
    checkpoint, replay, config = run.checkpoint, run.replay, run.config
    length = int(windows.data["is_first"].shape[1]) - windows.replay_context
    from openloop_cli.metrics_tree import DEFINITIONS

    return {
        "format": metrics_file.FORMAT,
        "version": metrics_file.VERSION,
        "openloop": openloop_cli.__version__,
        "run": {"name": run.name, "task": config.task},
        "checkpoint": {
            "path": str(checkpoint.path),
            "step": checkpoint.step,
            "counters": dict(checkpoint.counters),
            "complete": checkpoint.complete,
            "sha256": params_sha256(params),
            "parameters": sum(x.size for x in params.values()),
        },
        "config": {
            "source": str(config.source) if config.source else None,
            "model": asdict(config.model),
            "replay_context": config.replay_context,
        },
        "replay": {
            "paths": [str(path) for path in job.replay],
            "chunks": len(replay.chunks),
            "damaged": {path.name: reason for path, reason in replay.damaged.items()},
            "candidates": choice.candidates if choice else None,
            "passed_over": choice.passed_over if choice else None,
        },
        "rollout": {
            "windows": list(windows.ids),
            "selection": _selection(job),
            "length": length,
            "context": job.context if job.context is not None else length // 2,
            "seed": job.seed,
            "latents": job.latents,
            "samples": job.samples,
            "dtype": config.model.compute_dtype,
            "device": device,
            **_versions("jax", "jaxlib", "numpy"),
            "python": platform.python_version(),
        },
        "notes": [*checkpoint.notes, *config.notes, *_replay_notes(run, choice)],
        "definitions": DEFINITIONS,
    }


def _selection(job: ReportJob) -> str:
    if job.windows:
        return "given"
    return "episode-safe" if job.episode_safe else "any"


def _replay_notes(run: Run, choice: Choice | None) -> list[str]:
    notes = []
    if run.replay.damaged:
        notes.append(run.replay.damage_line())
    if run.replay.duplicates:
        notes.append(f"{len(run.replay.duplicates)} chunks stand there twice; used one of each")
    if choice and choice.shortfall:
        notes.append(
            f"found {len(choice.ids)} windows of the {len(choice.ids) + choice.shortfall} asked for"
        )
    if choice and choice.passed_over:
        notes.append(
            f"passed over {choice.passed_over} windows with an episode start in the imagined part"
        )
    return notes


def _versions(*packages: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
