"""Stores that live in this process: memory://, and what counts requests to any store."""

from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class Requests:
    """What was fetched: round trips, and bytes."""

    trips: int = 0
    bytes: int = 0


@pytest.fixture
def memory():
    """The memory:// store, empty before and after."""
    fsspec = pytest.importorskip("fsspec", reason="needs openloop[remote]")
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    yield store
    store.store.clear()


@pytest.fixture
def requests(monkeypatch):
    """Counts all reading of bytes, whatever the store."""
    from openloop_cli.storage import stores

    count, fetch_parts = Requests(), stores._fetch_parts

    def counted(path, parts):
        found = fetch_parts(path, parts)
        count.trips += 1
        count.bytes += sum(map(len, found))
        return found

    monkeypatch.setattr(stores, "_fetch_parts", counted)
    return count


@pytest.fixture
def put():
    """Copies a folder into a store, under a key."""

    def copy(store, folder: Path, key: str) -> None:
        for file in folder.rglob("*"):
            if file.is_file():
                store.pipe_file(f"{key}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    return copy
