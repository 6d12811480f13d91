"""Portal's wire format: bytes <-> trees of arrays, as the reference's processes speak it over TCP.

    greeting   16 bytes, by the client, once for each connection; no answer
    frame      uint64 length, then that many bytes; both directions
    request    8 opaque bytes (the number), uint64 length of the method's name, name, packed list
    response   the same 8 bytes, uint64 status, then a packed tree (status 0) or a text
    packed     uint64 count, as many uint64 sizes, then the buffers: msgpack of the structure with
               nil at each leaf, msgpack of one description for each leaf, one buffer for each leaf

All integers are little-endian. Source: portal 3.8.3, `packlib`, `server`, `client`.

What comes is hostile: every count and size is checked against the bytes that are there before
memory is taken, and arrays are views of the message. Two kinds of fault are kept apart, since they
get different answers: `Undecodable` is no message at all, `Refused` is a whole message that holds
something that nobody may send (shared memory, objects, a shape that does not fit its bytes).
"""

import math
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openloop_cli.errors import NotInstalledError, OpenloopError

GREETING = b"portal_handshake"
OK, TOO_SHORT, UNDECODABLE, UNKNOWN_METHOD, FAILED = range(5)

Tree = Any
"""None, str, bytes, a NumPy array, or a list or dict (keys are texts) of trees."""

MOST_LEAVES = 8192
"""Of one message; the reference refuses more than 1,000 metrics."""
MOST_STRUCTURE = 1 << 20
"""Bytes of a message's structure and of its descriptions: msgpack becomes some fifty times as
much memory when it is read."""
DEEPEST = 32
MOST_AXES = 64
"""NumPy's own bound."""

_NOTHING = b"\0"
_KINDS = "biufUS"


class MessageError(OpenloopError):
    """A message that was not taken."""


class Undecodable(MessageError):  # noqa: N818  the names of what came, as they are told
    """Bytes that are no message."""


class Refused(MessageError):  # noqa: N818
    """A message that is whole, but holds what we do not take."""


def check_installed() -> None:
    """Raises NotInstalledError where the extra is missing."""
    try:
        import msgpack  # noqa: F401
    except ImportError:
        raise NotInstalledError("openloop serve", "msgpack", "serve") from None


@dataclass(frozen=True)
class Request:
    """One call: `number` is to be sent back as it is; `arguments` are still packed."""

    number: bytes
    method: str
    arguments: memoryview


def frame(*parts: bytes | memoryview) -> bytes:
    """A frame of these bytes, one after another."""
    body = b"".join(parts)
    return _integer(len(body)) + body


def request(number: int, method: str, *arguments: Tree) -> bytes:
    """A call as a frame."""
    return call(number, method, pack(list(arguments)))


def call(number: int, method: str, arguments: bytes) -> bytes:
    """A call whose arguments are packed already."""
    name = method.encode()
    return frame(_integer(number), _integer(len(name)), name, arguments)


def response(number: bytes, result: Tree = None) -> bytes:
    """A good answer as a frame."""
    return frame(number, _integer(OK), pack(result))


def failure(number: bytes, status: int, text: str) -> bytes:
    """An answer that the sender's next call raises, as a frame."""
    return frame(number, _integer(status), text.encode(errors="replace"))


def read_request(body: bytes) -> Request:
    """The call in a frame's body.

    Raises:
      Undecodable: It is too short for what it says, or its method's name is no text.
    """
    view = memoryview(body)
    if len(view) < 16:
        raise Undecodable(f"a call of {len(view)} bytes: expected at least 16")
    length = _read_integer(view, 8)
    if length > len(view) - 16:
        raise Undecodable(f"a method's name of {length} bytes in a call of {len(view)}")
    try:
        method = str(view[16 : 16 + length], "utf-8")
    except UnicodeDecodeError:
        raise Undecodable("a method's name that is no UTF-8") from None
    return Request(bytes(view[:8]), method, view[16 + length :])


