"""`openloop log`: reports that exist already -> the places where people look."""

import typer

from openloop_cli.cli import options as o


@o.with_options
def log(metrics: o.Metrics, *, logging: o.Logging, quiet: o.Quiet = False) -> None:
    """Put reports into TensorBoard, Scope or JSON lines.

    Numbers and videos of each metrics.json, at its checkpoint's step.
    """
    from openloop_cli.cli.terminal import say
    from openloop_cli.errors import OptionError
    from openloop_cli.loggers.report import report_logger
    from openloop_cli.results.metrics_file import read_metrics
    from openloop_cli.text import plural

    if not logging.log:
        raise OptionError("--log is missing", hint="such as --log tensorboard:FOLDER")
    reports = [(read_metrics(file), file) for file in metrics]
    with report_logger(
        logging.log, keep=logging.log_filter, multiplier=logging.step_multiplier, tell=say
    ) as found:
        found.take(reports)
    if not quiet:
        typer.echo(f"logged {plural(len(reports), 'report')}: {', '.join(logging.log)}")
