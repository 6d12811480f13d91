"""Processes of our own: spawned, never forked after jax, each with a pipe to whoever started it."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from openloop_cli.jobs.signals import signals_wait

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def spawn(target: Callable[..., None], *args: Any) -> tuple[BaseProcess, Connection]:
    """Starts `target(pipe, *args)`; the process and our end of the pipe, which ends with it.

    It is born with both signals blocked, so that none ends it with a traceback before it has
    handlers. Ctrl-C on a terminal, which goes to all processes there, it never hears of.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, *args), daemon=True)
    # Signals wait here, too: one in the midst would leave a process that nobody knows of.
    with signals_wait(), _blocked():
        process.start()
    theirs.close()
    return process, ours


def obey(handler: Callable[..., Any]) -> None:
    """In a spawned process: from now on SIGTERM calls the handler."""
    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where nothing can be blocked
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGINT})


@contextmanager
def _blocked() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its own start, within the first process's, unblocks them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
