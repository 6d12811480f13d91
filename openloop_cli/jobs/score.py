"""One report on predictions that are there already: from files to the same files as a checkpoint's.

Nothing is rolled out and no jax imported; all that comes after a rollout is `jobs.report`'s.
"""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import openloop_cli
from openloop_cli.errors import MetricsError, OptionError
from openloop_cli.jobs.comparison import ComparisonJob, ComparisonResult, run_comparison
from openloop_cli.jobs.loading import (
    KINDS,
    STILL,
    VIDEO_KINDS,
    ReportJob,
    check_distinct,
    check_job,
    file_stem,
    outputs,
    picture_paths,
    with_outputs,
)
from openloop_cli.jobs.provenance import versions
from openloop_cli.jobs.report import (
    Clock,
    JobResult,
    OnVideo,
    Progress,
    RolledOut,
    start_report,
    write_job,
)
from openloop_cli.predictions.open import open_predictions
from openloop_cli.predictions.pixels import Pixels
from openloop_cli.predictions.scored import Layout, Scored, scored
from openloop_cli.predictions.videos import pair
from openloop_cli.quantities import DEFINITIONS
from openloop_cli.reporting import make_report
from openloop_cli.results import metrics_file
from openloop_cli.storage.atomic import check_writable, resolved
from openloop_cli.storage.shown import shown_path, shown_text


@dataclass(frozen=True)
class ScoreJob:
    """What to score, how to read it, and what to write.

    Attributes:
      predictions: A file or folder of one of the formats of `predictions.open`; or, with `truth`,
        a folder of videos, or one video.
      settings: What is drawn and written; its checkpoint is not used.
      name, step: Of the model and its training, for captions, curves and logs; where they are not
        given, as the predictions tell.
    """

    predictions: Path
    settings: ReportJob
    truth: Path | None = None
    pixels: Pixels = field(default_factory=Pixels)
    name: str = ""
    step: int | None = None


def run_score(
    job: ScoreJob,
    progress: Progress = lambda stage, done: None,
    on_video: OnVideo = lambda key, video: None,
) -> JobResult:
    """Reads, measures, draws and writes one report.

    Raises:
      OpenloopError: Saying what is wrong with which file, option or output.
    """
    check_job(job.settings)
    clock = Clock(progress)
    with clock.stage("open", 0.0):
        loops = open_score(job)
        job = _told_by(job, loops.source)
        settings = with_outputs(job.settings, file_stem(job.predictions.stem or job.name))
        _check_outputs(job, settings, loops)
    with clock.stage("read", 0.02):
        report = make_report(loops, name=job.name, step=job.step, keys=settings.keys)
    rolled_out = RolledOut(
        report, _provenance(job, loops), *start_report(settings, report), usage=None
    )
    result = write_job(settings, rolled_out, clock, on_video)
    progress("done", 1.0)
    return result


@dataclass(frozen=True)
class Scores:
    """Reports on several predictions, and how they compare.

    Attributes:
      comparison: None where they are not of the same recordings.
      note: Why, then.
    """

    reports: tuple[JobResult, ...]
    comparison: ComparisonResult | None
    note: str = ""


def run_scores(jobs: Sequence[ScoreJob], progress: Progress = lambda stage, done: None) -> Scores:
    """A report on each of several predictions, in the folder that `out` of their settings names,
    and a comparison.

    Raises:
      OpenloopError: Of the first that cannot be scored.
    """
    folder = jobs[0].settings.out or Path()
    if folder.suffix.lower() in KINDS or folder.is_file():
        raise OptionError(
            f"--out {folder}: {len(jobs)} predictions would all write it", hint="name a folder"
        )
    names = told_apart([job.predictions for job in jobs])
    reports = []
    for number, (job, name) in enumerate(zip(jobs, names, strict=True)):
        out = folder / f"{file_stem(name)}{VIDEO_KINDS[0]}"
        one = replace(job, settings=replace(job.settings, out=out))

        def here(stage: str, done: float, number: int = number) -> None:
            progress(f"{number + 1}/{len(jobs)} {stage}", (number + done) / len(jobs))

        reports.append(run_score(one, here))
    sources = tuple(found.files["metrics"] for found in reports)
    page = folder / "comparison.html" if jobs[0].settings.page else None
    comparison = ComparisonJob(sources, jobs[0].settings, out=folder, page=page)
    try:
        return Scores(tuple(reports), run_comparison(comparison))
    except MetricsError as error:
        return Scores(tuple(reports), None, f"no comparison: {error.message}")


def open_score(job: ScoreJob) -> Scored:
    """The rollouts of a job; only headers and the first windows are read.

    Raises:
      OpenloopError: Files that cannot be read, or do not go together.
    """
    source: Layout
    source = pair(job.truth, job.predictions) if job.truth else open_predictions(job.predictions)
    return scored(source, job.pixels, context=job.settings.context, keys=job.settings.keys)


def told_apart(places: Sequence[Path]) -> list[str]:
    """A name for each of several predictions, of as much of their paths as it takes."""
    for parts in range(1, 12):
        names = ["-".join((*path.parts[-parts:-1], path.stem)) for path in places]
        if len(set(names)) == len(names):
            return names
    raise OptionError("the same predictions are named twice")


def _told_by(job: ScoreJob, source: Layout) -> ScoreJob:
    """With the name and step that the options, or else the predictions themselves, tell."""
    name = job.name or source.run or job.predictions.stem or "predictions"
    return replace(job, name=name, step=source.step if job.step is None else job.step)


def _provenance(job: ScoreJob, loops: Scored) -> dict[str, Any]:
    """All of metrics.json that is no result."""
    redact = job.settings.redact
    return {
        "format": metrics_file.FORMAT,
        "version": metrics_file.VERSION,
        "openloop": openloop_cli.__version__,
        "run": {"name": job.name, "task": ""},
        "checkpoint": {
            "path": shown_path(job.predictions, redact=redact),
            "step": job.step,
            "counters": {},
            "complete": True,
        },
        "rollout": {
            "windows": list(loops.ids),
            "episodes": list(loops.episodes),
            "apart": loops.apart,
            "selection": "scored",
            "length": loops.length,
            "context": loops.context,
            "samples": loops.samples,
            **versions("numpy"),
            "python": platform.python_version(),
        },
        "notes": [shown_text(note, redact=redact) for note in loops.notes],
        "definitions": DEFINITIONS,
    }


def _check_outputs(job: ScoreJob, settings: ReportJob, loops: Scored) -> None:
    """All can be written, and none is an input."""
    check_distinct(outputs(settings))
    found = list(outputs(settings).items())
    images = [key for key, kind in loops.kinds.items() if kind == "image"]
    shown = settings.out is not None and settings.out.suffix.lower() in (*VIDEO_KINDS, STILL)
    if settings.out and shown and len(images) > 1:
        found += [("--out", path) for path in picture_paths(settings.out, images).values()]
    inputs = [path for path in (job.predictions, job.truth) if path]
    for option, path in found:
        check_writable(path)
        target = resolved(path)
        if any(target == resolved(x) or resolved(x) in target.parents for x in inputs):
            raise OptionError(
                f"{option} {path}: this is an input, which is never overwritten",
                hint="choose another place",
            )
