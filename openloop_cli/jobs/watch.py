"""Beside a running training: each new complete checkpoint is rendered once.

A checkpoint is complete when its `done` marker is there, or, as copying may lose it, when none of
its files has changed for a while. Windows are chosen once, as soon as the replay holds enough, and
remembered in the folder: what comes later, and after a restart, is measured on the same steps.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from openloop_cli.checkpoints import find_checkpoint, find_checkpoints
from openloop_cli.errors import CheckpointError, OptionError, OutputError
from openloop_cli.jobs.batch import still_good
from openloop_cli.jobs.engines.local import run_local
from openloop_cli.jobs.loading import ReportJob, check_job
from openloop_cli.jobs.outcome import Event, OnEvent
from openloop_cli.jobs.plan import Item, make_items
from openloop_cli.jobs.records import recorded, remember_failure
from openloop_cli.jobs.selection import Selection, forget_windows
from openloop_cli.jobs.sources import Source
from openloop_cli.page.index import JSON_NAME, Index, write_index
from openloop_cli.results.outcome import DONE, FAILED, SKIPPED, WAITING, Outcome
from openloop_cli.storage.atomic import check_writable

# Seconds between two looks, and until a replay that was too short is opened again.
LOOK_EVERY, TRY_EVERY = 2.0, 20.0
# Seconds without a change after which files without a `done` marker count as complete.
SETTLED = 60.0


@dataclass(frozen=True)
class WatchJob:
    """What to watch, how to render it, and where to.

    Attributes:
      report_every: Seconds, as the reference's clocks take them: negative is always. Zero is
        never, and refused.
      until_step: Ends once a checkpoint of this step or a later one is rendered.
      once: Ends when all that is complete now is rendered; the clock is not asked.
      force: Choose windows anew, and so re-render every checkpoint that is still there.
    """

    run: Path
    replay: tuple[Path, ...]
    settings: ReportJob
    folder: Path
    kind: str = ".mp4"
    page: bool = True
    arrays: bool = False
    report_every: float = -1
    until_step: int | None = None
    once: bool = False
    force: bool = False
    config: Path | None = None


@dataclass
class Watch:
    """A watcher; `now` and `sleep` are the time that it lives in. At each look that finds nothing,
    `on_wait` is told what it waits for; `on_recall` what was rendered before a restart."""

    job: WatchJob
    on_event: OnEvent = lambda event: None
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    on_wait: Callable[[str], None] = lambda reason: None
    on_recall: Callable[[Outcome], None] = lambda outcome: None
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    _seen: dict[str, tuple[object, float]] = field(default_factory=dict)
    _ended: dict[str, object] = field(default_factory=dict)
    _not_before: float = 0

    def run(self) -> list[Outcome]:
        """Watches until its end; what became of each checkpoint.

        Raises:
          OpenloopError: What is wrong with an option or a folder.
        """
        self._check()
        if self.job.force:
            forget_windows(self.job.folder)
        self.selection = Selection(self.job.folder, patient=not self.job.once)
        clock = ReportClock(self.job.report_every, self.now)
        self._recall()
        while not self._reached():
            pending = self._pending()
            if pending and (self.job.once or clock.due()):
                every = self.job.once or self.job.report_every < 0
                self._render(pending if every else pending[-1:])
            if self.job.once or self._reached():
                break
            if not pending and self.now() >= self._not_before:  # else for the replay, as was told
                self.on_wait("the next complete checkpoint" if self.outcomes else "a checkpoint")
            self.sleep(LOOK_EVERY)
        self._write_index()
        return list(self.outcomes.values())

    def _check(self) -> None:
        job = self.job
        if job.report_every == 0:
            raise OptionError(
                "--report-every 0: zero means never, as it does in the reference",
                hint="-1 renders every checkpoint",
            )
        if math.isnan(job.report_every):
            raise OptionError("--report-every nan: expected seconds")
        if not job.run.exists():
            raise CheckpointError(f"{job.run}: no such folder", hint="give the run folder")
        if job.run.is_file():
            raise CheckpointError(
                f"{job.run}: expected a folder, found a file", hint="give the run folder"
            )
        if job.folder.exists() and not job.folder.is_dir():
            raise OutputError(f"{job.folder}: expected a folder, found a file")
        check_job(self._items([job.run])[0].job)
        check_writable(job.folder / JSON_NAME)

    def _recall(self) -> None:
        """What was rendered before a restart, also of checkpoints that are gone since."""
        for item in self._items(recorded(self.job.folder, self.job.run)):
            before = still_good(item, self.job.folder, self.selection)
            if before:
                self.outcomes[item.name] = before
                self._ended[item.name] = _signature(item.job.checkpoint)
                self.on_recall(before)

    def _pending(self) -> list[Item]:
        """Complete checkpoints that are still to be rendered, the oldest first."""
        if self.now() < self._not_before:
            return []
        try:
            folders = find_checkpoints(self.job.run)
        except CheckpointError:  # none yet, or the last one is just being replaced
            return []
        return [item for item in self._items(folders) if self._is_due(item)]

    def _is_due(self, item: Item) -> bool:
        folder = item.job.checkpoint
        signature = _signature(folder)
        if not signature or self._ended.get(item.name) == signature:
            return False
        if self._seen.get(item.name, (None,))[0] != signature:
            self._seen[item.name] = (signature, self.now())
        settled = self.now() >= self._seen[item.name][1] + SETTLED
        return settled or (folder / "done").exists()

    def _render(self, items: Sequence[Item]) -> None:
        before = {item.name: _signature(item.job.checkpoint) for item in items}
        rest = []
        for item in items:
            known = still_good(item, self.job.folder, self.selection)
            if known:
                self._end(item, known, before)
            else:
                rest.append(item)
        by_name = {item.name: item for item in rest}

        def end(event: Event) -> None:
            if event.outcome is not None:
                self._end(by_name[event.name], event.outcome, before)
            else:
                self.on_event(event)

        if rest:
            run_local(rest, self.job.folder, self.selection, end)
        self._write_index()

    def _end(self, item: Item, outcome: Outcome, before: dict[str, object]) -> None:
        """Takes note of how an item ended; where it may still come to something, of nothing."""
        if outcome.status == WAITING:
            self._not_before = self.now() + TRY_EVERY
        elif outcome.status == FAILED and _is_gone(item.job.checkpoint):
            outcome = Outcome(
                item.name, outcome.checkpoint, SKIPPED, notes=("deleted before it was read",)
            )
        else:
            self._ended[item.name] = before[item.name]
            self.outcomes[item.name] = outcome
            if outcome.status == FAILED:
                remember_failure(self.job.folder, item, outcome)
        self.on_event(Event(item.name, outcome.status, outcome))

    def _reached(self) -> bool:
        until = self.job.until_step
        steps = [x.step for x in self.outcomes.values() if x.status in (DONE, SKIPPED)]
        return until is not None and any(step is not None and step >= until for step in steps)

    def _write_index(self) -> None:
        if self.outcomes or self.selection.chosen:
            listed = [self.outcomes[name] for name in sorted(self.outcomes)]
            index = Index(listed, self.selection.chosen, redact=self.job.settings.redact)
            write_index(self.job.folder, index)

    def _items(self, folders: Sequence[Path]) -> list[Item]:
        job = self.job
        sources = [Source(folder, job.replay, job.config) for folder in folders]
        return make_items(
            sources, job.settings, job.folder, kind=job.kind, page=job.page, arrays=job.arrays
        )


class ReportClock:
    """When to report, with the meaning that the reference gives its clocks.

    Negative is always. Otherwise the clock starts now; it is due once `every` seconds have passed,
    and when it was, they begin anew. It is asked only when there is something to report, so that
    no turn is spent on nothing.
    """

    def __init__(self, every: float, now: Callable[[], float] = time.time) -> None:
        self.every, self._now, self._last = every, now, now()

    def due(self) -> bool:
        """Whether to report now; then the next time is `every` seconds from now."""
        if self.every < 0:
            return True
        if self.every == 0 or self._now() < self._last + self.every:
            return False
        self._last = self._now()
        return True


def _is_gone(folder: Path) -> bool:
    """Whether a checkpoint is no longer there, or no longer one."""
    try:
        return find_checkpoint(folder) != folder
    except CheckpointError:
        return True


def _signature(folder: Path) -> object:
    """Names, sizes and dates of a checkpoint's files; nothing when it is not there."""
    try:
        found = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    except OSError:
        return None
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)
