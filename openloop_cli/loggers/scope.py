"""The files that danijar's Scope viewer reads (scope 0.8.1), in `<folder>/scope/`.

    <name with / as ->.float      rows >qd: step, number
    <name …>.txt, .png, .mp4      a folder: a file for each value, then its row in `index`

A folder's `index` has rows of 16 bytes: the step as int64 in the machine's byte order, and eight
bytes that the file's name ends with in hex. Our own MP4 is copied as it is. What Scope has no form
for (vectors, floating-point images) is left out and told once.
"""

import os
import re
import secrets
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from openloop_cli.encode.still import png_bytes
from openloop_cli.encode.video import mp4_bytes
from openloop_cli.errors import OutputError
from openloop_cli.loggers.outputs import Tell
from openloop_cli.loggers.pictures import pixels
from openloop_cli.loggers.values import Entry, Kind, VideoFile, kind_of
from openloop_cli.storage.atomic import disk_full, unwritable, write_bytes
from openloop_cli.text import clean

_FLOAT = struct.Struct(">qd")
_ENTRY = struct.Struct("=q8s")
_NAME = re.compile(r"[a-z0-9_][^:\0]*")
_ENDINGS = {Kind.scalar: "float", Kind.text: "txt", Kind.image: "png", Kind.video: "mp4"}


class Scope:
    """A run as the viewer shows it.

    Args:
      folder: The run's; the files lie in its `scope`.
      tell: Takes a line for the person who watches.
      fps: Of videos that come as arrays.

    Raises:
      OutputError: It cannot be written.
    """

    def __init__(self, folder: Path, tell: Tell, *, fps: float = 10) -> None:
        self._folder = folder / "scope"
        self._tell = tell
        self._fps = fps
        self._told: set[str] = set()
        self._kinds: dict[str, str] = {}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(error, self._folder) from error
        for path in self._folder.iterdir():
            self._kinds[path.stem] = path.suffix[1:]

    def write(self, entries: Sequence[Entry]) -> None:
        """Appends to the files; scalars of one name together."""
        numbers: dict[str, bytearray] = {}
        for step, name, value in entries:
            kind = kind_of(value)
            ending = _ENDINGS.get(kind)
            if kind is Kind.file:
                continue
            if ending is None:
                self._leave_out(f"a {kind} has no form in Scope, such as {clean(name)!r}", kind)
            elif not _NAME.fullmatch(name):
                self._leave_out(
                    f"{clean(name)!r}: Scope's names begin with a small letter, a digit or _ and"
                    " hold no colon",
                    name,
                )
            elif self._kinds.setdefault(_file(name), ending) != ending:
                self._leave_out(f"{clean(name)!r}: it was a .{self._kinds[_file(name)]}", name)
            elif kind is Kind.scalar:
                numbers.setdefault(name, bytearray()).extend(_FLOAT.pack(step, float(value)))
            else:
                self._put(step, name, kind, value)
        for name, rows in numbers.items():
            _append(self._folder / f"{_file(name)}.float", bytes(rows))

    def close(self) -> None:
        """Nothing is left."""

    def _put(self, step: int, name: str, kind: Kind, value: Any) -> None:
        if kind is Kind.text:
            self._add(step, name, "txt", lambda path: write_bytes(path, value.encode()))
        elif isinstance(value, VideoFile):
            if value.path.suffix.lower() != ".mp4":
                self._leave_out(f"{clean(name)!r}: Scope plays .mp4 only", name)
                return
            self._add(step, name, "mp4", lambda path: _copy(value.path, path))
        elif value.dtype != np.uint8 or (found := pixels(value)) is None:
            self._leave_out(
                f"{clean(name)!r}: Scope takes uint8 {kind}s of one or three channels", name
            )
        elif kind is Kind.image:
            self._add(step, name, "png", lambda path: write_bytes(path, png_bytes(found)))
        else:
            data = mp4_bytes(found, self._fps)
            self._add(step, name, "mp4", lambda path: write_bytes(path, data))

    def _add(self, step: int, name: str, ending: str, write: Callable[[Path], None]) -> None:
        folder = self._folder / f"{_file(name)}.{ending}"
        mark = int(time.time()).to_bytes(4, "big") + secrets.token_bytes(4)
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise unwritable(error, folder) from error
        write(folder / f"{step:020d}-{mark.hex()}.{ending}")
        _append(folder / "index", _ENTRY.pack(step, mark))

    def _leave_out(self, why: str, once: str) -> None:
        if once not in self._told:
            self._told.add(once)
            self._tell(f"left out of Scope: {why}")


def _file(name: str) -> str:
    return name.replace("/", "-")


def _copy(source: Path, target: Path) -> None:
    try:
        write_bytes(target, source.read_bytes())
    except OSError as error:
        raise OutputError(f"{source}: cannot be read: {error.strerror}") from error


def _append(path: Path, rows: bytes) -> None:
    """Adds rows of 16 bytes; one that a hard kill has cut is taken away first."""
    try:
        with path.open("ab", buffering=0) as file:
            end = os.fstat(file.fileno()).st_size
            if end % _ENTRY.size:
                end -= end % _ENTRY.size
                file.truncate(end)
            if file.write(rows) != len(rows):
                file.truncate(end)
                raise disk_full(path, end)
    except OSError as error:
        raise unwritable(error, path) from error
