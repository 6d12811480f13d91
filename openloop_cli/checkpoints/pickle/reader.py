"""A lazy index of a pickle, made without running what the pickle says.

`index_pickle` walks the instructions with a stack machine of its own. It yields plain
dicts, lists, tuples, text, numbers, None, and for arrays a `StoredArray`: shape, dtype and
where the bytes lie. Array contents are passed over, never read; a name outside the
allow-list of `pickle_values`, or a use of it that NumPy does not write, is refused.

Protocols 2 to 5, with the buffers inside. Work and memory are bounded by `MAX_OPCODES`, and
no walk over the result follows a shared object twice, so nothing can blow up.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from openloop_cli.checkpoints.pickle.array_ref import open_file, size_of
from openloop_cli.checkpoints.pickle.machine import Machine
from openloop_cli.checkpoints.pickle.source import (
    ByteSource,
    MalformedError,
    Readable,
    RefusedError,
)
from openloop_cli.checkpoints.pickle.values import DType, Global, StoredArray, plain
from openloop_cli.errors import CheckpointError

MAX_DEPTH = 20


def index_pickle(path: Path) -> tuple[object, int]:
    """The pickle's value and the file's size, or a `CheckpointError` of one line."""
    with open_file(path) as file:
        size = size_of(file)
        if hasattr(os, "posix_fadvise"):
            # Else the kernel reads ahead around every jump, several per cent of the file.
            with suppress(OSError):  # a remote file has no number
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        return index_stream(file, size, str(path)), size


def index_stream(file: Readable, size: int, place: str) -> object:
    """The same for an open file of `size` bytes; errors name it `place`."""
    source = ByteSource(file, size)
    machine = Machine(source)
    try:
        _check_header(source)
        value = machine.run()
        _check_value(value)
    except RefusedError as error:
        raise CheckpointError(
            f"{place}: refuses {error} at byte {machine.opcode_start}{machine.where()}: "
            "a checkpoint holds arrays and numbers only"
        ) from error
    except MalformedError as error:
        raise CheckpointError(
            f"{place}: {error}, at byte {machine.opcode_start}{machine.where()}",
            hint="the file is damaged, incomplete, or not a checkpoint",
        ) from error
    return value


_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive, as PyTorch and NumPy write them",
    b"\x1f\x8b": "compressed with gzip",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy .npy file",
    b"version https://git-lfs": "a Git LFS pointer; fetch the file itself with `git lfs pull`",
    b"<": "an HTML or XML page",
    b"{": "JSON or other text",
}


def _check_header(source: ByteSource) -> None:
    if not source.size:
        raise MalformedError("an empty file")
    head = source.take(min(source.size, 24))
    source.pos = 0
    for magic, words in _OTHER_FORMATS.items():
        if head.startswith(magic):
            raise MalformedError(f"not a pickle: {words}")
    if head[0] != 0x80:
        raise MalformedError("not a pickle of protocol 2 to 5")
    if len(head) > 1 and not 2 <= head[1] <= 5:
        raise MalformedError(f"pickle protocol {head[1]}, expected 2 to 5")


# The keys down to a value, innermost first: ("kernel", ("params", None)). Joined only for an
# error, for a hostile pickle could make a million long names.
_Trail: TypeAlias = "tuple[str, _Trail] | None"


def _check_value(root: object) -> None:
    """No half-made array, stray marker or absurd nesting is left anywhere in the result."""
    seen: set[int] = set()
    pending: list[tuple[object, int, _Trail]] = [(root, 0, None)]
    while pending:
        value, depth, trail = pending.pop()
        if isinstance(value, Global):
            raise RefusedError(f"{value.spelled} as a value{_join(trail)}")
        if isinstance(value, DType):
            raise RefusedError(f"a dtype as a value{_join(trail)}")
        if isinstance(value, StoredArray) and value.payload is None:
            raise MalformedError(f"an array without contents{_join(trail)}")
        if not isinstance(value, dict | list | tuple) or id(value) in seen:
            continue
        if depth == MAX_DEPTH:
            raise MalformedError(f"nested more than {MAX_DEPTH} deep{_join(trail)}")
        seen.add(id(value))
        if isinstance(value, dict):
            pending.extend((item, depth + 1, (str(key), trail)) for key, item in value.items())
        else:
            pending.extend((item, depth + 1, trail) for item in value)


def _join(trail: _Trail) -> str:
    keys: list[str] = []
    while trail:
        key, trail = trail
        keys.insert(0, plain(key))
    return f", in {'/'.join(keys)}" if keys else ""
