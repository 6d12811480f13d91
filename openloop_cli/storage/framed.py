"""Messages in a file that is appended to: rows of `uint64 length, uint32 CRC-32, bytes`.

What a hard kill or a full disk has cut or torn ends the reading; what stands before it is whole.
"""

import os
import zlib
from collections.abc import Iterator
from typing import BinaryIO

_HEAD = 12


def framed(message: bytes) -> bytes:
    """A message as its row."""
    return len(message).to_bytes(8, "little") + zlib.crc32(message).to_bytes(4, "little") + message


def messages(file: BinaryIO, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """The whole messages from the byte `start` on, each with the place behind it."""
    size = os.fstat(file.fileno()).st_size
    while start + _HEAD < size:
        file.seek(start)
        head = file.read(_HEAD)
        length, crc = int.from_bytes(head[:8], "little"), int.from_bytes(head[8:], "little")
        start += _HEAD + length
        if start > size:
            return
        message = b""
        while len(message) < length and (more := file.read(length - len(message))):
            message += more
        if zlib.crc32(message) != crc:
            return
        yield start, message
