"""`--log` of the commands that make reports: what they wrote is logged once it is there."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from openloop_cli.cli.options import Logging

if TYPE_CHECKING:
    from openloop_cli.jobs.outcome import OnEvent
    from openloop_cli.loggers.report import ReportLog
    from openloop_cli.results.outcome import Outcome


class Log(NamedTuple):
    """What logs reports; nothing, without outputs.

    Attributes:
      reports: Takes metrics.json files.
      video: Takes an observation key and its video as soon as it is there, before its report.
    """

    reports: Callable[[Iterable[Path]], None] = lambda files: None
    video: Callable[[str, Path], None] = lambda key, video: None


@contextmanager
def log_reports(
    options: Logging, *, several_runs: bool | None = None, folder: Path | None = None
) -> Iterator[Log]:
    """Gives what logs reports. Its end waits for the outputs, and nothing is loaded without them.

    Args:
      several_runs: Put the run's name before each name; by default where the files that are logged
        together are of several runs.
      folder: Of a batch, which remembers what was logged: an output gets each report once.

    Raises:
      OpenloopError: An output that cannot be used, before anything is computed; at the end, what
        failed.
    """
    if not options.log:
        yield Log()
        return
    from openloop_cli.jobs.records import FOLDER
    from openloop_cli.loggers.ledger import Ledger
    from openloop_cli.results.metrics_file import read_metrics

    ledger = Ledger(folder / FOLDER / "logged") if folder else None
    with open_log(options) as found:
        yield Log(
            lambda files: found.take(((read_metrics(x), x) for x in files), several_runs, ledger),
            found.expect,
        )


def open_log(options: Logging) -> "AbstractContextManager[ReportLog]":
    """The outputs, as `report_log`."""
    from openloop_cli.cli.terminal import say
    from openloop_cli.loggers.report import report_log

    return report_log(
        options.log or (), keep=options.log_filter, multiplier=options.step_multiplier, tell=say
    )


def logged_events(on_event: "OnEvent", log: Log) -> "OnEvent":
    """Also logs each report, those that were there before too: a kill may have come between."""
    from openloop_cli.jobs.outcome import Event

    def told(event: Event) -> None:
        on_event(event)
        if event.outcome:
            log_outcome(log, event.outcome)

    return told


def log_outcome(log: Log, outcome: "Outcome") -> None:
    """Logs the report of an item that has one."""
    from openloop_cli.results.outcome import DONE, SKIPPED

    if outcome.status in (DONE, SKIPPED) and "metrics" in outcome.files:
        log.reports([outcome.files["metrics"]])
