"""A server in a thread of this process, and a plain socket that speaks to it."""

import asyncio
import base64
import gzip
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from openloop_cli import wire
from openloop_cli.serve.server import Every, Server
from openloop_cli.serve.state import State


class Running:
    """What the test sees of the server."""

    def __init__(self, server: Server, address: tuple[str, int], loop, entries: list) -> None:
        self.server, self.address, self.loop, self.entries = server, address, loop, entries
        self.told: list[str] = []

    def flush(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.flush(), self.loop).result(30)

    def values(self, name: str) -> list:
        return [(step, value) for step, found, value in self.entries if found == name]


@contextmanager
def serving(folder: Path, *, port: int = 0, write=None, **options) -> Iterator[Running]:
    """A server with no flushes but those that the test asks for, and the last one."""
    entries: list = []
    told: list[str] = []
    ready = threading.Event()
    found: dict = {}

    async def main() -> None:
        server = Server(
            write or entries.extend,
            state=State(folder),
            every=options.pop("every", Every(log=3600, save=3600)),
            tell=told.append,
            **options,
        )
        found["address"] = await server.start("127.0.0.1", port)
        found["server"], found["loop"] = server, asyncio.get_running_loop()
        found["stop"] = asyncio.Event()
        ready.set()
        await server.run(found["stop"])

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert ready.wait(30)
    running = Running(found["server"], found["address"], found["loop"], entries)
    running.told = told
    try:
        yield running
    finally:
        found["loop"].call_soon_threadsafe(found["stop"].set)
        thread.join(60)
        assert not thread.is_alive()


class Peer:
    """A blocking client that sends bytes as they are."""

    def __init__(self, address: tuple[str, int], *, greet: bool = True) -> None:
        self.socket = socket.create_connection(address, timeout=30)
        if greet:
            self.socket.sendall(wire.GREETING)
        self.number = 0

    def call(self, method: str, *arguments):
        self.socket.sendall(wire.request(self.number, method, *arguments))
        self.number += 1
        return self.answer()

    def answer(self):
        length = int.from_bytes(self.read(8), "little")
        return wire.read_response(self.read(length))[1:]

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("closed")
            data += more
        return data

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()


def rows(envids, *, first=False, last=False, reward=1.0, evaluation=False, **more) -> dict:
    """One row of each environment."""
    n = len(envids)
    return {
        "envid": np.array(envids, int),
        "is_first": np.full(n, first),
        "is_last": np.full(n, last),
        "is_eval": np.full(n, evaluation),
        "reward": np.full(n, reward, "f4"),
        **more,
    }


def tree(node):
    """A tree of the recorded messages."""
    if "dict" in node:
        return {key: tree(value) for key, value in node["dict"]}
    if "list" in node:
        return [tree(value) for value in node["list"]]
    if "value" in node:
        return node["value"]
    if "base64" in node:
        flat = np.frombuffer(base64.b64decode(node["base64"]), node["dtype"])
    else:
        flat = np.array(node["data"], node["dtype"])
    return flat.reshape(node["shape"])


def messages(path: Path) -> list[dict]:
    return [json.loads(line) for line in gzip.open(path)]
