"""`openloop log`: reports that exist already -> the places where people look."""

import typer

from openloop_cli.cli import options as o


@o.with_options
def log(metrics: o.Metrics, *, logging: o.Logging, quiet: o.Quiet = False) -> None:
    """Put reports into TensorBoard, W&B and the like.

    Numbers and videos of each metrics.json, at its checkpoint's step.
    """
    from openloop_cli.cli.logging import open_log
    from openloop_cli.errors import OptionError
    from openloop_cli.results.metrics_file import read_metrics
    from openloop_cli.text import plural

    if not logging.log:
        raise OptionError("--log is missing", hint="such as --log tensorboard:FOLDER")
    # First, so that a file that is none costs no output.
    reports = [(read_metrics(path), path) for path in metrics]
    with open_log(logging) as opened:
        opened.take(reports)
    if not quiet:
        typer.echo(f"logged {plural(len(metrics), 'report')}: {', '.join(logging.log)}")
