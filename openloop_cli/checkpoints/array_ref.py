"""One array inside a checkpoint file: known by place, shape and dtype, read when asked for.

`read()` allocates what the shape says, and only after the file was seen to hold that many
bytes. The memory is fresh, writable and aligned for JAX; the bytes go straight into it.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import CheckpointError

# JAX on the CPU takes over a NumPy buffer without a copy when it is aligned like this.
_ALIGNMENT = 64


@dataclass(frozen=True)
class ArrayRef:
    """One array inside a pickle, not read yet.

    Attributes:
      name: The parameter's name, verbatim: `dyn/dynin0/kernel`.
      shape: As `read()` returns it.
      dtype: In this machine's byte order; `ml_dtypes.bfloat16` is one of them.
      order: How the bytes run: `C` row by row, `F` column by column.
      path: The file (of a sharded checkpoint: the shard) that holds the bytes.
      offset: Where they start; meaningless when `inline` is given.
      nbytes: Size of the array.
      file_size: Size of the file when it was indexed.
      stored: Size in the file; more than `nbytes` only for `latin1` text.
      latin1: The bytes are spelled as text (protocol 2).
      swapped: The file has the other byte order (JAX takes none but the machine's own).
      axes: The array is the stored one with its axes in this order.
      inline: The bytes themselves; only for short `latin1` text.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    path: Path
    offset: int
    nbytes: int
    file_size: int
    stored: int
    latin1: bool = False
    swapped: bool = False
    axes: tuple[int, ...] | None = None
    inline: bytes | None = None

    def read(self) -> Array:
        """The array; a `CheckpointError` if the file has changed size or is gone."""
        return read_together([self])[0]

    def read_into(self, memory: Array) -> Array:
        """The array, in `memory`: (nbytes,) uint8."""
        if self.inline is not None:
            memory[:] = np.frombuffer(self.inline, np.uint8)
        else:
            with open_file(self.path) as file:
                self._check_unchanged(file)
                file.seek(self.offset)
                if self.latin1:
                    memory[:] = np.frombuffer(self._decode(file), np.uint8)
                else:
                    _read_into(file, memory, self.path)
        return self._arrange(memory)

    def _check_unchanged(self, file: FileIO) -> None:
        size = os.fstat(file.fileno()).st_size
        if size != self.file_size:
            raise CheckpointError(
                f"{self.path}: {self.file_size} bytes when it was opened, {size} bytes now",
                hint="the file changed while it was being read; read the checkpoint again",
            )

    def _decode(self, file: FileIO) -> bytes:
        text = bytearray(self.stored)
        _read_into(file, np.frombuffer(text, np.uint8), self.path)
        try:
            data = text.decode("utf-8").encode("latin1")
        except UnicodeError as error:
            raise CheckpointError(f"{self.path}: {self.name}: not latin1 text") from error
        if len(data) != self.nbytes:
            raise CheckpointError(
                f"{self.path}: {self.name}: expected {self.nbytes} bytes, found {len(data)}"
            )
        return data

    def _arrange(self, memory: Array) -> Array:
        flat = memory.view(self.dtype)
        if self.swapped:
            flat.byteswap(inplace=True)
        if self.axes is None:
            return flat.reshape(self.shape, order=self.order)
        stored_shape = [0] * len(self.shape)
        for axis, length in zip(self.axes, self.shape, strict=True):
            stored_shape[axis] = length
        return flat.reshape(stored_shape).transpose(self.axes)


@contextmanager
def open_file(path: Path) -> Iterator[FileIO]:
    """A regular file, unbuffered; whatever the disk refuses becomes one clear line."""
    with disk_errors(path):
        # Looked at before it is opened: opening a named pipe would wait for ever.
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise CheckpointError(f"{path}: expected a file, found a folder")
        if not stat.S_ISREG(mode):
            raise CheckpointError(f"{path}: expected a regular file")
        with path.open("rb", buffering=0) as file:
            yield file


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about `path` into a `CheckpointError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{_place(error, path)}: no such file or folder",
            hint="a trainer deletes its older checkpoints; look what is there now",
        ) from error
    except PermissionError as error:
        raise CheckpointError(
            f"{_place(error, path)}: permission denied", hint="make it readable for your user"
        ) from error
    except OSError as error:
        place = _place(error, path)
        raise CheckpointError(f"{place}: cannot be read: {error.strerror or error}") from error


def _place(error: OSError, path: Path) -> object:
    """The path that the error is about, which may lie below `path`."""
    return error.filename if isinstance(error.filename, str) else path


def read_together(refs: Sequence[ArrayRef]) -> list[Array]:
    """Several arrays, side by side in one piece of memory."""
    ends = list(accumulate(_room(ref.nbytes) for ref in refs))
    memory = _aligned(ends[-1] if ends else 0)
    return [
        ref.read_into(memory[end - _room(ref.nbytes) :][: ref.nbytes])
        for ref, end in zip(refs, ends, strict=True)
    ]


def _room(nbytes: int) -> int:
    return -(-nbytes // _ALIGNMENT) * _ALIGNMENT


def _aligned(nbytes: int) -> Array:
    """(nbytes,) uint8, not initialised."""
    raw = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + nbytes]


def _read_into(file: FileIO, memory: Array, path: Path) -> None:
    view = memory.data
    while len(view):
        count = file.readinto(view)
        if not count:
            raise CheckpointError(f"{path}: ended early, {len(view)} bytes are missing")
        view = view[count:]
