"""One npz of arrays with equally many steps, read lazily and without trust.

`open_npz` reads the zip's directory and the header of each array: nothing is evaluated, nothing
but plain numbers and text is accepted, and what a header declares must fit the bytes that are
there. `read_steps` decompresses each array that it is asked for once, keeps only the steps that it
is asked for, and checks the checksum. Both raise ReplayError with one line that says what is
wrong, without the file's name.
"""

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import RemoteError, ReplayError
from openloop_cli.storage import RemotePath, each, remote

Span = tuple[int, int]
"""The steps from the first up to, not including, the second."""

_BLOCK = 1 << 18
_HEAD = 4096  # NumPy pads its headers to 128 bytes; longer ones are no plain array's
# What is fetched of a remote file at once: its end, and the beginning of each array, which for
# the flag of episode starts is all of it.
_TAIL, _HEADS, _SMALL = 1 << 16, 8192, 1 << 18
_MAX_STEP = 1 << 28
_MAX_RATIO = 1032  # what deflate reaches at most
_LOCAL = struct.Struct("<4s22xHH")
# Exactly what NumPy writes for a plain dtype: structured and object ones do not match.
_HEADER = re.compile(
    rb"\{'descr': '([<>|=]?[?biufcSU]\d{0,9})', 'fortran_order': (False|True), "
    rb"'shape': \(((?:\d{1,18}(?:, ?\d{1,18}){0,31},?)?)\),? *\} *\n?"
)
# All that zipfile raises on directories that were cut, flipped or made up; OSError where they
# make it seek to before the file's beginning.
_ZIP_ERRORS = (
    OSError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    NotImplementedError,
    ValueError,
    OverflowError,
    EOFError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class Member:
    """One array: what it is and where its bytes lie in the file."""

    key: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    header: int  # bytes before the first element
    size: int  # bytes in all, header included
    crc: int
    deflated: bool
    offset: int
    packed: int  # bytes in the file


def open_npz(path: Path, length: int | None = None) -> dict[str, Member]:
    """All arrays of an npz, in its own order; each must have `length` steps, if that is given. A
    scalar then counts as an array of one."""
    with _opened(path) as file:
        end = file.seek(0, 2)
        members: dict[str, Member] = {}
        for entry in _directory(file):
            if entry.filename.endswith(".npy"):
                member = _member(file, entry, end, length)
                if member.key in members:
                    raise ReplayError(f"it holds {member.key!r} twice")
                members[member.key] = member
    if not members:
        raise ReplayError("it holds no arrays")
    return members


def read_steps(path: Path, members: Iterable[Member], spans: Sequence[Span]) -> dict[str, Array]:
    """The steps in `spans` (sorted, disjoint) of each member, joined: (N, …)."""
    members = list(members)
    with _opened(path) as file:
        _prefetch(file, ((x.offset, x.offset + x.packed) for x in members))
        return {member.key: _read(file, member, spans) for member in members}


def warm_npz(paths: Iterable[Path]) -> None:
    """Fetches the directories and headers of remote files, several at once, for `open_npz`."""

    def warm(path: Path) -> None:
        # Whatever is wrong is told when the file is opened in its turn.
        with suppress(ReplayError, RemoteError), _opened(path) as file:
            _directory(file)

    each(warm, [path for path in paths if remote(path)])


def _prefetch(file: BinaryIO, ranges: Iterable[Span]) -> None:
    raw = getattr(file, "raw", None)  # of a remote file
    if raw is not None:
        raw.prefetch(ranges)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        if (place := remote(path)) is not None:
            with _opened_remote(place) as file:
                yield file
            return
        # A pipe would wait for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ReplayError("it is not a file")
        with path.open("rb", buffering=0) as file:
            yield file
    except FileNotFoundError:
        raise ReplayError("it is gone") from None
    except OSError as error:
        raise ReplayError(f"it cannot be read: {error.strerror or error}") from None


@contextmanager
def _opened_remote(path: RemotePath) -> Iterator[BinaryIO]:
    from openloop_cli.storage.files import RemoteFile

    with RemoteFile(path) as raw:
        raw.whole = _SMALL
        # A chunk's directory stands at its end, and a small chunk is as soon there as that.
        raw.prefetch([(raw.size - _TAIL if raw.size > _SMALL else 0, raw.size)])
        yield cast(BinaryIO, io.BufferedReader(raw, _TAIL))


def _directory(file: BinaryIO) -> list[zipfile.ZipInfo]:
    try:
        entries = zipfile.ZipFile(file).infolist()
        _prefetch(file, ((x.header_offset, x.header_offset + _HEADS) for x in entries))
        return entries
    except _ZIP_ERRORS:
        file.seek(0)
        if file.read(2) == b"PK":
            why = "it is cut short or damaged: its zip directory cannot be read"
        else:
            why = "it is not an npz (zip) file"
        raise ReplayError(why) from None


def _member(file: BinaryIO, entry: zipfile.ZipInfo, end: int, length: int | None) -> Member:
    key, size, packed = entry.filename[:-4], entry.file_size, entry.compress_size
    deflated = entry.compress_type == zipfile.ZIP_DEFLATED
    if entry.flag_bits & 1 or not (deflated or entry.compress_type == zipfile.ZIP_STORED):
        raise ReplayError(f"{key!r} is packed in a way that NumPy does not write")
    offset, head = _head(file, entry, deflated)
    if offset + packed > end:
        raise ReplayError(f"{key!r} reaches beyond the end of the file")
    if size > packed * _MAX_RATIO if deflated else size != packed:
        raise ReplayError(f"{key!r} declares {size} bytes, more than its {packed} can hold")
    dtype, fortran, shape, header = array_header(key, head)
    if length is None:
        shape = shape or (1,)
    elif not shape or shape[0] != length:
        raise ReplayError(f"{key!r} has shape {shape}, its file name says {length} steps")
    step = prod(shape[1:]) * dtype.itemsize
    if header + shape[0] * step != size or step > _MAX_STEP:
        raise ReplayError(f"{key!r} declares {dtype} of shape {shape}, but holds {size} bytes")
    return Member(key, dtype, shape, fortran, header, size, entry.CRC, deflated, offset, packed)


def _head(file: BinaryIO, entry: zipfile.ZipInfo, deflated: bool) -> tuple[int, bytes]:
    """Where the packed bytes begin, and the first of them, unpacked."""
    key = entry.filename[:-4]
    file.seek(max(entry.header_offset, 0))
    raw = file.read(_LOCAL.size + _HEAD)
    if entry.header_offset < 0 or len(raw) < _LOCAL.size or not raw.startswith(b"PK\3\4"):
        raise ReplayError(f"{key!r} is not where the zip directory says")
    _, name, extra = _LOCAL.unpack_from(raw)
    offset = entry.header_offset + _LOCAL.size + name + extra
    head = raw[_LOCAL.size + name + extra :][: entry.compress_size]
    if deflated:
        try:
            head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, _HEAD)
        except zlib.error:
            raise ReplayError(f"{key!r} is damaged") from None
    return offset, head


