"""Items on this machine, each by one of several processes with a device of its own.

The same stages as `local.py`, in workers that are spawned, never forked. This process chooses the
windows, hands the items out as they are asked for, and starts no device itself. Where a worker
dies, another takes its place; the items that it had (up to one in each stage) are rendered again,
each by a worker that has no other, so that the second death tells which of them it is.
"""

import signal
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from openloop_cli.errors import OpenloopError
from openloop_cli.jobs.batch import Engine
from openloop_cli.jobs.engines.devices import Share, find_shares
from openloop_cli.jobs.engines.local import EXPECTED
from openloop_cli.jobs.engines.spawning import spawn
from openloop_cli.jobs.engines.worker import BUG, DONE, NEXT, work
from openloop_cli.jobs.outcome import Event, OnEvent, failed
from openloop_cli.jobs.plan import Item
from openloop_cli.jobs.selection import Selection
from openloop_cli.jobs.signals import signals_wait
from openloop_cli.results.outcome import Outcome

# For what is being written when the workers are told to stop.
GRACE_SECONDS = 30.0
# Workers that died before they asked for anything: then something is wrong with all of them.
FALSE_STARTS = 3


def parallel_engine(device: str | None, workers: int | None = None) -> Engine:
    """An engine for `run_batch`: `--parallel checkpoints`.

    Args:
      device, workers: As in `find_shares`, which is asked once there is something to do.
    """

    def engine(
        items: Sequence[Item], folder: Path, selection: Selection, on_event: OnEvent, force: bool
    ) -> list[Outcome]:
        shares = find_shares(device, workers)
        crew = _Crew(items, folder, selection, on_event, force)
        try:
            return crew.run(shares)
        finally:
            crew.stop()

    return engine


@dataclass
class _Worker:
    """A worker as it is seen from here.

    Attributes:
      has: The items that it was handed and has not told the end of.
      alone: It renders a single item, whose other worker died.
      asked: It has come so far as to ask for an item.
    """

    process: BaseProcess
    pipe: Connection
    share: Share
    alone: bool
    has: dict[str, Item] = field(default_factory=dict)
    asked: bool = False


class _Crew:
    """The workers of a batch and what is left to do."""

    def __init__(
        self,
        items: Sequence[Item],
        folder: Path,
        selection: Selection,
        on_event: OnEvent,
        force: bool,
    ) -> None:
        self.items, self.folder, self.selection = items, folder, selection
        self.on_event, self.force = on_event, force
        self.waiting = deque(items)
        self.again: deque[Item] = deque()
        self.workers: list[_Worker] = []
        self.false_starts = 0
        self.notes: dict[str, str] = {}
        self.outcomes: dict[str, Outcome] = {}

    def run(self, shares: Sequence[Share]) -> list[Outcome]:
        """What became of each item, in their order."""
        for share in shares[: len(self.items)]:
            self._start(share)
        while self.workers:
            pipes = [worker.pipe for worker in self.workers]
            for ready in wait(pipes):
                worker = next(x for x in self.workers if x.pipe is ready)
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):  # also in the midst of a message
                    self._ended(worker)
                    continue
                self._take(worker, message)
        return [self.outcomes[item.name] for item in self.items]

    def stop(self) -> None:
        """Lets no worker outlive this, whatever ended it."""
        try:
            for worker in self.workers:
                worker.process.terminate()
            end = time.monotonic() + GRACE_SECONDS
            for worker in self.workers:
                worker.process.join(max(0, end - time.monotonic()))
        finally:
            # Also where a second Ctrl-C does not wait.
            for worker in self.workers:
                worker.process.kill()
            for worker in self.workers:
                worker.process.join()

    def _start(self, share: Share) -> None:
        """A worker with this share, if there is something to do."""
        if not (self.waiting or self.again):
            return
        alone = not self.waiting
        has = {item.name: item for item in [self.again.popleft()]} if alone else {}
        with signals_wait():  # until it is known, and can be told to stop
            process, pipe = spawn(work, share, self.folder, self.force)
            self.workers.append(_Worker(process, pipe, share, alone, has))

    def _take(self, worker: _Worker, message: object) -> None:
        """A worker asks for an item, or tells of one."""
        if message == NEXT:
            item = self._next(worker)
            worker.asked = True
            with suppress(OSError):  # where it died, its end of the pipe tells so next
                worker.pipe.send(item)
        elif isinstance(message, Event):
            if message.outcome is None:
                self.on_event(message)
            else:
                worker.has.pop(message.name, None)
                self._end(message.outcome)

    def _next(self, worker: _Worker) -> Item | None:
        if worker.alone:
            return None if worker.asked else next(iter(worker.has.values()))
        while self.waiting:
            item = self.waiting.popleft()
            try:
                job, _ = self.selection.open(item.job)
            except EXPECTED as error:
                self._end(failed(item, error))
                continue
            # The windows come along, so that all workers measure the same.
            item = replace(item, job=job)
            worker.has[item.name] = item
            return item
        return None

    def _ended(self, worker: _Worker) -> None:
        """A worker is gone: done, or dead with what it had."""
        self.workers.remove(worker)
        worker.pipe.close()
        worker.process.join()
        code = worker.process.exitcode or DONE
        if code == BUG:
            raise RuntimeError("a worker ended by an error of its own; its traceback is above")
        if not worker.asked:
            self.false_starts += 1
        if self.false_starts > FALSE_STARTS:
            raise OpenloopError(
                f"a worker on {worker.share.name} ended as it started: {_reason(code)}",
                hint="use --parallel windows",
            )
        for item in worker.has.values():
            if worker.alone and worker.asked:
                self._end(failed(item, _death(code)))
            else:
                self.again.append(item)
                self.notes[item.name] = f"its worker died ({_reason(code)}); rendered again"
        self._start(worker.share)

    def _end(self, outcome: Outcome) -> None:
        """Takes an item's outcome in, and tells of it."""
        if outcome.name in self.notes and not outcome.error:
            outcome = replace(outcome, notes=(*outcome.notes, self.notes[outcome.name]))
        self.outcomes[outcome.name] = outcome
        self.on_event(Event(outcome.name, outcome.status, outcome))


def _death(code: int) -> OpenloopError:
    hint = "it may have run out of memory: use fewer --workers, --num-windows or --samples"
    return OpenloopError(f"its worker died twice: {_reason(code)}", hint=hint)


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
