"""The progress of a batch, for people: a live table on a terminal, a line for each elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from openloop_cli.cli.terminal import safe_console, say
from openloop_cli.jobs.outcome import Event, OnEvent
from openloop_cli.page.words import measured
from openloop_cli.results.outcome import DONE, FAILED, SKIPPED, WAITING, Outcome

if TYPE_CHECKING:
    from rich.table import Table


class Tally:
    """Where each item is, and how fast they come."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.stage: dict[str, str] = {}
        self.count = {DONE: 0, SKIPPED: 0, FAILED: 0}
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def add(self, event: Event) -> None:
        """Takes an event in; from any thread."""
        with self._lock:
            if event.outcome is None:
                self.stage[event.name] = event.stage
            else:
                self.stage.pop(event.name, None)
                self.count[event.stage] = self.count.get(event.stage, 0) + 1

    @property
    def ended(self) -> int:
        """Items that came to an end."""
        return sum(self.count.values())

    def under_way(self) -> list[tuple[str, str]]:
        """Names and stages of what is being worked on, the farthest first."""
        with self._lock:
            return list(self.stage.items())

    def summary(self) -> str:
        """Such as `3 of 8, 1 failed, 14 a minute, 0:21 left`."""
        parts = [f"{self.ended} of {self.total}"]
        parts += [f"{self.count[s]} {s}" for s in (SKIPPED, FAILED) if self.count[s]]
        worked = self.count[DONE] + self.count[FAILED]
        passed = time.monotonic() - self._started
        if worked and passed > 0:
            minutes, seconds = divmod(round(passed / worked * (self.total - self.ended)), 60)
            parts += [f"{60 * worked / passed:.3g} a minute", f"{minutes}:{seconds:02} left"]
        return ", ".join(parts)


@contextmanager
def batch_view(total: int, quiet: bool) -> Iterator[OnEvent]:
    """What to tell of each event: all on stderr; failures even when quiet."""
    tally = Tally(total)
    if quiet:
        yield lambda event: _tell_failure(event.outcome)
    elif sys.stderr.isatty():
        with _live(tally) as on_event:
            yield on_event
    else:
        yield lambda event: _plain(tally, event)


def outcome_line(outcome: Outcome) -> str:
    """Such as `done  run-a  step 12,000  image 23.1 dB  4.2 s`."""
    if outcome.status == FAILED:
        return f"failed   {outcome.name}: {outcome.error}"
    parts = [f"{outcome.status:8} {outcome.name}"]
    parts += [] if outcome.step is None else [f"step {outcome.step:,}"]
    parts += [
        f"{key} {measured(numbers.get('imagined'), numbers.get('metric', ''))}"
        for key, numbers in outcome.headline.items()
    ]
    if outcome.status == DONE:
        parts.append(f"{outcome.seconds:.1f} s")
    return " ".join(["  ".join(parts), *(f"({note})" for note in outcome.notes)])


def _tell_failure(outcome: Outcome | None) -> None:
    if outcome is not None and outcome.status == FAILED:
        say(outcome_line(outcome), style="bold red", lead=len(FAILED))


def _plain(tally: Tally, event: Event) -> None:
    tally.add(event)
    if event.outcome is not None:
        say(f"[{tally.ended}/{tally.total}] {outcome_line(event.outcome)}")


@contextmanager
def _live(tally: Tally) -> Iterator[OnEvent]:
    from rich.live import Live
    from rich.text import Text

    console = safe_console(stderr=True)
    with Live(
        get_renderable=lambda: _table(tally), console=console, transient=True, refresh_per_second=5
    ) as live:

        def on_event(event: Event) -> None:
            tally.add(event)
            if event.outcome is not None:
                style = "red" if event.outcome.status == FAILED else ""
                text = Text(outcome_line(event.outcome), style)
                live.console.print(text, soft_wrap=True)

        yield on_event


def _table(tally: Tally) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for name, stage in tally.under_way():
        table.add_row(Text(stage, "cyan"), Text(name, overflow="ellipsis", no_wrap=True))
    table.add_row(Text("", "dim"), Text(tally.summary(), "dim"))
    return table


def watch_view(quiet: bool) -> OnEvent:
    """A line for each checkpoint that came to its end; what it waits for is told once."""
    told: set[str] = set()

    def on_event(event: Event) -> None:
        outcome = event.outcome
        if outcome is None or (quiet and outcome.status != FAILED):
            return
        line = outcome_line(outcome)
        if outcome.status == WAITING:
            line = f"waiting  {outcome.error}"
        if outcome.status != WAITING or line not in told:
            told.add(line)
            say(line)

    return on_event
