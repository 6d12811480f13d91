"""The logger output `serve://HOST:PORT`: entries go to an `openloop serve`, and nobody waits.

    output = ServeOutput("host", 2222)
    output.write([(step, name, value), …])    # returns at once
    output.close()                            # waits a moment for what is left

A thread sends. What is not answered yet is sent again after a reconnect, under the same id and
number, so that the server counts it once. What the queue cannot hold, and what is left at the end,
goes to a file on disk; the next output of this user that reaches a server sends it first.
"""

import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from openloop_cli import wire
from openloop_cli.errors import OpenloopError, OptionError
from openloop_cli.loggers.values import Attachment, Entry, VideoFile
from openloop_cli.storage.framed import framed, messages
from openloop_cli.text import plural

_WINDOW = 16  # messages under way at one time
_ENTRIES, _BYTES = 500, 8 << 20  # of one message, unless one value is larger
TOKEN = "OPENLOOP_TOKEN"
"""The variable that holds the server's token."""

LARGEST = 64 << 20
"""Bytes of one value; the server takes messages twice as large."""


class ServeOutput:
    """Sends entries to a server.

    Args:
      host: Of the server.
      port: Of the server.
      token: As the server's OPENLOOP_TOKEN.
      folder: Where the file for what does not fit lies; a folder of this user by default.
      queue_bytes: Of the queue in memory.
      patience: Seconds that `close` waits for a server.
      tell: Takes a line for the person who watches.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        token: str = "",
        folder: Path | None = None,
        queue_bytes: int = 64 << 20,
        patience: float = 10.0,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.lost = 0
        self._address = (host, port)
        self._token = token
        self._patience = patience
        self._most = queue_bytes
        self._tell = tell
        self._id = secrets.token_hex(8)
        self._number = 0
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._spool = Spool(folder or _folder(), self._id, f"{host}_{port}")
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._told_absent = False
        self._idle = True
        self._thread = threading.Thread(target=self._send_all, name="serve output", daemon=True)
        self._thread.start()

    def write(self, entries: Sequence[Entry]) -> None:
        """Takes entries; returns at once."""
        for part in _parts(entries, self._refuse):
            with self._changed:
                message = wire.pack(
                    [
                        self._id,
                        self._number,
                        np.array([step for step, _, _ in part], np.int64),
                        [name for _, name, _ in part],
                        [value for _, _, value in part],
                    ]
                )
                self._number += 1
                # Behind what is on disk already, or the order would change.
                if self._spool.waiting or self._queued + len(message) > self._most:
                    self._to_disk(message)
                else:
                    self._queue.append(message)
                    self._queued += len(message)
                self._changed.notify_all()

    def close(self) -> None:
        """Waits for the server's answers; what is left after that goes to disk, and is told."""
        with self._changed:
            self._deadline = time.monotonic() + self._patience
            self._changed.notify_all()
        self._thread.join(self._patience + 5)
        with self._changed:
            # In front of what is on disk already: the server asks for growing numbers.
            unwritten = self._spool.put_first(self._queue)
            self._queue.clear()
            if unwritten:
                self.lost += unwritten
                self._tell(f"{self._spool.path}: cannot be written, {unwritten} messages are lost")
            if self._spool.waiting:
                count = plural(self._spool.waiting, "message")
                self._tell(
                    f"{self._place}: {count} kept in {self._spool.path} for the next command that"
                    " reaches it"
                )
            self._spool.close()

    @property
    def _place(self) -> str:
        return f"serve://{self._address[0]}:{self._address[1]}"

    def _refuse(self, name: str, reason: str) -> None:
        self.lost += 1
        self._tell(f"{self._place}: {name}: {reason}")

    def _to_disk(self, message: bytes) -> None:
        try:
            self._spool.append(message)
        except OSError as error:
            self.lost += 1
            if self.lost == 1:
                self._tell(f"{self._spool.path}: cannot be written, metrics are lost: {error}")

    def _send_all(self) -> None:
        """Until closed and empty, or closed and out of patience."""
        pause = 0.05
        while not self._over():
            try:
                with socket.create_connection(self._address, timeout=5) as connection:
                    connection.settimeout(30)
                    connection.sendall(wire.GREETING)
                    if self._token:
                        connection.sendall(wire.request(0, "token", self._token))
                        wire.receive_answer(connection)
                    self._told_absent, pause = False, 0.05
                    self._send_orphans(connection)
                    self._send_over(connection)
            except (OSError, OpenloopError) as error:
                if not self._told_absent:
                    self._told_absent = True
                    reason = getattr(error, "strerror", None) or str(error)
                    self._tell(f"{self._place}: {reason.lower()}; metrics wait until it is back")
                with self._changed:
                    self._changed.wait_for(self._past_deadline, pause)
                pause = min(2 * pause, 2.0)

    def _send_over(self, connection: socket.socket) -> None:
        while not self._over():
            with self._changed:
                self._changed.wait_for(
                    lambda: self._queue or self._spool.waiting or self._deadline is not None, 5
                )
                if not self._queue:
                    for message in self._spool.take(_WINDOW):
                        self._queue.append(message)
                        self._queued += len(message)
                window = [self._queue[i] for i in range(min(_WINDOW, len(self._queue)))]
            if not window:
                _check_alive(connection)
                continue
            done = self._exchange(connection, window)
            with self._changed:
                for _ in range(done):
                    self._queued -= len(self._queue.popleft())
                self._changed.notify_all()
            if done < len(window):
                time.sleep(0.2)  # the server is full for the moment

    def _exchange(self, connection: socket.socket, window: Sequence[bytes]) -> int:
        """How many messages, from the first on, need not be sent again."""
        for number, message in enumerate(window):
            connection.sendall(wire.call(number, "write", message))
        done = len(window)
        for number in range(len(window)):
            status, said = wire.receive_answer(connection)
            if status == wire.FAILED:
                done = min(done, number)
            elif status != wire.OK or said:
                self._refuse("a message was refused", str(said))
        return done

    def _send_orphans(self, connection: socket.socket) -> None:
        """What outputs that have ended left on disk for this server."""
        for orphan in self._spool.orphans():
            while window := orphan.take(_WINDOW):
                if self._exchange(connection, window) < len(window):
                    orphan.put_first(window)
                    break
            orphan.close()

    def _past_deadline(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def _over(self) -> bool:
        with self._changed:
            empty = not self._queue and not self._spool.waiting
            return self._past_deadline() or (self._deadline is not None and empty)


class Spool:
    """Messages on disk, in order.

    Its file is locked while its output lives, so that others can tell an orphan.
    """

    def __init__(self, folder: Path, owner: str, server: str) -> None:
        self.path = folder / f"{server.replace('/', '_')}.{owner}.spool"
        self.waiting = 0
        self._server = server
        self._file: BinaryIO | None = None
        self._read = 0

    def append(self, message: bytes) -> None:
        """Adds a message.

        Raises:
          OSError: The disk is full, or the folder cannot be written.
        """
        file = self._open()
        if not self.waiting:
            file.truncate(0)
            self._read = 0
        end = file.seek(0, os.SEEK_END)
        try:
            file.write(framed(message))
        except OSError:
            file.truncate(end)
            raise
        self.waiting += 1

    def take(self, count: int) -> list[bytes]:
        """The next messages, which are forgotten here; they stay in the file until the next
        `append` or `close`, so that a hard kill loses none."""
        if not self.waiting or self._file is None:
            return []
        found = []
        for end, message in messages(self._file, self._read):
            self._read = end
            self.waiting -= 1
            found.append(message)
            if len(found) == count:
                break
        if not found:
            self.waiting = 0  # the rest is torn
        return found

    def put_first(self, messages: Iterable[bytes]) -> int:
        """Puts messages in front of all that wait; returns how many could not be written."""
        first = list(messages)
        if not first:
            return 0
        unwritten = 0
        for message in [*first, *self.take(self.waiting)]:
            try:
                self.append(message)
            except OSError:
                unwritten += 1
        return unwritten

    def orphans(self) -> Iterator["Spool"]:
        """The files of outputs that have ended, which are ours from here on."""
        for path in sorted(self.path.parent.glob(f"{self._server}.*.spool")):
            if path == self.path:
                continue
            orphan = Spool(path.parent, path.name.split(".")[-2], self._server)
            with suppress(OSError):
                file = path.open("r+b", buffering=0)
                if _locked(file):
                    orphan._file = file
                    orphan.waiting = sum(1 for _ in messages(file, 0))
                    yield orphan
                else:
                    file.close()

    def close(self) -> None:
        """Leaves the file if something waits in it, else removes it."""
        if self._file is not None:
            if not self.waiting:
                self.path.unlink(missing_ok=True)
            elif self._read:
                rest = self.take(self.waiting)
                for message in rest:
                    with suppress(OSError):
                        self.append(message)
            self._file.close()
            self._file = None

    def _open(self) -> BinaryIO:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            number = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            self._file = os.fdopen(number, "r+b", buffering=0)
            _locked(self._file)
        return self._file


def _parts(entries: Sequence[Entry], refuse: Callable[[str, str], None]) -> Iterator[list[Entry]]:
    """Messages of a bounded size; what cannot be sent is told and left out."""
    part: list[Entry] = []
    size = 0
    for step, name, value in entries:
        try:
            if isinstance(value, Attachment):
                continue
            if isinstance(value, VideoFile):
                raise wire.Refused("an encoded video cannot be sent")
            cost = wire.leaf_size(value)
        except wire.Refused as error:
            refuse(name, error.message)
            continue
        if cost > LARGEST:
            refuse(name, f"{cost} bytes are more than a server takes")
            continue
        if part and (size + cost > _BYTES or len(part) == _ENTRIES):
            yield part
            part, size = [], 0
        part.append((step, name, value))
        size += cost
    if part:
        yield part


def _check_alive(connection: socket.socket) -> None:
    """Finds out about a server that has gone while we had nothing to say."""
    connection.setblocking(False)
    try:
        if not connection.recv(1):
            raise ConnectionResetError("the server has closed the connection")
    except BlockingIOError:
        pass
    finally:
        connection.settimeout(30)


def _locked(file: BinaryIO) -> bool:
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _folder() -> Path:
    top = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(top) / "openloop" / "spool"


def address(text: str) -> tuple[str, int]:
    """`HOST:PORT`, `[::1]:PORT`, or a port alone on 127.0.0.1.

    Raises:
      OptionError: It is none.
    """
    host, _, port = text.removeprefix("serve://").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise OptionError(f"{text!r} is no address", hint="write HOST:PORT, such as 127.0.0.1:2222")
    return host or "127.0.0.1", int(port)
