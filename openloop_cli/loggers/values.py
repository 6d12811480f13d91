"""What a logged value is: its rank and type decide, as in the reference (elements 3.22, logger.py).

    str                    text
    rank 0                 scalar
    rank 1                 vector
    rank 2, 3              image (H, W), (H, W, C)
    rank 4                 video (T, H, W, C)
    a `VideoFile`          video that is encoded already

All else is refused, where the reference lets `None` and objects pass and fails later.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from openloop_cli.errors import OutputError
from openloop_cli.text import clean

Entry = tuple[int, str, Any]
"""(step, name, value), as outputs take them."""

LONGEST_NAME = 200
"""Characters of a name before its prefix; the reference's number."""


class Kind(StrEnum):
    """What a value is."""

    scalar = "scalar"
    text = "text"
    vector = "vector"
    image = "image"
    video = "video"
    file = "file"


@dataclass(frozen=True)
class VideoFile:
    """A video on the disk, which outputs copy or decode. Its file must stay until `close`."""

    path: Path


@dataclass(frozen=True)
class Attachment:
    """A file to go with the metrics, such as a page, for outputs that keep files."""

    path: Path


_NUMBERS = frozenset((int, float))
_BY_RANK = (Kind.scalar, Kind.vector, Kind.image, Kind.image, Kind.video)


def kind_of(value: Any) -> Kind:
    """The kind of a value that `checked` has returned."""
    if type(value) in _NUMBERS:  # nearly all of them
        return Kind.scalar
    if isinstance(value, str):
        return Kind.text
    if isinstance(value, VideoFile):
        return Kind.video
    if isinstance(value, Attachment):
        return Kind.file
    return _BY_RANK[np.ndim(value)]


def checked(name: Any, value: Any) -> Any:
    """The value as outputs take it: a number, a string, a file, or an array of our own.

    Raises:
      OutputError: A name or a value that cannot be logged.
    """
    if type(value) in _NUMBERS and type(name) is str and 0 < len(name) <= LONGEST_NAME:
        return value
    if not isinstance(name, str) or not name:
        raise OutputError(f"cannot log {clean(name)!r}: a name is a text")
    if len(name) > LONGEST_NAME:
        raise OutputError(
            f"cannot log {clean(name, 40)!r}: a name of {len(name)} characters",
            hint=f"at most {LONGEST_NAME}",
        )
    if isinstance(value, (str, VideoFile, Attachment)) or type(value) in _NUMBERS:
        return value
    try:
        found = np.array(value)  # a copy: the caller may go on to change it
    except (TypeError, ValueError) as error:
        raise OutputError(f"cannot log {clean(name)!r}: {clean(error)}") from None
    if found.dtype.kind == "V":  # bfloat16 and its like
        try:
            found = found.astype(np.float32)
        except (TypeError, ValueError):
            raise _refused(name, f"values of {found.dtype}") from None
    if found.dtype.kind not in "biuf":
        raise _refused(name, "an object" if found.dtype.kind == "O" else f"values of {found.dtype}")
    if found.ndim >= len(_BY_RANK):
        raise _refused(name, f"an array of rank {found.ndim}")
    return found


def rows(entries: Sequence[Entry]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Entries by step, in the order of appearance; a name that comes again begins another row."""
    found: list[tuple[int, dict[str, Any]]] = []
    current: dict[int, dict[str, Any]] = {}
    for step, name, value in entries:
        row = current.get(step)
        if row is None or name in row:
            row = current[step] = {}
            found.append((step, row))
        row[name] = value
    yield from found


def size_of(value: Any) -> int:
    """Bytes that the value keeps in memory, roughly."""
    if type(value) in _NUMBERS:
        return 100
    if isinstance(value, np.ndarray):
        return 100 + value.nbytes
    return 100 + (len(value) if isinstance(value, str) else 0)


def _refused(name: str, what: str) -> OutputError:
    return OutputError(
        f"cannot log {clean(name)!r}: {what}",
        hint="a number, a text, or an array of numbers of rank 1 to 4",
    )
