"""One batch: from checkpoints to their results, a comparison and an index."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from openloop_cli.errors import CheckpointError, OpenloopError, OptionError, OutputError
from openloop_cli.jobs.comparison import ComparisonJob, run_comparison
from openloop_cli.jobs.engines.local import run_local
from openloop_cli.jobs.loading import ReportJob, check_job
from openloop_cli.jobs.outcome import Event, OnEvent
from openloop_cli.jobs.plan import Item, make_items, shard_of
from openloop_cli.jobs.records import (
    identify,
    look_up,
    made_from,
    remember_failure,
    sweep,
)
from openloop_cli.jobs.selection import Selection, forget_windows
from openloop_cli.jobs.sources import Source
from openloop_cli.page.index import JSON_NAME, Index, write_index
from openloop_cli.results.outcome import DONE, FAILED, SKIPPED, WAITING, Outcome
from openloop_cli.storage.atomic import check_writable

Engine = Callable[[Sequence[Item], Path, Selection, OnEvent, bool], list[Outcome]]
"""Renders items: (items, folder, selection, on_event, force) -> what became of each."""


@dataclass(frozen=True)
class BatchJob:
    """What to render, how, and where to.

    Attributes:
      settings: The options of all items; its paths are not used.
      kind: Ending of the videos.
      shard: `I/N`: only every Nth item, from the Ith on.
      force: Choose windows anew (unless this is a shard) and re-render finished items.
      notes: Remarks on how the sources were found.
    """

    sources: tuple[Source, ...]
    settings: ReportJob
    folder: Path
    kind: str = ".mp4"
    page: bool = True
    arrays: bool = False
    shard: str = ""
    force: bool = False
    compare: bool = True
    notes: tuple[str, ...] = ()


# A comparison's files and what they are called; what people open comes first.
_COMPARISON = {"page": "comparison", "table": "comparison.md", "comparison": "comparison.json"}


@dataclass(frozen=True)
class BatchResult:
    """What became of each item of this shard, in order, and the files about all of them."""

    outcomes: tuple[Outcome, ...]
    files: dict[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """Those that failed."""
        return tuple(x for x in self.outcomes if x.status == FAILED)


def local_engine(
    items: Sequence[Item], folder: Path, selection: Selection, on_event: OnEvent, force: bool
) -> list[Outcome]:
    """Everything in this process."""
    return run_local(items, folder, selection, on_event, force=force)


def run_batch(
    job: BatchJob, on_event: OnEvent = lambda event: None, engine: Engine = local_engine
) -> BatchResult:
    """Renders what is not there yet, then compares and lists all.

    Raises:
      OpenloopError: What is wrong with an option or the folder. What is wrong with a checkpoint
        is in its outcome instead.
    """
    everything = plan_batch(job)
    items = shard_items(job, everything)
    check_writable(job.folder / JSON_NAME)
    if job.force and not job.shard:  # other shards use the same windows
        forget_windows(job.folder)
    selection = Selection(job.folder)
    outcomes = {}
    for item in items:
        sweep(job.folder, item.name)
        before = None if job.force else still_good(item, job.folder, selection)
        if before:
            outcomes[item.name] = before
            on_event(Event(item.name, before.status, before))
    rest = [item for item in items if item.name not in outcomes]
    if rest:
        for outcome in engine(rest, job.folder, selection, on_event, job.force):
            outcomes[outcome.name] = outcome
    for item in rest:
        if outcomes[item.name].status == FAILED:
            remember_failure(job.folder, item, outcomes[item.name])
    return finish_batch(job, everything, outcomes, selection)


def plan_batch(job: BatchJob) -> list[Item]:
    """The items of all shards, with the options checked.

    Raises:
      OpenloopError: What is wrong with an option.
    """
    if job.folder.exists() and not job.folder.is_dir():
        raise OutputError(f"{job.folder}: expected a folder, found a file")
    items = make_items(
        job.sources, job.settings, job.folder, kind=job.kind, page=job.page, arrays=job.arrays
    )
    if not items:
        raise OptionError("no checkpoints", hint="name at least one")
    check_job(items[0].job)
    return items


def shard_items(job: BatchJob, everything: list[Item]) -> list[Item]:
    """Those of the job's own shard.

    Raises:
      OptionError: No such shard.
    """
    return shard_of(everything, job.shard) if job.shard else everything


def still_good(item: Item, folder: Path, selection: Selection) -> Outcome | None:
    """The item's results where they are whole and would come out the same again.

    A failure counts as none: it is tried again.
    """
    before = selection.earlier(item)
    # A trainer deletes its old checkpoints; what was rendered of them stays good.
    if before is None or not item.job.checkpoint.exists():
        return before
    try:
        return before if made_from(folder, item) == identify(item.job) else None
    except CheckpointError:  # half deleted
        return before


def finish_batch(
    job: BatchJob, everything: Sequence[Item], outcomes: dict[str, Outcome], selection: Selection
) -> BatchResult:
    """Compares and lists what is there, other shards' results included.

    Raises:
      OutputError: The folder cannot be written.
    """
    listed = [outcomes.get(item.name) or _elsewhere(item, job.folder) for item in everything]
    notes = list(job.notes)
    comparisons: dict[str, Path] = {}
    if job.compare:
        comparisons, more = _compare(job, listed)
        notes += more
    index = Index(listed, selection.chosen, comparisons, notes, job.settings.redact)
    files = comparisons | write_index(job.folder, index)
    return BatchResult(tuple(outcomes.values()), files, tuple(notes))


def _elsewhere(item: Item, folder: Path) -> Outcome:
    """An item of another shard: what it left, or that it is awaited."""
    return look_up(folder, item) or Outcome(item.name, item.job.checkpoint, WAITING)


def _compare(job: BatchJob, outcomes: Sequence[Outcome]) -> tuple[dict[str, Path], list[str]]:
    """One comparison for each set of checkpoints that measured the same windows."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.status in (DONE, SKIPPED):
            groups[outcome.group].append(outcome)
    several = [group for group in groups.values() if len(group) > 1]
    files: dict[str, Path] = {}
    notes: list[str] = []
    for group in several:
        name = "" if len(several) == 1 else f"-{group[0].name}"
        out = job.folder / f"comparison{name}" if name else job.folder
        sources = tuple(outcome.files["metrics"] for outcome in group)
        try:
            out.mkdir(parents=True, exist_ok=True)
            page = out / "comparison.html" if job.page else None
            result = run_comparison(ComparisonJob(sources, job.settings, out=out, page=page))
        except OpenloopError as error:
            notes.append(f"no comparison: {error}")
            continue
        for what, title in _COMPARISON.items():
            if what in result.files:
                files[title + name] = result.files[what]
    return files, notes
