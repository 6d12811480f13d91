"""`openloop table`: metrics.json files -> one long table, for pandas, R or a spreadsheet."""

from typing import Annotated

import typer

from openloop_cli.cli.options import Metrics, Place, Quiet, path


def table(
    metrics: Metrics,
    out: Annotated[
        Place | None,
        typer.Option(
            "--out",
            "-o",
            parser=path,
            metavar="FILE",
            help="Table .csv, or .parquet with openloop[parquet]",
            show_default="CSV on stdout, as with -",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Put the numbers of metrics.json files into one table.

    A row for each number: run, step, key, metric, path, lead, value, low, high.
    """
    from openloop_cli.errors import OptionError
    from openloop_cli.results.metrics_file import read_metrics
    from openloop_cli.results.table import csv_text, metrics_rows, parquet_bytes
    from openloop_cli.storage.atomic import write_bytes

    out = None if out is not None and str(out) == "-" else out
    kind = out.suffix.lower() if out else ".csv"
    if kind not in (".csv", ".parquet"):
        raise OptionError(f"--out {out}: unsupported extension", hint="use .csv or .parquet")
    rows = (row for file in metrics for row in metrics_rows(read_metrics(file)))
    if out is None:
        typer.echo(csv_text(rows), nl=False)
        return
    write_bytes(out, csv_text(rows).encode() if kind == ".csv" else parquet_bytes(rows))
    if not quiet:
        typer.echo(out)
