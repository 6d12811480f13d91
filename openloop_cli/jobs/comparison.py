"""One comparison: from checkpoints or metrics.json files to a table, files and a video.

Checkpoints are rolled out one after the other in this process, on the windows, seed and settings
of the first, so that one compilation serves all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openloop_cli.compare.compare import Comparison, compare
from openloop_cli.compare.markdown import write_comparison_markdown
from openloop_cli.compare.tree import comparison_tree
from openloop_cli.errors import OptionError, ReplayError
from openloop_cli.jobs.loading import PAGE_KINDS, SHOWN, check_extension, picture_paths
from openloop_cli.jobs.report import VIDEO_KINDS, Progress, ReportJob, measure_job
from openloop_cli.jobs.sources import absolute, own_run
from openloop_cli.results.entries import DRAWN, PAIRED, Entry
from openloop_cli.results.metrics_file import ENDING, plain, read_metrics, write_metrics
from openloop_cli.text import clean

if TYPE_CHECKING:
    from openloop_cli.arrays import Array
    from openloop_cli.reporting import Report


@dataclass(frozen=True)
class ComparisonJob:
    """What to compare, how, and where to.

    Attributes:
      sources: metrics.json files or checkpoints.
      settings: How checkpoints are rolled out and drawn; its checkpoint and out are not used.
      against: Which of the sources is the reference.
      out: A folder, or a file that ends in .json or .md.
      video: Truth and every checkpoint's prediction, under each other.
      page: One HTML page of all.
    """

    sources: tuple[Path, ...]
    settings: ReportJob
    against: int = 0
    allow_different: bool = False
    out: Path | None = None
    video: Path | None = None
    page: Path | None = None


@dataclass(frozen=True)
class ComparisonResult:
    """The comparison, its tree and the files that were written."""

    comparison: Comparison
    tree: Mapping[str, Any]
    files: Mapping[str, Path]


@dataclass
class Pictures:
    """What videos show: truth, and predictions by source; by image key, uint8
    (B, T, H, W, C)."""

    context: int
    truth: Mapping[str, "Array"]
    predictions: dict[Path, Mapping[str, "Array"]] = field(default_factory=dict)


def run_comparison(
    job: ComparisonJob, progress: Progress = lambda stage, done: None
) -> ComparisonResult:
    """Reads or renders every source, compares, and writes.

    Raises:
      OpenloopError: Saying what is wrong with which source, option or output.
    """
    check_comparison_job(job)
    trees = {path: read_metrics(path, windows=True) for path in job.sources if is_metrics(path)}
    pictures = _roll_out(job, trees, progress)
    entries = labelled([Entry("", trees[path], str(path)) for path in job.sources])
    comparison = compare(entries, job.against, allow_different=job.allow_different)
    tree = plain(comparison_tree(comparison))
    files = _write(job, comparison, tree, trees)
    if job.video and pictures:
        progress("draw", 0.95)
        files |= write_video(job, job.video, comparison, pictures)
    if job.page:
        progress("write page", 0.97)
        files["page"] = job.page
        _write_page(job, job.page, comparison, pictures)
    progress("done", 1.0)
    return ComparisonResult(comparison, tree, files)


def check_comparison_job(job: ComparisonJob) -> None:
    """Checks what can be checked without opening anything.

    Raises:
      OptionError: The option, and what was expected.
    """
    checkpoints = [path for path in job.sources if not is_metrics(path)]
    if len(job.sources) < 2:
        raise OptionError("expected two or more checkpoints or metrics.json files")
    if len(set(job.sources)) < len(job.sources):
        raise OptionError("the same path is named twice", hint="name each checkpoint once")
    if job.out and not is_folder(job.out):
        check_extension("--out", job.out, (".json", ".md"))
    check_extension("--video", job.video, VIDEO_KINDS)
    check_extension("--report", job.page, PAGE_KINDS)
    if job.video and not checkpoints:
        raise OptionError(
            f"--video {job.video}: metrics.json files hold no pictures",
            hint="pass the checkpoints and --replay",
        )


def is_metrics(path: Path) -> bool:
    """Whether a source is a metrics file; all others are checkpoints."""
    return path.suffix.lower() == ".json"


def labelled(entries: Sequence[Entry]) -> list[Entry]:
    """Each named by its step; with the run's or the file's name where that is not enough."""
    scored = [e.has("rollout", "selection") and e.rollout("selection") == "scored" for e in entries]
    steps = [
        (e.run if alone else "unknown step") if e.step is None else f"step {e.step:,}"
        for e, alone in zip(entries, scored, strict=True)
    ]
    names = [Path(e.place).name.removesuffix(".json").removesuffix(".metrics") for e in entries]
    plans = [
        steps,
        [
            step if step == e.run else f"{e.run} {step}".strip()
            for e, step in zip(entries, steps, strict=True)
        ],
        [f"{step} ({clean(name)})" for step, name in zip(steps, names, strict=True)],
        [f"{step} ({clean(e.place)})" for e, step in zip(entries, steps, strict=True)],
    ]
    plans = plans[1:] if len({e.run for e in entries}) > 1 else plans
    labels = next((plan for plan in plans if len(set(plan)) == len(plan)), plans[-1])
    return [replace(e, label=label) for e, label in zip(entries, labels, strict=True)]


def _roll_out(job: ComparisonJob, trees: dict[Path, Any], progress: Progress) -> Pictures | None:
    """Adds the trees of all checkpoints, and keeps what the video needs."""
    pictures: Pictures | None = None
    checkpoints = [path for path in job.sources if path not in trees]
    # One replay for all: the same windows.
    replay = job.settings.replay or tuple(own_run(path) for path in checkpoints[:1])
    if job.settings.start is None and len({_run_of(path) for path in job.sources}) > 1:
        # States that one of them stored favour it.
        job = replace(job, settings=replace(job.settings, start="zeros"))
    for number, path in enumerate(checkpoints):
        settings = _as_the_first(job.settings, next(iter(trees.values()), None))
        settings = replace(settings, checkpoint=path, replay=replay)

        def here(stage: str, done: float, number: int = number) -> None:
            of = f"{number + 1}/{len(checkpoints)}"
            progress(f"{of} {stage}", 0.9 * (number + done) / len(checkpoints))

        report, trees[path] = measure_job(settings, here)
        if job.video or job.page:
            pictures = _keep(report, path, pictures)
    return pictures


def _run_of(source: Path) -> str:
    """Something that differs between runs; metrics.json files tell their start themselves."""
    if is_metrics(source):
        return ""
    try:
        return str(own_run(source))
    except ReplayError:
        return str(absolute(source).parent)


def _as_the_first(settings: ReportJob, first: Any) -> ReportJob:
    """The windows and draws of what was measured before."""
    if first is None:
        return settings
    rollout = {name: Entry("", first).rollout(name) for name in (*PAIRED, *DRAWN)}
    start = rollout["start"] or settings.start
    return replace(settings, **{**rollout, "windows": tuple(rollout["windows"]), "start": start})


def _keep(report: "Report", path: Path, pictures: Pictures | None) -> Pictures:
    from openloop_cli.draw.grid import to_levels

    loop = report.loop.take(slice(0, len(report.loop.ids)))
    if pictures is None:
        truth = {key: loop.truth[key] for key in loop.image_keys}
        pictures = Pictures(loop.context, truth)
    pictures.predictions[path] = {
        key: to_levels(loop.model.prediction[key]) for key in loop.image_keys
    }
    return pictures


def _write(
    job: ComparisonJob, comparison: Comparison, tree: Mapping[str, Any], trees: Mapping[Path, Any]
) -> dict[str, Path]:
    if job.out is None:
        return {}
    if not is_folder(job.out):
        if job.out.suffix.lower() == ".md":
            write_comparison_markdown(job.out, comparison)
        else:
            write_metrics(job.out, tree)
        return {"comparison": job.out}
    files = {"comparison": job.out / "comparison.json", "table": job.out / "comparison.md"}
    write_metrics(files["comparison"], tree)
    write_comparison_markdown(files["table"], comparison)
    for number, (path, entry) in enumerate(zip(job.sources, comparison.entries, strict=True)):
        if not is_metrics(path):
            name = "".join(c if c.isascii() and c.isalnum() else "-" for c in entry.label)
            files[f"metrics/{entry.label}"] = job.out / f"{number + 1}-{name}{ENDING}"
            write_metrics(files[f"metrics/{entry.label}"], trees[path])
    return files


def write_video(
    job: ComparisonJob, video: Path, comparison: Comparison, pictures: Pictures
) -> dict[str, Path]:
    """Truth on top, one row for each checkpoint: a video for each image key that all have."""
    from openloop_cli import encode as writers
    from openloop_cli.draw.grid import Caption, explained_grid, image_row

    predictions = _predictions(job, comparison, pictures)
    keys = [key for key in pictures.truth if all(key in found for _, found in predictions)]
    if not keys:
        raise OptionError(f"--video {video}: the checkpoints have no image key in common")
    steps = " and ".join("?" if e.step is None else f"{e.step:,}" for e, _ in predictions)
    run = comparison.entries[0].run
    paths, show = picture_paths(video, keys), job.settings.show or SHOWN
    for key in keys:
        rows = [image_row("truth", pictures.truth[key][:show], note="what happened")]
        rows += [image_row(entry.label, found[key][:show]) for entry, found in predictions]
        caption = Caption(run=run, step=steps, key=key)
        frames = explained_grid(rows, pictures.context, caption, scale=job.settings.scale)
        writers.write_video(paths[key], frames, job.settings.fps)
    return {f"video/{key}": path for key, path in paths.items()}


def _write_page(
    job: ComparisonJob, path: Path, comparison: Comparison, pictures: Pictures | None
) -> None:
    from openloop_cli.page.comparison import write_comparison_page

    found = _predictions(job, comparison, pictures) if pictures else []
    write_comparison_page(
        path,
        comparison,
        truth=pictures.truth if pictures else None,
        predictions=[(entry.label, videos) for entry, videos in found],
        fps=job.settings.fps,
    )


def _predictions(
    job: ComparisonJob, comparison: Comparison, pictures: Pictures
) -> list[tuple[Entry, Mapping[str, "Array"]]]:
    return [
        (entry, pictures.predictions[path])
        for entry, path in zip(comparison.entries, job.sources, strict=True)
        if path in pictures.predictions
    ]


def is_folder(out: Path) -> bool:
    """Whether a place that may not be there yet is meant as a folder."""
    return out.is_dir() or not out.suffix
