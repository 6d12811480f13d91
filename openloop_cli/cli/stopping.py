"""Ctrl-C and SIGTERM in commands that run for long: at once, and nothing half written."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from openloop_cli.cli.terminal import say

INTERRUPTED, TERMINATED = 130, 143


@contextmanager
def stopping_cleanly() -> Iterator[None]:
    """Both signals unwind the main thread, which removes what it was writing; then the process
    ends without waiting for a rollout that another thread is in the midst of."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except _Terminated:
        _leave(TERMINATED)
    except KeyboardInterrupt:
        _leave(INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class _Terminated(BaseException):
    """SIGTERM came."""


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    # Once is enough: a second one must not interrupt the cleaning up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Terminated


def _leave(code: int) -> NoReturn:
    say("stopped; run the same command again to go on", style="dim")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
