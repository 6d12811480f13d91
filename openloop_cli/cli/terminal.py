"""How the commands write to a terminal: results on stdout, messages and progress on stderr.

Keys, run names and paths come from files that anybody may have written. Everything goes through
`say` or a `safe_console`, which let no character of theirs act on the terminal; no Console is made
elsewhere.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from openloop_cli.text import message, visible

if TYPE_CHECKING:
    from rich.console import Console

    from openloop_cli.jobs.report import Progress


def say(line: str, *, style: str = "", lead: int = 0) -> None:
    """Write one line to stderr, unwrapped; its first `lead` characters in a style."""
    line = message(line)
    if sys.stderr.isatty():
        from rich.text import Text

        text = Text(line)
        text.stylize(style, 0, lead or len(line))
        safe_console(stderr=True).print(text, soft_wrap=True)
    else:
        _write(line + "\n")


def safe_console(**options: Any) -> "Console":
    """A console that shows text as it is: no markup, and no control characters in it."""
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.segment import Segment

    class Visible:
        """A renderable without characters that act; rich's own styles are no text."""

        def __init__(self, inner: RenderableType) -> None:
            self.inner = inner

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for text, style, control in console.render(self.inner, options):
                yield Segment(text if control else visible(text), style, control)

    class SafeConsole(Console):
        """Wraps whatever is printed."""

        def print(self, *objects: Any, **how: Any) -> None:
            super().print(*(x if isinstance(x, str) else Visible(x) for x in objects), **how)

        def render_str(self, text: str, **how: Any) -> Any:
            return super().render_str(visible(text), **how)

    return SafeConsole(markup=False, emoji=False, highlight=False, **options)


def results_console() -> "Console":
    """For results on stdout: as wide as the terminal, and never folded in a pipe or a file."""
    return safe_console(soft_wrap=True, width=None if sys.stdout.isatty() else 160)


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
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:14}"),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=safe_console(stderr=True), transient=True) as bar:
        # Ctrl-C may end the process at once: nobody would bring the cursor back.
        bar.console.show_cursor(True)
        task = bar.add_task("", total=1.0)
        yield lambda stage, done: bar.update(task, description=stage, completed=done)
