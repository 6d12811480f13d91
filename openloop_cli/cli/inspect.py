"""`openloop inspect`: what a checkpoint, a replay or a run folder holds."""

from typing import Annotated

import typer

from openloop_cli.cli import options as o


def inspect(
    path: Annotated[
        o.Place,
        typer.Argument(
            metavar="PATH",
            parser=o.path,
            help="A run folder, a checkpoint (folder or agent.pkl), a replay folder, or a chunk.",
            show_default=False,
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
) -> None:
    """Tell what a checkpoint, a replay or a run folder holds, without loading it."""
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
