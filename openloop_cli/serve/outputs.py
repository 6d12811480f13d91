"""Where the server writes: `jsonl:FOLDER`, as the reference's readers expect it.

    <folder>/metrics.jsonl   {"step": 28, "train/loss": 1.5, …}; scalars, strict JSON
    <folder>/scores.jsonl    {"step": 28, "episode/score": 3.0}; a line for every episode

Two values of one name at one step are both kept, on two lines. A value that is not finite has no
place in JSON and is left out, as are texts, images and videos; both are told once.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from openloop_cli.errors import OptionError, OutputError
from openloop_cli.serve.episodes import Entry

SCORE = "episode/score"


class Output(Protocol):
    """Takes what one flush brings."""

    def write(self, entries: Sequence[Entry]) -> None:
        """Writes entries, in order; what it raises is told, and service goes on."""


def make_output(text: str, tell: Callable[[str], None]) -> Output:
    """The output that `NAME:TARGET` means.

    Raises:
      OptionError: There is none of this name, or its target is missing.
      OutputError: Its folder cannot be written.
    """
    name, _, target = text.partition(":")
    if name != "jsonl":
        raise OptionError(f"--log {text}: no output of this name", hint="write jsonl:FOLDER")
    if not target:
        raise OptionError(f"--log {text}: where to is missing", hint="write jsonl:FOLDER")
    return Jsonl(Path(target), tell)


class Jsonl:
    """The two files in a folder; they are appended to, and lines are written whole."""

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._told: set[str] = set()
        self._append("metrics.jsonl", [])  # an early answer

    def write(self, entries: Sequence[Entry]) -> None:
        """Appends a line for each step, in the order of appearance, and one for each score."""
        lines: list[dict[str, Any]] = []
        current: dict[int, dict[str, Any]] = {}
        scores = []
        for step, name, value in entries:
            number = self._number(value)
            if number is None:
                continue
            if name == SCORE:
                scores.append({"step": step, name: number})
            line = current.get(step)
            if line is None or name in line:
                line = current[step] = {"step": step}
                lines.append(line)
            line[name] = number
        self._append("metrics.jsonl", lines)
        self._append("scores.jsonl", scores)

    def _number(self, value: Any) -> float | None:
        if isinstance(value, str) or np.ndim(value):
            self._tell_once("texts and arrays are left out of metrics.jsonl")
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
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"{path}: cannot be written: {reason}") from error


def _write_whole(file: BinaryIO, data: bytes) -> None:
    """Appends lines; a line that a hard kill or a full disk has cut is taken away first."""
    end = file.seek(0, 2)
    if end:
        start = max(0, end - (1 << 20))
        file.seek(start)
        tail = file.read(end - start)
        if not tail.endswith(b"\n"):
            end = start + tail.rfind(b"\n") + 1
            file.truncate(end)
    try:
        while data:
            data = data[file.write(data) :]
    except OSError:
        file.truncate(end)
        raise
