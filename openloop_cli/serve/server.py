"""The central logger: portal's protocol over TCP, in one asyncio process that nothing brings down.

    server = Server(write, state=State(folder), bounds=Bounds(), tell=print)
    await server.start("127.0.0.1", 2222)
    await server.run(stop)        # until the event is set; flushes a last time

Why not on `portal`: its server believes a length before the bytes come, ends at the first unknown
method or bad message, opens shared memory by a name that a stranger sent, and polls.

A message is handled at once, where it is complete, in the order of arrival; only writing to the
outputs is done in a thread. A bad one is answered so that its sender goes on: what is whole but
holds something that we refuse is answered like a good one, dropped, counted and told.
"""

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from openloop_cli import wire
from openloop_cli.errors import OpenloopError, OutputError
from openloop_cli.serve.connection import Bounds, Connection, Traffic
from openloop_cli.serve.desk import MOST_CLIENTS, Desk, Written, written
from openloop_cli.serve.episodes import Entry, Limits
from openloop_cli.serve.state import State
from openloop_cli.text import clean

METHODS = ("add", "tran", "write", "token", "status")


@dataclass(frozen=True, kw_only=True)
class Every:
    """Seconds between flushes and between saved steps."""

    log: float = 30.0
    save: float = 60.0


class Server:
    """One listening server.

    Args:
      write: Takes the entries of one flush; called in a thread, one call at a time. What it raises
        is told, and service goes on.
      state: What survives a restart; messages left in its journal are taken first.
      every: When to flush and save.
      bounds: Of connections and messages.
      limits: Of environments, episodes and videos.
      multiplier: Environment steps for each row.
      token: What our own clients must send; "" takes all. The reference's cannot send one.
      tell: Takes a line for the person who watches.
    """

    def __init__(
        self,
        write: Callable[[list[Entry]], None],
        *,
        state: State,
        every: Every | None = None,
        bounds: Bounds | None = None,
        limits: Limits | None = None,
        multiplier: int = 1,
        token: str = "",
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.bounds = bounds or Bounds()
        self.traffic = Traffic(self.bounds)
        self.dropped: dict[str, int] = {}
        self._write = write
        self._state = state
        self._every = every or Every()
        self._token = token
        self._tell = tell
        self._told: dict[tuple[str, str], float] = {}
        self._behind: dict[str, int] = {}
        self._started = time.monotonic()
        self._flushed = self._started
        self._flush_seconds = 0.0
        self._since = (0, 0)
        self._listening: asyncio.Server | None = None
        self._desk = Desk(
            step=state.step,
            numbers=state.numbers,
            multiplier=multiplier,
            limits=limits,
            most_bytes=self.bounds.queue_bytes,
        )
        for body in state.kept():
            self._safely(partial(self._take_kept, body))

    @property
    def step(self) -> int:
        """Rows of training environments so far."""
        return self._desk.step

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listens; returns the address, whose port is one that was free if `port` is 0.

        Raises:
          OutputError: The address is taken or is none of this machine.
        """
        loop = asyncio.get_running_loop()
        try:
            self._listening = await loop.create_server(
                lambda: Connection(self.traffic, self._answer, self._complain),
                host,
                port,
                backlog=1024,
            )
        except OSError as error:
            reason = (error.strerror or str(error)).split("]")[-1].strip().lower()
            raise OutputError(
                f"{host}:{port}: cannot listen: {reason}", hint="choose another port or address"
            ) from error
        found = self._listening.sockets[0].getsockname()
        return str(found[0]), int(found[1])

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set, then takes no more, flushes and saves."""
        saved = time.monotonic()
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.25)
            now = time.monotonic()
            self.traffic.sweep(now)
            if now - self._flushed >= self._every.log:
                await self.flush()
            if now - saved >= self._every.save:
                saved = now
                await asyncio.to_thread(self._safely, self._save)
        if self._listening is not None:
            self._listening.close()
        self.traffic.close()
        await self.flush()
        await asyncio.to_thread(self._safely, self._save)

    async def flush(self) -> None:
        """Writes all that waits to the outputs; only metrics came or the step moved, either way."""
        started = time.monotonic()
        if self._desk.waiting or self.traffic.messages != self._since[0]:
            self._desk.note(self._own(started))
        self._since = (self.traffic.messages, self.traffic.answers)
        self._flushed = started
        entries, step, numbers = self._desk.drain(), self._desk.step, dict(self._desk.numbers)
        self._safely(self._state.rotate)
        if entries:
            await asyncio.to_thread(self._write_all, entries, step, numbers)
        self._flush_seconds = time.monotonic() - started

    def status(self) -> dict[str, Any]:
        """What `openloop serve --status` shows."""
        desk, traffic = self._desk, self.traffic
        return {
            "step": desk.step,
            "seconds": round(time.monotonic() - self._started, 3),
            "clients": [
                {"address": clean(c.address, 60), "messages": c.messages, "bytes": c.received}
                for c in list(traffic.connections)[:200]
            ],
            "connections": len(traffic.connections),
            "connections_refused": traffic.refused,
            "messages": traffic.messages,
            "rows": desk.rows,
            "metrics": desk.metrics,
            "repeated": desk.repeated,
            "environments": desk.episodes.open,
            "queue": {"entries": desk.waiting, "bytes": desk.bytes_waiting},
            "dropped": {**self.dropped, **desk.episodes.dropped},
            "seconds_since_flush": round(time.monotonic() - self._flushed, 3),
            "flush_seconds": round(self._flush_seconds, 3),
        }

    def _answer(self, connection: Connection, body: bytes) -> bytes:
        """The answer to one message, as a frame. Never raises."""
        if len(body) < 8:
            self._complain(connection, "short", f"a message of {len(body)} bytes")
            return wire.failure(bytes(8), wire.TOO_SHORT, "Message too short")
        number = body[:8]
        try:
            request = wire.read_request(body)
            if request.method not in METHODS:
                self._complain(
                    connection, "unknown", f"an unknown method {clean(request.method, 40)!r}"
                )
                text = f"Unknown method {request.method[:200]}"
                return wire.failure(number, wire.UNKNOWN_METHOD, text)
            arguments = wire.unpack(request.arguments)
            if not isinstance(arguments, list):
                raise wire.Undecodable("arguments that are no list")
            return self._call(connection, request, arguments, body)
        except wire.Undecodable as error:
            self._complain(connection, "undecodable", str(error))
            return wire.failure(number, wire.UNDECODABLE, "Could not decode message")
        except OpenloopError as error:
            self._complain(connection, "refused", str(error))
        except Exception as error:  # noqa: BLE001  our own bug must not end the service
            self._complain(connection, "failed", f"{type(error).__name__}: {error}")
        return wire.response(number)

    def _call(
        self, connection: Connection, request: wire.Request, arguments: list[Any], body: bytes
    ) -> bytes:
        match request.method:
            case "token":
                sent = arguments[0] if arguments and isinstance(arguments[0], str) else ""
                connection.trusted = hmac.compare_digest(self._token.encode(), sent.encode())
                return wire.response(request.number)
            case "status":
                self._check_trusted(connection)
                return wire.response(request.number, json.dumps(self.status()))
            case "write":
                return self._keep(connection, request.number, arguments, body)
        self._desk.take(request.method, arguments, now=time.monotonic())
        return wire.response(request.number)

    def _keep(
        self, connection: Connection, number: bytes, arguments: list[Any], body: bytes
    ) -> bytes:
        """A message of our own clients: in the journal before it is answered, answered with a text
        if it was refused for good, with a failure if it shall come again."""
        try:
            self._check_trusted(connection)
            message = written(arguments)
        except OpenloopError as error:
            self._complain(connection, "refused", str(error))
            return wire.response(number, str(error))
        if not self._desk.is_known(message):
            why = self._cannot_keep(message, body)
            if why:
                self._complain(connection, "later", f"{why}; the sender tries again")
                return wire.failure(number, wire.FAILED, why)
        self._desk.write(message)
        return wire.response(number)

    def _cannot_keep(self, message: Written, body: bytes) -> str:
        """Puts a message into the journal, or says why not now. Then those after it must wait for
        it too: they would make it look like one that came again."""
        behind = self._behind.get(message.client, message.number)
        if message.number > behind:
            return f"message {behind} comes first"
        if not self._desk.has_room(message):
            why = "the queue is full"
        elif not self._state.keep(body):
            why = "the journal cannot be written"
        else:
            self._behind.pop(message.client, None)
            return ""
        self._behind[message.client] = message.number
        if len(self._behind) > MOST_CLIENTS:
            del self._behind[next(iter(self._behind))]
        return why

    def _check_trusted(self, connection: Connection) -> None:
        if self._token and not connection.trusted:
            raise wire.Refused("a client without the server's token", hint="set OPENLOOP_TOKEN")

    def _complain(self, connection: Connection, kind: str, line: str) -> None:
        """Counts a drop, and tells it: of one kind and sender a line every ten seconds."""
        self.dropped[kind] = self.dropped.get(kind, 0) + 1
        now, host = time.monotonic(), connection.address.rpartition(":")[0]
        if now - self._told.get((host, kind), -10.0) < 10:
            return
        if len(self._told) > 1000:
            self._told.clear()
        self._told[host, kind] = now
        self._tell(f"{clean(connection.address)}: {clean(line, 300)} ({self.dropped[kind]} so far)")

    def _write_all(self, entries: list[Entry], step: int, numbers: dict[str, int]) -> None:
        # The step first: what the outputs show must never be ahead of what a restart begins at.
        self._safely(lambda: self._state.save(step, self._state.numbers))
        self._safely(lambda: self._write(entries))
        self._state.numbers = numbers
        self._safely(lambda: self._state.save(step, numbers))
        self._safely(self._state.forget)

    def _take_kept(self, body: bytes) -> None:
        self._desk.write(written(wire.unpack(wire.read_request(body).arguments)))

    def _save(self) -> None:
        self._state.save_step()

    def _safely(self, work: Callable[[], None]) -> None:
        """A full disk or a dead output is told, and service goes on."""
        try:
            work()
        except Exception as error:  # noqa: BLE001
            self._tell(f"failed: {type(error).__name__}: {clean(error, 300)}")

    def _own(self, now: float) -> dict[str, Any]:
        """`server/logger/*`, as the reference's server counts."""
        seconds = max(now - self._flushed, 1e-3)
        received = self.traffic.messages - self._since[0]
        sent = self.traffic.answers - self._since[1]
        return {
            "timer/logger": f"write {self._flush_seconds:.3f}s",
            "server/logger/numrecv": received,
            "server/logger/numsend": sent,
            "server/logger/recvrate": received / seconds,
            "server/logger/sendrate": sent / seconds,
            "server/logger/requests": 0,
            "server/logger/jobs": 0,
            "server/logger/dropped": sum(self.dropped.values()),
        }
