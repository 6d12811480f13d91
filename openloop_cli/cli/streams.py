"""The three standard streams, as hostile surroundings leave them: closed, full, or not UTF-8."""

import errno
import io
import os
import sys

STREAM_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


def prepare_streams() -> None:
    """Makes all three usable: where one is closed nothing is said, and a character that the
    terminal's encoding does not have becomes a question mark."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # Else the next file that is opened would get this number, and be written to.
            _to_devnull(number)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def drop_stdout() -> None:
    """What still waits to be written goes nowhere, so that Python does not fail on leaving."""
    _to_devnull(1)


def _to_devnull(number: int) -> None:
    found = os.open(os.devnull, os.O_RDWR)
    if found != number:
        os.dup2(found, number)
        os.close(found)
