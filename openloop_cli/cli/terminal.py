"""What the commands share in talking: stderr for people, a progress bar on a terminal only."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from openloop_cli.jobs.report import Progress


def say(line: str, *, style: str = "", lead: int = 0) -> None:
    """A line to stderr, whole and unwrapped; its first `lead` characters in a style."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.text import Text

        text = Text(line)
        text.stylize(style, 0, lead or len(line))
        Console(stderr=True).print(text, soft_wrap=True)
    else:
        _write(line + "\n")


def results_console() -> "Console":
    """For results on stdout: as wide as the terminal, and never folded in a pipe or a file."""
    from rich.console import Console

    return Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 160)


@contextmanager
def progress_on_stderr(quiet: bool) -> Iterator["Progress"]:
    """A bar when stderr is a terminal, plain lines when it is not, nothing when quiet."""
    if quiet:
        yield lambda stage, done: None
    elif sys.stderr.isatty():
        with _bar() as progress:
            yield progress
    else:
        yield _plain_lines()


def _write(text: str) -> None:
    # A log on a disk that is full must not end the work.
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _plain_lines() -> "Progress":
    last = ""

    def progress(stage: str, done: float) -> None:
        nonlocal last
        if stage != last and stage != "done":
            _write(f"{stage} …\n")
        last = stage

    return progress


@contextmanager
def _bar() -> Iterator["Progress"]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:14}"),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        # Ctrl-C may end the process at once: nobody would bring the cursor back.
        bar.console.show_cursor(True)
        task = bar.add_task("", total=1.0)
        yield lambda stage, done: bar.update(task, description=stage, completed=done)
