"""Ctrl-C and SIGTERM in commands that run for long: soon, and nothing half written."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from openloop_cli.cli.terminal import say

INTERRUPTED, TERMINATED = 130, 143
RESUME = "stopped; the same command resumes"


@contextmanager
def stopping_cleanly() -> Iterator[None]:
    """Both signals unwind the main thread; then the process ends, without waiting for a rollout
    that another thread is in the midst of."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except _Terminated:
        _leave(TERMINATED, RESUME)
    except KeyboardInterrupt:
        _leave(INTERRUPTED, RESUME)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """For one job: the signals' own default ends the process, in the midst of a compilation too,
    for whose end Python's own handler would wait. Only a file that is being written makes them
    unwind the stack (`storage.atomic`), and then no other thread is waited for."""
    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if main else ()
    before = {number: signal.getsignal(number) for number in numbers}
    ours = [number for number, found in before.items() if found not in (None, signal.SIG_IGN)]
    for number in ours:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    except SystemExit as stop:
        _leave(int(stop.code or 0), "stopped")
    finally:
        for number in ours:
            signal.signal(number, before[number])


class _Terminated(BaseException):
    """SIGTERM came."""


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    # Once is enough: a second one must not interrupt the cleaning up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Terminated


def _leave(code: int, line: str) -> NoReturn:
    say(line, style="dim")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