def read_response(body: bytes) -> tuple[bytes, int, Tree]:
    """Number, status, and the result or the text of a frame's body.

    Raises:
      MessageError: It is none.
    """
    view = memoryview(body)
    if len(view) < 16:
        raise Undecodable(f"an answer of {len(view)} bytes: expected at least 16")
    status = _read_integer(view, 8)
    rest = view[16:]
    return bytes(view[:8]), status, str(rest, "utf-8", "replace") if status else unpack(rest)


def receive_answer(connection: socket.socket, *, most: int = 1 << 20) -> tuple[int, Tree]:
    """Status, and result or text, of the next answer that comes.

    Args:
      most: Bytes that it may have.

    Raises:
      OSError: The server is gone, or silent.
      MessageError: What came is none, or larger.
    """
    length = int.from_bytes(_exactly(connection, 8), "little")
    if length > most:
        raise Undecodable(f"an answer of {length} bytes")
    _, status, said = read_response(_exactly(connection, length))
    return status, said


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionResetError("the server has closed the connection")
        data += more
    return bytes(data)


def leaf_size(leaf: Tree) -> int:
    """Bytes of a leaf when it is packed, without packing it.

    Raises:
      Refused: It is of a kind that cannot be sent.
    """
    if isinstance(leaf, str):
        return len(leaf.encode(errors="replace"))
    return max(1, _array_of(leaf).nbytes)


def pack(tree: Tree) -> bytes:
    """A tree as bytes. Tuples become lists; numbers and bools arrays of rank 0.

    Raises:
      Refused: A leaf is of a kind that cannot be sent.
    """
    import msgpack

    descriptions, buffers = [], []
    for leaf in _leaves(tree):
        description, buffer = _pack_leaf(leaf)
        descriptions.append(description)
        buffers.append(buffer)
    head = [msgpack.packb(_hollow(tree)), msgpack.packb(descriptions)]
    whole = [*head, *buffers]
    sizes = struct.pack(f"<{len(whole) + 1}Q", len(whole), *map(len, whole))
    return b"".join([sizes, *whole])


def unpack(data: bytes | memoryview) -> Tree:
    """The tree in these bytes. Arrays are read-only views of `data`.

    Raises:
      Undecodable: It is no packed tree, or is too large or too deep for one.
      Refused: A leaf is shared memory, of objects or of times, or does not fit its bytes.
    """
    structure, descriptions, *buffers = _buffers(memoryview(data))
    count = len(buffers)
    hollow = _msgpack(structure, count)
    described = _msgpack(descriptions, count)
    if not isinstance(described, list) or len(described) != count:
        raise Undecodable(f"expected a description for each of {count} values")
    leaves = iter(zip(described, buffers, strict=True))
    tree = _fill(hollow, leaves, DEEPEST)
    if next(leaves, None) is not None:
        raise Undecodable("more values than places for them")
    return tree


def _pack_leaf(leaf: Tree) -> tuple[list[Any], bytes]:
    if leaf is None:
        return ["none"], _NOTHING
    if isinstance(leaf, str):
        return ["utf8"], leaf.encode(errors="replace")
    if isinstance(leaf, bytes | bytearray | memoryview):
        return ["bytes"], bytes(leaf)
    array = _array_of(leaf)
    return ["array", list(array.shape), array.dtype.str], array.tobytes() or _NOTHING


def _array_of(leaf: Tree) -> np.ndarray:
    array = np.asarray(leaf)
    if array.dtype.kind not in _KINDS:
        raise Refused(f"values of type {array.dtype.name} cannot be sent")
    return array


