"""`openloop serve`: one central logger for many processes."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

WHEN, BOUNDS = "Schedule", "Bounds"


def serve(
    address: Annotated[
        str,
        typer.Argument(
            metavar="HOST:PORT", help="A port alone is of 127.0.0.1", show_default=False
        ),
    ],
    *,
    log: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:TARGET",
            help="Where to write: jsonl:FOLDER, scope:FOLDER,\ntensorboard:FOLDER; repeatable",
        ),
    ] = None,
    folder: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder for what survives a restart"),
    ] = Path("openloop-serve"),
    multiplier: Annotated[
        int, typer.Option("--step-multiplier", metavar="N", min=1, help="Environment steps a row")
    ] = 1,
    log_every: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.1, help="Write so often", rich_help_panel=WHEN),
    ] = 30,
    save_every: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0.1, help="Save the step so often", rich_help_panel=WHEN
        ),
    ] = 60,
    episode_timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0.1,
            help="Drop the episode of an environment silent for so long",
            rich_help_panel=WHEN,
        ),
    ] = 180,
    max_message: Annotated[
        int, typer.Option(metavar="MB", min=1, help="Of one message", rich_help_panel=BOUNDS)
    ] = 128,
    max_queue: Annotated[
        int,
        typer.Option(
            metavar="MB", min=1, help="Of metrics that wait to be written", rich_help_panel=BOUNDS
        ),
    ] = 1024,
    max_connections: Annotated[
        int, typer.Option(metavar="N", min=1, help="At one time", rich_help_panel=BOUNDS)
    ] = 4096,
    status: Annotated[
        bool, typer.Option("--status", help="Show how the server there does")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The status as JSON")] = False,
) -> None:
    """Collect metrics and episodes of many processes.

    Takes the place of the logger of a parallel DreamerV3 run.
    Stops on Ctrl-C or SIGTERM, after all is written.
    """
    from openloop_cli.cli.terminal import say
    from openloop_cli.loggers.serve import address as parse
    from openloop_cli.serve.connection import Bounds
    from openloop_cli.serve.episodes import Limits
    from openloop_cli.serve.server import Every
    from openloop_cli.serve.service import Service, ask_status
    from openloop_cli.serve.service import serve as run

    host, port = parse(address)
    if status:
        _show(lambda: ask_status(host, port), as_json)
        return
    service = Service(
        host=host,
        port=port,
        logs=log or (),
        folder=folder,
        every=Every(log=log_every, save=save_every),
        bounds=Bounds(
            message_bytes=max_message << 20,
            queue_bytes=max_queue << 20,
            connections=max_connections,
        ),
        limits=Limits(timeout=episode_timeout),
        multiplier=multiplier,
    )
    run(service, say)


def _show(ask: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(ask(), indent=2))
        return
    if not sys.stdout.isatty():
        typer.echo("\n".join(_lines(ask(), None)))
        return
    from rich.live import Live

    from openloop_cli.cli.terminal import results_console

    console, before = results_console(), None
    with Live(console=console) as live:
        while True:
            found = ask()
            live.update("\n".join(_lines(found, before)))
            before = found
            time.sleep(1)


def _lines(found: dict[str, Any], before: dict[str, Any] | None) -> list[str]:
    since = before or {"rows": 0, "messages": 0, "seconds": 0}
    seconds = max(found["seconds"] - since["seconds"], 1e-3)
    rates = {key: (found[key] - since[key]) / seconds for key in ("rows", "messages")}
    dropped = ", ".join(f"{n:,} {kind}" for kind, n in found["dropped"].items()) or "nothing"
    queue = found["queue"]
    return [
        f"step      {found['step']:,}",
        f"clients   {found['connections']:,} ({found['connections_refused']:,} refused)",
        f"rows      {found['rows']:,} ({rates['rows']:,.0f}/s)",
        f"messages  {found['messages']:,} ({rates['messages']:,.0f}/s)",
        f"metrics   {found['metrics']:,} ({found['repeated']:,} messages came again)",
        f"episodes  {found['environments']:,} open",
        f"queue     {queue['entries']:,} entries, {queue['bytes'] / 1e6:.1f} MB",
        f"dropped   {dropped}",
        *(f"  {x['address']:24} {x['messages']:,} messages" for x in found["clients"][:20]),
    ]
