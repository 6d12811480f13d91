"""`openloop inspect`: what a run folder, a checkpoint or a replay contains."""

from typing import Annotated

import typer

from openloop_cli.cli import options as o


def inspect(
    path: Annotated[
        o.Place,
        typer.Argument(
            metavar="PATH",
            parser=o.path,
            help="Run folder, checkpoint folder, agent.pkl, replay folder\nor chunk",
            show_default=False,
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON")] = False,
) -> None:
    """Show what a run, checkpoint or replay contains."""
    # Imported here: `openloop --help` needs none of it.
    from openloop_cli.inspection import inspect_path

    found = inspect_path(path)
    if json:
        from dataclasses import asdict
        from json import dumps

        typer.echo(dumps(asdict(found), indent=2, allow_nan=False))
    else:
        from openloop_cli.cli.inspect_text import print_inspection

        print_inspection(found)
