"""Items on this machine: one process, one compilation for each architecture, three stages at once.

    reader thread          rollout thread           two threads        main thread
    reads checkpoint n+1   rolls out checkpoint n   measure it, film   draws, encodes n-1
                                                    it for its page

Between two stages there is room for one thing, and a stage asks for that room before it begins:
at most two checkpoints' parameters and two reports are in memory, however many items there are.
Writing stays in the main thread, to which signals come: they wait until an item is written.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from threading import Event as Flag
from threading import Semaphore
from typing import Generic, TypeVar

from openloop_cli.cache import cache_note
from openloop_cli.errors import OpenloopError
from openloop_cli.jobs.loading import Loaded, ReportJob
from openloop_cli.jobs.memory import share_heaps, trim
from openloop_cli.jobs.outcome import STAGES, Event, OnEvent, failed, finished
from openloop_cli.jobs.plan import Item
from openloop_cli.jobs.records import Identity, forget, identify, made_from, write_record
from openloop_cli.jobs.report import Clock, RolledOut, roll_out_job, write_job
from openloop_cli.jobs.selection import Selection
from openloop_cli.jobs.signals import signals_wait
from openloop_cli.results.outcome import Outcome
from openloop_cli.run import params_sha256

T = TypeVar("T")

EXPECTED = (OpenloopError, OSError, MemoryError)
"""What makes one item fail and lets the others go on; anything else is our own bug."""


@dataclass(frozen=True)
class _Read:
    """An item whose inputs are in memory; `job` names its windows."""

    item: Item
    job: ReportJob
    identity: Identity
    loaded: Loaded
    clock: Clock


@dataclass(frozen=True)
class _RolledOut:
    """An item whose rollout is in memory."""

    item: Item
    job: ReportJob
    identity: Identity
    rolled_out: RolledOut
    clock: Clock


def run_local(
    items: Iterable[Item],
    folder: Path,
    selection: Selection,
    on_event: OnEvent,
    *,
    force: bool = False,
) -> list[Outcome]:
    """Renders all items, in order.

    Args:
      folder: Where the records go.
      force: Also redo what was made before from the same parameters.
    """
    share_heaps()
    line = _Line(folder, selection, on_event, force)
    pool = ThreadPoolExecutor(2, thread_name_prefix="openloop-batch")
    workers = [pool.submit(line.read_all, items), pool.submit(line.roll_out_all)]
    try:
        return line.write_all(workers)
    finally:
        line.stop()
        # What runs inside a compiled rollout cannot be stopped; nobody waits for it here.
        pool.shutdown(wait=False, cancel_futures=True)


class _Line:
    """The three stages of a batch and what lies between them."""

    def __init__(self, folder: Path, selection: Selection, on_event: OnEvent, force: bool) -> None:
        self.folder, self.selection, self.on_event, self.force = folder, selection, on_event, force
        self.stopped = Flag()
        self.read: _Belt[_Read | Outcome | None] = _Belt()
        self.rolled_out: _Belt[_RolledOut | Outcome | None] = _Belt()

    def read_all(self, items: Iterable[Item]) -> None:
        """The reader thread. None is put at the end, whatever ends it."""
        try:
            for item in items:
                self.read.await_room()
                if self.stopped.is_set():
                    return
                self.read.put(self._read(item))
        finally:
            self.read.put(None)

    def roll_out_all(self) -> None:
        """The rollout thread."""
        try:
            while not self.stopped.is_set():
                self.rolled_out.await_room()
                work = self.read.take()
                if work is None or self.stopped.is_set():
                    return
                self.rolled_out.put(self._roll_out(work))
                del work  # the parameters, while this waits for the next
        finally:
            self.rolled_out.put(None)

    def write_all(self, workers: Sequence["Future[None]"]) -> list[Outcome]:
        """The main thread: what became of each item."""
        outcomes = []
        while (work := self.rolled_out.take()) is not None:
            with signals_wait():
                outcome = self._write(work)
            del work
            trim()
            self.on_event(Event(outcome.name, outcome.status, outcome))
            outcomes.append(outcome)
        self.stop()  # where one thread died, the other may still wait for it
        for worker in workers:
            worker.result()  # raises what was not foreseen
        return outcomes

    def stop(self) -> None:
        """Lets both threads end as soon as they can."""
        self.stopped.set()
        self.read.put(None)
        for belt in (self.read, self.rolled_out):
            belt.make_room()

    def _read(self, item: Item) -> _Read | Outcome:
        clock = Clock(self._teller(item))
        try:
            with clock.stage("open", 0):
                identity = identify(item.job)
                job, run = self.selection.open(item.job)
            with clock.stage("read", 0):
                loaded = self.selection.load(job, run)
                before = None if self.force else self._same_as_before(item, identity, loaded)
            if before is not None:
                write_record(self.folder, item, identity, before)
                return before
        except EXPECTED as error:
            return failed(item, error)
        return _Read(item, job, identity, loaded, clock)

    def _same_as_before(self, item: Item, identity: Identity, loaded: Loaded) -> Outcome | None:
        """Results of the same parameters under another date, as copying leaves it."""
        before = self.selection.earlier(item)
        known = made_from(self.folder, item).get("config")
        if before is None or not before.sha256 or known != identity["config"]:
            return None
        return before if before.sha256 == params_sha256(loaded.params) else None

    def _roll_out(self, work: _Read | Outcome) -> _RolledOut | Outcome:
        if isinstance(work, Outcome):
            return work
        note = cache_note() if work.job.cache else None
        loaded = replace(work.loaded, notes=(note,)) if note else work.loaded
        try:
            rolled_out = roll_out_job(work.job, loaded, work.clock)
        except EXPECTED as error:
            return failed(work.item, error)
        return _RolledOut(work.item, work.job, work.identity, rolled_out, work.clock)

    def _write(self, work: _RolledOut | Outcome) -> Outcome:
        if isinstance(work, Outcome):
            return work
        try:
            forget(self.folder, work.item)
            result = write_job(work.job, work.rolled_out, work.clock)
            outcome = finished(work.item, result.metrics, result.files)
            write_record(self.folder, work.item, work.identity, outcome)
        except EXPECTED as error:
            return failed(work.item, error)
        return outcome

    def _teller(self, item: Item) -> Callable[[str, float], None]:
        """Tells each stage of an item, in the words of a batch, once."""
        last = ""

        def progress(stage: str, done: float) -> None:
            nonlocal last
            if STAGES.get(stage, last) != last:
                last = STAGES[stage]
                self.on_event(Event(item.name, last))

        return progress


class _Belt(Generic[T]):
    """Carries things from one stage to the next, with room for one that waits or is being made."""

    def __init__(self) -> None:
        self._room = Semaphore(1)
        self._things: SimpleQueue[T] = SimpleQueue()

    def await_room(self) -> None:
        """Before a thing is begun: waits until the last one was taken."""
        self._room.acquire()

    def make_room(self) -> None:
        """Lets whoever waits for room go on."""
        self._room.release()

    def put(self, thing: T) -> None:
        """Hands a thing over."""
        self._things.put(thing)

    def take(self) -> T:
        """The next thing, once there is one."""
        thing = self._things.get()
        self._room.release()
        return thing
