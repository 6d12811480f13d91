"""`openloop plot`: one or more metrics.json files -> curves as SVG or PNG."""

from typing import Annotated

import typer

from openloop_cli.cli.options import Metrics, Place, Quiet, path


def plot(
    metrics: Metrics,
    out: Annotated[
        Place,
        typer.Option(
            "--out",
            "-o",
            parser=path,
            metavar="FILE",
            help="Curves .svg, or .png with openloop[plot] (required)",
        ),
    ],
    keys: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Observation keys, comma-separated", show_default="all"),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Plot error, skill, reward and more against steps.

    One file is drawn with its baselines, several with one line each.
    """
    from openloop_cli.draw.curves import Named, charts
    from openloop_cli.draw.curves.trees import observation_kinds
    from openloop_cli.encode.plots import write_plots
    from openloop_cli.errors import MetricsError
    from openloop_cli.page.words import labels_of, name_of
    from openloop_cli.results.metrics_file import read_metrics

    trees = [read_metrics(file) for file in metrics]
    entries = [Named(tree, label) for tree, label in zip(trees, labels_of(trees), strict=True)]
    wanted = [part.strip() for part in keys.split(",") if part.strip()] if keys else []
    known = observation_kinds(entries)
    for key in wanted:
        if key not in known:
            raise MetricsError(f"key {key!r}: the metrics hold {', '.join(known)}")
    drawn = charts(entries, wanted)
    if not drawn:
        raise MetricsError(f"{metrics[0]}: holds no curves", hint="render it again")
    heading = f"{name_of(trees[0])}: {', '.join(entry.label for entry in entries)}"
    write_plots(out, drawn, heading)
    if not quiet:
        typer.echo(out)
