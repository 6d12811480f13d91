"""One worker of `--parallel checkpoints`: a process that renders what it is handed, as
`run_local` does, three stages at once.

It asks for a checkpoint whenever it has room for one, and tells what becomes of each. It ends when
there is none left, when SIGTERM comes (what is being written is finished first), and with whoever
started it.
"""

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock, Thread
from types import FrameType
from typing import NoReturn

from openloop_cli.jobs.engines.devices import Share
from openloop_cli.jobs.engines.local import run_local
from openloop_cli.jobs.engines.spawning import obey
from openloop_cli.jobs.outcome import Event
from openloop_cli.jobs.plan import Item
from openloop_cli.jobs.selection import Selection

NEXT = "next"
"""What a worker says when it has room for an item."""

DONE, BUG, STOPPED = 0, 70, 143
"""How a worker ends by itself: done; by our own mistake, with a traceback; when told to."""


def work(pipe: Connection, share: Share, folder: Path, force: bool) -> NoReturn:
    """What a worker's process does; it is handed items, or None at the end."""
    code = BUG
    try:
        obey(_stop)
        _settle(share)
        Thread(target=_end_with_parent, daemon=True).start()
        desk = _Desk(pipe)
        run_local(desk.items(), folder, Selection(folder), desk.tell, force=force)
        code = DONE
    except _Stopped:
        code = STOPPED
    finally:
        if code == BUG:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        # Threads that wait for the next item, or for a rollout, are not waited for.
        os._exit(code)


class _Desk:
    """The worker's end of the pipe, for all of its threads."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._sending = pipe, Lock()

    def items(self) -> Iterator[Item]:
        """What there is to do, asked for one by one."""
        while True:
            self._send(NEXT)
            try:
                item = self._pipe.recv()
            except (EOFError, OSError):
                return
            if item is None:
                return
            yield item

    def tell(self, event: Event) -> None:
        """Passes an event on."""
        self._send(event)

    def _send(self, message: object) -> None:
        # Where nobody listens any more, `_end_with_parent` ends it.
        with self._sending, suppress(OSError):
            self._pipe.send(message)


class _Stopped(BaseException):
    """SIGTERM came."""


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Stopped


def _settle(share: Share) -> None:
    """Before anything starts jax, which counts cores and devices once."""
    os.environ.update(share.environment)
    if share.cores and hasattr(os, "sched_setaffinity"):
        # Cores that were taken away meanwhile: the scheduler will find others.
        with suppress(OSError):
            os.sched_setaffinity(0, share.cores)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        signal.raise_signal(signal.SIGTERM)