def _leaves(tree: Tree) -> Iterator[Tree]:
    if isinstance(tree, Mapping):
        for value in tree.values():
            yield from _leaves(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _leaves(value)
    else:
        yield tree


def _hollow(tree: Tree) -> Tree:
    if isinstance(tree, Mapping):
        return {str(key): _hollow(value) for key, value in tree.items()}
    return [_hollow(value) for value in tree] if isinstance(tree, list | tuple) else None


def _buffers(view: memoryview) -> list[memoryview]:
    """The buffers, whose sizes must say exactly the bytes that are there."""
    if len(view) < 8:
        raise Undecodable(f"a tree of {len(view)} bytes")
    count = _read_integer(view, 0)
    if not 2 <= count <= MOST_LEAVES + 2:
        raise Undecodable(f"{count} buffers: expected 2 to {MOST_LEAVES + 2}")
    start = 8 + 8 * count
    if len(view) < start:
        raise Undecodable(f"{count} buffers in {len(view)} bytes")
    sizes = struct.unpack_from(f"<{count}Q", view, 8)
    if sum(sizes) != len(view) - start:
        raise Undecodable(f"buffers of {sum(sizes)} bytes in {len(view) - start}")
    found = []
    for size in sizes:
        found.append(view[start : start + size])
        start += size
    return found


def _msgpack(buffer: memoryview, leaves: int) -> Tree:
    import msgpack

    if len(buffer) > MOST_STRUCTURE:
        raise Undecodable(f"a structure of {len(buffer)} bytes: expected at most {MOST_STRUCTURE}")
    # An empty list is a byte that becomes 56: no list or map has more members than there are
    # values, and MOST_AXES of a shape.
    most = max(leaves, MOST_AXES)
    try:
        return msgpack.unpackb(
            buffer,
            raw=False,
            strict_map_key=True,
            max_array_len=most,
            max_map_len=most,
            max_ext_len=0,
            max_bin_len=0,
        )
    # Its errors have no common base (ValueError, RecursionError, KeyError, its own).
    except Exception as error:  # noqa: BLE001
        raise Undecodable(f"the structure is no msgpack: {type(error).__name__}") from None


def _fill(hollow: Tree, leaves: Iterator[tuple[Any, memoryview]], depth: int) -> Tree:
    if hollow is None:
        try:
            described, buffer = next(leaves)
        except StopIteration:
            raise Undecodable("fewer values than places for them") from None
        return _unpack_leaf(described, buffer)
    if depth == 0:
        raise Undecodable(f"a tree deeper than {DEEPEST}")
    if isinstance(hollow, dict):
        if not all(isinstance(key, str) for key in hollow):
            raise Undecodable("a key that is no text")
        return {key: _fill(value, leaves, depth - 1) for key, value in hollow.items()}
    if isinstance(hollow, list):
        return [_fill(value, leaves, depth - 1) for value in hollow]
    raise Undecodable(f"{type(hollow).__name__} where the structure should be")


def _unpack_leaf(described: Any, buffer: memoryview) -> Tree:
    match described:
        case ["none"] if bytes(buffer[:2]) == _NOTHING:
            return None
        case ["utf8"]:
            try:
                return str(buffer, "utf-8")
            except UnicodeDecodeError:
                raise Refused("a text that is no UTF-8") from None
        case ["bytes"]:
            return buffer
        case ["array", list(shape), str(dtype)]:
            return _array(shape, dtype, buffer)
        case ["sharray", *_]:
            raise Refused("an array in shared memory", hint="send its values")
    raise Undecodable("a value of unknown kind")


def _array(shape: Sequence[Any], name: str, buffer: memoryview) -> np.ndarray:
    if len(shape) > MOST_AXES or not all(type(n) is int and 0 <= n < 2**63 for n in shape):
        raise Refused("a shape that is none")
    # Structured types are lists or hold commas; the others are short.
    if len(name) > 12 or name[1:2] not in _KINDS:
        raise Refused(f"an array of type {name[:20]!r}", hint="send numbers, bools or texts")
    try:
        dtype = np.dtype(name)
    except (TypeError, ValueError, SyntaxError, OverflowError):
        raise Refused(f"an array of type {name[:20]!r}") from None
    size = math.prod(shape)
    if dtype.kind not in _KINDS or (dtype.itemsize == 0 and size):
        raise Refused(f"an array of type {name[:20]!r}")
    if size == 0:
        if bytes(buffer[:2]) != _NOTHING:
            raise Refused(f"{len(buffer)} bytes for an array without values")
        return np.zeros(shape, dtype)
    if size * dtype.itemsize != len(buffer):
        raise Refused(f"{len(buffer)} bytes for {list(shape)[:8]} values of {name}")
    return np.frombuffer(buffer, dtype).reshape(shape)


def _integer(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _read_integer(view: memoryview, start: int) -> int:
    return int.from_bytes(view[start : start + 8], "little")
