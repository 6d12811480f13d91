"""Ctrl-C and SIGTERM wait while an item's results are written.

An exception that a signal raises in the midst of starting an encoder leaves the encoder without
anyone who knows of it, and its half written file with it. Writing takes seconds, so a signal waits
for its end; the second one does not.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Holds the first signal back until the body is done; the second ends the body.

    Does nothing outside the main thread, which is the one that signals come to.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, hold) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    if came:
        signal.raise_signal(came[0])
