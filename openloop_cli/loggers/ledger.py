"""Which reports of a folder were logged where, so that a batch or watcher that was stopped or
killed logs what is missing, and nothing twice.

`<folder>/<name>.json` holds, for the report of that name, each output and the SHA-256 of the
metrics.json that it got. It is written once the output has written. A kill between these two is the
one gap: that report is logged again.

An output stands there as a hash, since its target may hold a password.
"""

import hashlib
import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path

from openloop_cli.errors import OpenloopError
from openloop_cli.storage.atomic import write_text

_MOST_BYTES = 1 << 16
_FOLDERS = ("jsonl", "scope", "tensorboard")


class Ledger:
    """The ledger in a folder. Safe in threads; reports of one name are one process's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._under_way: set[tuple[str, str, str]] = set()

    def missing(self, name: str, outputs: Iterable[str], digest: str) -> list[str]:
        """The outputs that this report has not reached. Each is named once by one ledger: from
        then on the report is on its way there."""
        with self._lock:
            known = self._read(name)
            found = [
                output
                for output in outputs
                if known.get(_key(output)) != digest
                and (name, output, digest) not in self._under_way
            ]
            self._under_way.update((name, output, digest) for output in found)
        return found

    def note(self, name: str, output: str, digest: str) -> None:
        """An output has the report.

        Raises:
          OutputError: The folder cannot be written.
        """
        with self._lock:
            known = self._read(name) | {_key(output): digest}
            self._folder.mkdir(parents=True, exist_ok=True)
            write_text(self._path(name), json.dumps(known, indent=1) + "\n")

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _read(self, name: str) -> dict[str, str]:
        """Nothing where it cannot be trusted."""
        path = self._path(name)
        try:
            if path.stat().st_size > _MOST_BYTES:
                return {}
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError, OpenloopError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {output: digest for output, digest in found.items() if isinstance(digest, str)}


def _key(output: str) -> str:
    """A folder is the same from wherever it is named."""
    name, _, target = output.partition(":")
    told = f"{name}:{os.path.abspath(target)}" if name in _FOLDERS else output  # noqa: PTH100
    return hashlib.sha256(told.encode(errors="surrogateescape")).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """SHA-256 of a metrics.json."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
