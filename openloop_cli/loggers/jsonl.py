"""`jsonl:FOLDER`: two files of JSON lines, as the reference's readers expect them.

    <folder>/metrics.jsonl   {"step": 28, "train/loss": 1.5, …}; scalars, strict JSON
    <folder>/scores.jsonl    {"step": 28, "episode/score": 3.0}; a line for every episode

Two values of one name at one step are both kept, on two lines. A value that is not finite has no
place in JSON and is left out, which is told once. Only scalars are written.
"""

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from openloop_cli.loggers.outputs import Tell
from openloop_cli.loggers.values import Entry, Kind, kind_of, rows
from openloop_cli.storage.atomic import unwritable

SCORE = "episode/score"


class Jsonl:
    """The two files in a folder; they are appended to, and lines are written whole."""

    def __init__(self, folder: Path, tell: Tell) -> None:
        self._folder = folder
        self._tell = tell
        self._told: set[str] = set()
        self._append("metrics.jsonl", [])  # an early answer

    def write(self, entries: Sequence[Entry]) -> None:
        """Appends a line for each step, in the order of appearance, and one for each score."""
        numbers = [(step, name, self._number(value)) for step, name, value in entries]
        known = [(step, name, value) for step, name, value in numbers if value is not None]
        lines = [{"step": step, **row} for step, row in rows(known)]
        scores = [{"step": step, name: value} for step, name, value in known if name == SCORE]
        self._append("metrics.jsonl", lines)
        if scores:
            self._append("scores.jsonl", scores)

    def close(self) -> None:
        """Nothing is left."""

    def _number(self, value: Any) -> float | None:
        if kind_of(value) is not Kind.scalar:
            return None
        number = float(value)
        if not math.isfinite(number):
            self._tell_once("values that are not finite are left out of metrics.jsonl")
            return None
        return number

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)

    def _append(self, name: str, lines: list[dict[str, Any]]) -> None:
        path = self._folder / name
        data = "".join(json.dumps(line) + "\n" for line in lines).encode()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with path.open("a+b", buffering=0) as file:
                _write_whole(file, data)
        except OSError as error:
            raise unwritable(error, path) from error


def _write_whole(file: BinaryIO, data: bytes) -> None:
    """Appends lines; a line that a hard kill or a full disk has cut is taken away first."""
    end = file.seek(0, 2)
    if end and _read(file, end - 1, end) != b"\n":
        start = max(0, end - (1 << 20))
        end = start + _read(file, start, end).rfind(b"\n") + 1
        file.truncate(end)
    try:
        while data:
            data = data[file.write(data) :]
    except OSError:
        with suppress(OSError):  # what has no length
            file.truncate(end)
        raise


def _read(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)
