"""One peer: the greeting, then frames; and what all peers together may cost.

Bytes go where they belong as they come: a message's memory grows with what has arrived, never with
what its length promises. A peer that does not read its answers is not read from.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from openloop_cli import wire

_SCRATCH = 256 << 10
_SMALL = 64 << 10


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What peers may cost.

    Args:
      message_bytes: Of one message.
      partial_bytes: Of all messages that are not complete, together; beyond it the one that began
        first is given up.
      queue_bytes: Of the metrics that wait for a flush.
      connections: At one time.
      greeting: Seconds until the greeting is complete.
      message: Seconds from a message's first byte to its last.
    """

    message_bytes: int = 128 << 20
    partial_bytes: int = 512 << 20
    queue_bytes: int = 1 << 30
    connections: int = 4096
    greeting: float = 10.0
    message: float = 60.0


class Traffic:
    """All connections of one server."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.connections: dict[Connection, None] = {}
        self.refused = 0
        self.messages = 0
        self.answers = 0
        self.partial = 0
        # Filled and read within one turn of the loop, so that all connections share it.
        self.scratch = memoryview(bytearray(_SCRATCH))

    def sweep(self, now: float) -> None:
        """Gives up who takes too long."""
        for connection in list(self.connections):
            if connection.deadline is not None and now > connection.deadline:
                connection.give_up("slow", f"{connection.doing} took too long")

    def make_room(self) -> None:
        """Gives up the messages that began first until the others fit."""
        while self.partial > self.bounds.partial_bytes:
            busy = [c for c in self.connections if c.holds]
            if not busy:
                return
            oldest = min(busy, key=lambda c: c.deadline or 0.0)
            oldest.give_up("crowded", "all incomplete messages together are too large")

    def close(self) -> None:
        """Closes all connections, after what is written to them."""
        for connection in list(self.connections):
            connection.close()


class Connection(asyncio.BufferedProtocol):
    """One peer.

    Args:
      traffic: Where it is counted.
      answer: Connection and a message's bytes -> a frame; never raises.
      complain: Connection, kind, line.
    """

    def __init__(
        self,
        traffic: Traffic,
        answer: Callable[["Connection", bytes], bytes],
        complain: Callable[["Connection", str, str], None],
    ) -> None:
        self.address = "?"
        self.messages = 0
        self.received = 0
        self.deadline: float | None = None
        self.holds = 0
        self.trusted = False
        self._traffic = traffic
        self._answer = answer
        self._complain = complain
        self._transport: asyncio.Transport | None = None
        self._greeted = False
        self._head = bytearray()  # of the greeting or of a length
        self._body: bytearray | None = None
        self._length = 0
        self._filled = 0
        self._direct = False

    @property
    def doing(self) -> str:
        """What it is in the midst of."""
        return "a message" if self._greeted else "the greeting"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer has connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        if peer:
            self.address = f"{peer[0]}:{peer[1]}"
        if len(self._traffic.connections) >= self._traffic.bounds.connections:
            self._traffic.refused += 1
            self._complain(self, "connections", "one connection too many")
            transport.abort()
            return
        self._traffic.connections[self] = None
        self.deadline = time.monotonic() + self._traffic.bounds.greeting
        _keep_alive(transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone; what was incomplete of it goes too."""
        self._traffic.connections.pop(self, None)
        self._release()

    def pause_writing(self) -> None:
        """It does not read its answers: nothing more is read from it."""
        if self._transport is not None:
            self._transport.pause_reading()
            self.deadline = time.monotonic() + self._traffic.bounds.message

    def resume_writing(self) -> None:
        """It reads again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self.deadline = None

    def get_buffer(self, sizehint: int) -> Any:
        """Where the next bytes go: into a large message itself, else to the scratch buffer."""
        self._direct = self._body is not None and self._length - self._filled > _SMALL
        if not self._direct:
            return self._traffic.scratch
        assert self._body is not None
        if self._filled == len(self._body):
            self._hold(min(2 * len(self._body), self._length))
        return memoryview(self._body)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have come."""
        self.received += nbytes
        answers: list[bytes] = []
        if self._direct:
            self._filled += nbytes
            self._finish(answers)
        else:
            data, start = self._traffic.scratch[:nbytes], 0
            while start < nbytes and not self._gone():
                start += self._take(data[start:], answers)
        if answers and self._transport is not None and not self._gone():
            self._traffic.answers += len(answers)
            self._transport.write(b"".join(answers))

    def give_up(self, kind: str, line: str) -> None:
        """Counts and tells why, and leaves the peer."""
        self._complain(self, kind, line)
        if self._transport is not None:
            self._transport.abort()
        self._traffic.connections.pop(self, None)
        self._release()

    def close(self) -> None:
        """Leaves the peer once it has its answers."""
        if self._transport is not None:
            self._transport.close()

    def _take(self, data: memoryview, answers: list[bytes]) -> int:
        """Takes what belongs to the present piece; returns how much that was."""
        if self._body is None:
            return self._take_head(data)
        taken = min(len(data), self._length - self._filled)
        while len(self._body) < self._filled + taken:
            self._hold(min(max(2 * len(self._body), self._filled + taken), self._length))
            if self._gone():
                return taken
        self._body[self._filled : self._filled + taken] = data[:taken]
        self._filled += taken
        self._finish(answers)
        return taken

    def _finish(self, answers: list[bytes]) -> None:
        """Has a message that is complete answered."""
        if self._body is None or self._filled < self._length:
            return
        body = bytes(self._body)
        self._release()
        self.deadline = None
        self.messages += 1
        self._traffic.messages += 1
        answers.append(self._answer(self, body))

    def _take_head(self, data: memoryview) -> int:
        wanted = 8 if self._greeted else len(wire.GREETING)
        taken = min(len(data), wanted - len(self._head))
        self._head += data[:taken]
        if not self._greeted:
            if not wire.GREETING.startswith(self._head):
                self.give_up("greeting", "no portal client: another greeting came")
            elif len(self._head) == wanted:
                self._greeted, self.deadline = True, None
                self._head.clear()
            return taken
        if self.deadline is None:
            self.deadline = time.monotonic() + self._traffic.bounds.message
        if len(self._head) == wanted:
            self._length = int.from_bytes(self._head, "little")
            self._head.clear()
            if not 1 <= self._length <= self._traffic.bounds.message_bytes:
                self.give_up("length", f"a message of {self._length} bytes")
                return taken
            self._body, self._filled = bytearray(), 0
            self._hold(min(self._length, _SMALL))
        return taken

    def _hold(self, size: int) -> None:
        """The message's memory becomes `size` bytes."""
        assert self._body is not None
        more = size - len(self._body)
        self._body.extend(bytes(more))
        self.holds += more
        self._traffic.partial += more
        self._traffic.make_room()

    def _release(self) -> None:
        self._traffic.partial -= self.holds
        self.holds, self._body = 0, None

    def _gone(self) -> bool:
        return self._transport is None or self._transport.is_closing()


def _keep_alive(sock: Any) -> None:
    """A peer whose machine has gone is found out within some two minutes."""
    options = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name, value in options.items():
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
