"""`--log` of the commands that make reports: what they wrote is logged once it is there."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from openloop_cli.cli.options import Logging

if TYPE_CHECKING:
    from openloop_cli.jobs.report import JobResult


@contextmanager
def log_reports(options: Logging) -> Iterator[Callable[[Sequence["JobResult"]], None]]:
    """Gives what logs results. Its end waits for the outputs, and nothing is loaded without them.

    Raises:
      OpenloopError: An output that cannot be used, before anything is computed; at the end, which
        of them failed.
    """
    if not options.log:
        yield lambda results: None
        return
    from openloop_cli.cli.terminal import say
    from openloop_cli.loggers.report import report_logger

    with report_logger(
        options.log, keep=options.log_filter, multiplier=options.step_multiplier, tell=say
    ) as found:
        yield lambda results: found.take((x.metrics, x.files["metrics"]) for x in results)
