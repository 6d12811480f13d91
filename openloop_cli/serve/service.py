"""`openloop serve` from options to the end of the service, and the question of how it does."""

import asyncio
import json
import os
import resource
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openloop_cli import wire
from openloop_cli.errors import OptionError, RemoteError
from openloop_cli.loggers import Output, make_output
from openloop_cli.loggers.serve import TOKEN
from openloop_cli.serve.connection import Bounds
from openloop_cli.serve.episodes import Entry, Limits
from openloop_cli.serve.server import Every, Server
from openloop_cli.serve.state import State


@dataclass(frozen=True, kw_only=True)
class Service:
    """One server, as its options say it."""

    host: str
    port: int
    logs: Sequence[str]
    folder: Path
    every: Every = field(default_factory=Every)
    bounds: Bounds = field(default_factory=Bounds)
    limits: Limits = field(default_factory=Limits)
    multiplier: int = 1


def serve(service: Service, tell: Callable[[str], None]) -> None:
    """Serves until SIGTERM or Ctrl-C, then flushes and saves.

    Raises:
      OptionError: No output, or one that is unknown.
      OutputError: The address, the folder or an output cannot be used.
    """
    wire.check_installed()
    if not service.logs:
        raise OptionError("--log is missing", hint="such as --log jsonl:FOLDER")
    outputs = [make_output(text, tell) for text in service.logs]
    _allow_connections(service.bounds.connections)
    asyncio.run(_serve(service, outputs, tell))


def ask_status(host: str, port: int) -> dict[str, Any]:
    """What a server says of itself.

    Raises:
      RemoteError: There is none, or it is of another kind.
    """
    wire.check_installed()
    place = f"{host}:{port}"
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(wire.GREETING)
            connection.sendall(wire.request(0, "token", os.environ.get(TOKEN, "")))
            connection.sendall(wire.request(1, "status"))
            for _ in range(2):
                status, said = wire.receive_answer(connection, most=1 << 24)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RemoteError(f"{place}: no server answers: {reason}") from error
    except wire.MessageError as error:
        raise RemoteError(f"{place}: no openloop serve: {error}") from error
    if status != wire.OK or not isinstance(said, str):
        raise RemoteError(
            f"{place}: the server does not tell", hint=f"set {TOKEN} to the server's token"
        )
    found = json.loads(said)
    return dict(found)


async def _serve(service: Service, outputs: Sequence[Output], tell: Callable[[str], None]) -> None:
    def write(entries: list[Entry]) -> None:
        for output, name in zip(outputs, service.logs, strict=True):
            try:
                output.write(entries)
            except Exception as error:  # noqa: BLE001  the others go on
                tell(f"--log {name}: {error}")

    server = Server(
        write,
        state=State(service.folder),
        every=service.every,
        bounds=service.bounds,
        limits=service.limits,
        multiplier=service.multiplier,
        token=os.environ.get(TOKEN, ""),
        tell=tell,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    host, port = await server.start(service.host, service.port)
    tell(f"listening on {host}:{port}, at step {server.step}")
    if not host.startswith("127.") and host != "::1":
        tell(f"everybody who reaches {host}:{port} can add metrics: no password is asked for")
    await server.run(stop)
    for output, name in zip(outputs, service.logs, strict=True):
        try:
            output.close()
        except Exception as error:  # noqa: BLE001  the others go on
            tell(f"--log {name}: {error}")
    tell(f"stopped at step {server.step}; all is written")


def _allow_connections(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + 100
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
