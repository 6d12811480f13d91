"""One array inside a checkpoint file: known by place, shape and dtype, read when asked for.

`read()` allocates what the shape says, and only after the file was seen to hold that many
bytes. The memory is fresh, writable and aligned for JAX; the bytes go straight into it.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import RawIOBase
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import CheckpointError
from openloop_cli.storage import RemotePath, remote

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
      version: What the store said of the file when it was indexed; only of a remote one.
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
    version: str = ""

    def read(self) -> Array:
        """The array; a `CheckpointError` if the file has changed size or is gone."""
        return read_together([self])[0]

    def read_from(self, file: RawIOBase | None, memory: Array) -> Array:
        """The array, in `memory`: (nbytes,) uint8. No file is needed for `inline` bytes."""
        if self.inline is not None:
            memory[:] = np.frombuffer(self.inline, np.uint8)
        else:
            assert file is not None, "its bytes are in the file"
            file.seek(self.offset)
            if self.latin1:
                memory[:] = np.frombuffer(self._decode(file), np.uint8)
            else:
                _read_into(file, memory, self.path)
        return self._arrange(memory)

    def _decode(self, file: RawIOBase) -> bytes:
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
def open_file(path: Path) -> Iterator[RawIOBase]:
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


def size_of(file: RawIOBase) -> int:
    """The size of an open file."""
    return file.seek(0, os.SEEK_END)


def file_version(path: Path) -> str:
    """What changes with a remote file's contents; empty for one on a disk."""
    place = remote(path)
    if place is None:
        return ""
    with disk_errors(path):
        return place.stat().version


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about `path` into a `CheckpointError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{_place(error, path)}: no such file or folder",
            hint="a trainer deletes its older checkpoints; list the folder",
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
    pieces = [
        (ref, memory[end - _room(ref.nbytes) :][: ref.nbytes])
        for ref, end in zip(refs, ends, strict=True)
    ]
    arrays: list[Array] = []
    for (path, inline), group in groupby(pieces, lambda x: (x[0].path, x[0].inline is not None)):
        if inline:
            arrays += [ref.read_from(None, piece) for ref, piece in group]
        else:
            arrays += _read_file(path, list(group))
    return arrays


def _read_file(path: Path, pieces: Sequence[tuple[ArrayRef, Array]]) -> list[Array]:
    """Arrays of one file, which must still be the one that was indexed."""
    first = pieces[0][0]
    place = remote(path)
    if place is not None:
        return _read_remote(place, pieces)
    with open_file(path) as file:
        size = size_of(file)
        if size != first.file_size:
            raise _changed(first, size)
        return [ref.read_from(file, piece) for ref, piece in pieces]


def _read_remote(path: RemotePath, pieces: Sequence[tuple[ArrayRef, Array]]) -> list[Array]:
    """The same with all ranges fetched at once: nothing holds a remote file in place meanwhile."""
    from openloop_cli.storage.files import RemoteFile

    first = pieces[0][0]
    with RemoteFile(path, size=first.file_size, version=first.version) as file:
        with disk_errors(first.path):
            try:
                file.prefetch((ref.offset, ref.offset + ref.stored) for ref, _ in pieces)
            finally:
                # Also tells why a range was not there any more.
                now = file.look_again()
                if (now.size, now.version) != (file.size, file.version):
                    raise _changed(first, now.size)
        return [ref.read_from(file, piece) for ref, piece in pieces]


def _changed(ref: ArrayRef, size: int) -> CheckpointError:
    now = f"{size} bytes now" if size != ref.file_size else "others now"
    return CheckpointError(
        f"{ref.path}: {ref.file_size} bytes when it was opened, {now}",
        hint="the file changed while it was being read; read the checkpoint again",
    )


def _room(nbytes: int) -> int:
    return -(-nbytes // _ALIGNMENT) * _ALIGNMENT


def _aligned(nbytes: int) -> Array:
    """(nbytes,) uint8, not initialised."""
    raw = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + nbytes]


def _read_into(file: RawIOBase, memory: Array, path: Path) -> None:
    view = memory.data
    while len(view):
        count = file.readinto(view)
        if not count:
            raise CheckpointError(f"{path}: ended early, {len(view)} bytes are missing")
        view = view[count:]
