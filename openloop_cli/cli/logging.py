"""`--log` of the commands that make reports: what they wrote is logged once it is there."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from openloop_cli.cli.options import Logging

if TYPE_CHECKING:
    from openloop_cli.jobs.outcome import OnEvent

Log = Callable[[Iterable[Path]], None]
"""Logs metrics.json files; nothing, without outputs."""


@contextmanager
def log_reports(options: Logging, *, several_runs: bool | None = None) -> Iterator[Log]:
    """Gives what logs reports. Its end waits for the outputs, and nothing is loaded without them.

    Args:
      several_runs: Put the run's name before each name; by default where the files that are logged
        together are of several runs.

    Raises:
      OpenloopError: An output that cannot be used, before anything is computed; at the end, what
        failed.
    """
    if not options.log:
        yield lambda files: None
        return
    from openloop_cli.cli.terminal import say
    from openloop_cli.loggers.report import report_log
    from openloop_cli.results.metrics_file import read_metrics

    logging = report_log(
        options.log, keep=options.log_filter, multiplier=options.step_multiplier, tell=say
    )
    with logging as found:
        yield lambda files: found.take(((read_metrics(x), x) for x in files), several_runs)


def logged_events(on_event: "OnEvent", log: Log) -> "OnEvent":
    """Also logs each report that was made just now; those that were there before have been."""
    from openloop_cli.jobs.outcome import Event
    from openloop_cli.results.outcome import DONE

    def told(event: Event) -> None:
        on_event(event)
        if event.outcome and event.outcome.status == DONE:
            log([event.outcome.files["metrics"]])

    return told