def array_header(key: str, head: bytes) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """dtype, Fortran order, shape, and the length of an npy header of version 1, 2 or 3."""
    # Versions 2 and 3 have a longer length field; 3 only differs for structured dtypes.
    begin, form = (10, "<H") if head[6:7] == b"\1" else (12, "<I")
    if len(head) < begin or not head.startswith(b"\x93NUMPY") or head[6] not in (1, 2, 3):
        raise ReplayError(f"{key!r} is not an array")
    end = begin + struct.unpack_from(form, head, 8)[0]
    match = _HEADER.fullmatch(head[begin:end]) if end <= len(head) else None
    if match is None:
        raise ReplayError(f"{key!r} is not an array of plain numbers (objects are never loaded)")
    descr, fortran, dims = (group.decode("ascii") for group in match.groups())
    try:
        dtype = np.dtype(descr)
    except (TypeError, ValueError):
        raise ReplayError(f"{key!r} has an unknown dtype {descr!r}") from None
    if dtype.itemsize == 0:
        raise ReplayError(f"{key!r} has an empty dtype {descr!r}")
    shape = tuple(int(dim) for dim in dims.split(",") if dim)
    return dtype, fortran == "True", shape, end


def _read(file: BinaryIO, member: Member, spans: Sequence[Span]) -> Array:
    """(N, …) in the machine's byte order."""
    steps = sum(stop - start for start, stop in spans)
    rest = member.shape[1:]
    raw = np.empty(steps * prod(rest) * member.dtype.itemsize, np.uint8)
    _gather(_blocks(file, member), _byte_spans(member, spans), raw.data)
    array = raw.view(member.dtype)
    # Fortran order is C order of the reversed axes: the steps lie innermost.
    array = array.reshape(*rest[::-1], steps).T if member.fortran else array.reshape(steps, *rest)
    return array.astype(member.dtype.newbyteorder("="), copy=False)


def _byte_spans(member: Member, spans: Sequence[Span]) -> Iterator[Span]:
    item, rows = member.dtype.itemsize, prod(member.shape[1:])
    for row in range(rows if member.fortran else 1):
        begin = member.header + row * member.shape[0] * item
        scale = item if member.fortran else item * rows
        for start, stop in spans:
            yield begin + start * scale, begin + stop * scale


def _gather(blocks: Iterable[bytes], spans: Iterator[Span], out: memoryview) -> None:
    """Copy the spans of a stream of blocks behind one another into `out`."""
    position = filled = 0
    span = next(spans, None)
    for block in blocks:
        end = position + len(block)
        while span is not None and span[0] < end:
            part = block[max(span[0] - position, 0) : span[1] - position]
            out[filled : filled + len(part)] = part
            filled += len(part)
            if span[1] > end:
                break
            span = next(spans, None)
        position = end


def _blocks(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """The member's bytes, unpacked, in small pieces; all of them, because the sum comes last."""
    size = crc = 0
    for block in _inflated(file, member) if member.deflated else _packed(file, member):
        size += len(block)
        if size > member.size:
            break
        crc = zlib.crc32(block, crc)
        yield block
    if size != member.size or crc != member.crc:
        raise ReplayError(f"{member.key!r} is damaged")


def _inflated(file: BinaryIO, member: Member) -> Iterator[bytes]:
    unpack = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for packed in _packed(file, member):
            while packed and not unpack.eof:
                yield unpack.decompress(packed, _BLOCK)
                packed = unpack.unconsumed_tail
        while not unpack.eof and (block := unpack.decompress(b"", _BLOCK)):
            yield block
    except zlib.error:
        raise ReplayError(f"{member.key!r} is damaged") from None


def _packed(file: BinaryIO, member: Member) -> Iterator[bytes]:
    file.seek(member.offset)
    left = member.packed
    while left and (block := file.read(min(left, _BLOCK))):
        left -= len(block)
        yield block
