"""Stdout for tables: as wide as the terminal, or, in a pipe or a log, as wide as they are."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from openloop_cli.cli.terminal import safe_console

_WIDE = 4096


@contextmanager
def stdout() -> Iterator[Console]:
    """A console whose lines end where their words end when nobody looks at them."""
    if sys.stdout.isatty():
        yield safe_console()
        return
    console = safe_console(width=_WIDE)
    with console.capture() as capture:
        yield console
    sys.stdout.write("\n".join(line.rstrip() for line in capture.get().split("\n")))
    sys.stdout.flush()
