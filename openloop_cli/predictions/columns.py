"""Arrays that lie in files and are read a few windows at a time.

A column is one array of all windows, such as the truth of one key: its shape (B, …) and dtype are
known, its rows are read when they are asked for.
"""

import io
import os
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import PredictionsError, RemoteError, ReplayError
from openloop_cli.replay.npz import Member, array_header, open_npz, read_steps
from openloop_cli.storage import remote

# Compressed arrays are unpacked whole; beyond this, all of a file together, they are refused.
MOST_UNPACKED = 1 << 30
# Of one array whose windows lie in a file each.
MOST_KEPT = 256 << 20
_HEAD = 4096


class Column(Protocol):
    """One array of all windows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, …)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """In the machine's byte order."""

    def read(self, index: slice | Array) -> Array:
        """These rows."""


@dataclass(frozen=True)
class InMemory:
    """An array that is there already."""

    array: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, …)."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its own."""
        return self.array.dtype

    def read(self, index: slice | Array) -> Array:
        """These rows."""
        return self.array[index]


@dataclass(frozen=True)
class OneByOne:
    """Windows that lie in a file each; where all are small, each is read once.

    Attributes:
      shape: (B, …) of all.
      load: Reads the window of this number.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Callable[[int], Array]
    _kept: dict[int, Array] = field(default_factory=dict, compare=False)

    def read(self, index: slice | Array) -> Array:
        """These rows."""
        rows = [self._row(int(i)) for i in np.arange(self.shape[0])[index]]
        return np.stack(rows) if rows else np.empty((0, *self.shape[1:]), self.dtype)

    def _row(self, window: int) -> Array:
        if window in self._kept:
            return self._kept[window]
        row = self.load(window)
        if prod(self.shape) * self.dtype.itemsize <= MOST_KEPT:
            self._kept[window] = row
        return row


@dataclass(frozen=True)
class InFile:
    """An array whose bytes lie in a file as they are, in C order.

    Attributes:
      offset: Where its first number begins.
      stored: Its dtype in the file, whose byte order may be another machine's.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    name: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False)

    @property
    def dtype(self) -> np.dtype[Any]:
        """In the machine's byte order."""
        return self.stored.newbyteorder("=")

    def read(self, index: slice | Array) -> Array:
        """These rows; neighbours are read together."""
        rows = np.arange(self.shape[0])[index]
        size = prod(self.shape[1:]) * self.stored.itemsize
        raw = np.empty(len(rows) * size, np.uint8)
        try:
            with self._lock, opened(self.path) as file:
                for start, stop in _runs(rows):
                    file.seek(self.offset + int(rows[start]) * size)
                    _fill(file, raw.data[start * size : stop * size])
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise PredictionsError(f"{self.path}: cannot be read: {reason}") from None
        except EOFError:
            raise PredictionsError(f"{self.path}: {self.name}: the file ends too soon") from None
        array = raw.view(self.stored).reshape(len(rows), *self.shape[1:])
        return array.astype(self.dtype, copy=False)


@dataclass(frozen=True)
class Unpacked:
    """An array that is compressed, or in Fortran order: read whole when it is first needed."""

    path: Path
    member: Member
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, …)."""
        return self.member.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """In the machine's byte order."""
        return self.member.dtype.newbyteorder("=")

    @cached_property
    def _whole(self) -> Array:
        try:
            found = read_steps(self.path, [self.member], [(0, self.member.shape[0])])
        except (ReplayError, RemoteError) as error:
            raise PredictionsError(f"{self.path}: {error.message}") from None
        return found[self.member.key]

    def read(self, index: slice | Array) -> Array:
        """These rows."""
        with self._lock:
            return self._whole[index]


def npz_columns(path: Path) -> dict[str, Column]:
    """The arrays of an npz by name, numbers and text alone; scalars as one row.

    Raises:
      PredictionsError: Not an npz, damaged, holding objects, or unpacking to too much.
    """
    try:
        members = open_npz(path)
    except (ReplayError, RemoteError) as error:
        raise PredictionsError(f"{path}: {error.message}") from None
    unpacked = sum(x.size for x in members.values() if x.deflated or x.fortran)
    if unpacked > MOST_UNPACKED:
        raise PredictionsError(
            f"{path}: unpacks to {unpacked / 2**30:,.1f} GiB, which is not read at once",
            hint="write it with np.savez, which does not compress, or as a folder of .npy files:"
            " these are read in pieces",
        )
    return {name: _column(path, member) for name, member in members.items()}


def npy_column(path: Path) -> Column:
    """The array of an npy file.

    Raises:
      PredictionsError: Not an npy file, cut short, or one of objects.
    """
    try:
        with opened(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            dtype, fortran, shape, begin = array_header(path.stem, file.read(_HEAD))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PredictionsError(f"{path}: cannot be read: {reason}") from None
    except ReplayError as error:
        raise PredictionsError(f"{path}: {error.message}") from None
    if begin + prod(shape) * dtype.itemsize != size:
        raise PredictionsError(
            f"{path}: declares {dtype} of shape {shape}, but holds {size - begin} bytes"
        )
    if fortran and len(shape) > 1:
        if size > MOST_UNPACKED:
            raise PredictionsError(
                f"{path}: {size / 2**30:,.1f} GiB in Fortran order cannot be read in pieces",
                hint="write it with np.save(path, np.ascontiguousarray(array))",
            )
        turned = InFile(path, begin, shape[::-1], dtype, path.stem).read(slice(None))
        return InMemory(np.ascontiguousarray(turned.T))
    return InFile(path, begin, shape or (1,), dtype, path.stem)


def opened(path: Path) -> BinaryIO:
    """A file of this machine or the network, to be read anywhere.

    Raises:
      OSError: It is not there, or no file.
    """
    if remote(path):
        return io.BytesIO(path.read_bytes())
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(None, "not a file")
    return cast(BinaryIO, path.open("rb", buffering=0))


def _column(path: Path, member: Member) -> Column:
    if member.deflated or (member.fortran and len(member.shape) > 1):
        return Unpacked(path, member)
    begin = member.offset + member.header
    return InFile(path, begin, member.shape, member.dtype, member.key)


def _runs(rows: Array) -> Sequence[tuple[int, int]]:
    """Where rows follow each other: (start, stop) within the list."""
    if not len(rows):
        return []
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    edges = [0, *breaks.tolist(), len(rows)]
    return list(pairwise(edges))


def _fill(file: BinaryIO, out: memoryview) -> None:
    done = 0
    while done < len(out):
        got = file.readinto(out[done:])  # type: ignore[attr-defined]
        if not got:
            raise EOFError
        done += got
