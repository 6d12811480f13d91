"""A pickle's bytes from front to back, in small blocks; array contents are passed over.

Nothing is read or allocated by a size from the file before that size was compared with the
bytes that are left.
"""

from typing import Protocol

# Between two large arrays lie about 150 bytes of instructions; a block has room for the
# small arrays (biases, scales) of a layer as well.
BLOCK = 4096


class MalformedError(ValueError):
    """The bytes are no well-formed pickle of arrays; told without place or position."""


class RefusedError(ValueError):
    """The pickle names something that we never do."""


class Readable(Protocol):
    """What we need of a file."""

    def seek(self, offset: int, /) -> int:
        """Go to this byte."""
        ...

    def read(self, size: int, /) -> bytes | None:
        """At most `size` bytes; empty at the end."""
        ...


class ByteSource:
    """`pos` is the offset in the file of the next byte."""

    def __init__(self, file: Readable, size: int) -> None:
        self._file = file
        self._block = b""
        self._block_start = 0
        self.size = size
        self.pos = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes; for a handful, never for an array's contents."""
        start = self.pos - self._block_start
        if start + count > len(self._block):
            self._fill(count)
            start = 0
        self.pos += count
        return self._block[start : start + count]

    def byte(self) -> int:
        """The next byte; `take(1)[0]`, but an index is made of little else."""
        at = self.pos - self._block_start
        if at >= len(self._block):
            self._fill(1)
            at = 0
        self.pos += 1
        return self._block[at]

    def number(self, width: int) -> int:
        """The next `width` bytes as an unsigned number."""
        return int.from_bytes(self.take(width), "little")

    def skip(self, count: int) -> int:
        """Pass over `count` bytes; the offset where they start."""
        self._require(count)
        start = self.pos
        self.pos += count
        return start

    def line(self, limit: int) -> bytes:
        """The bytes up to the next newline, which is dropped."""
        if self.pos + limit > self._block_start + len(self._block):
            self._fill(0, at_most=limit)
        start = self.pos - self._block_start
        end = self._block.find(b"\n", start, start + limit)
        if end < 0:
            raise MalformedError(f"no end of line within {limit} bytes")
        self.pos += end + 1 - start
        return self._block[start:end]

    def _require(self, count: int) -> None:
        left = self.size - self.pos
        if count > left:
            raise MalformedError(f"ends early: {count} bytes announced, {left} left")

    def _fill(self, count: int, at_most: int = 0) -> None:
        self._require(count)
        self._file.seek(self.pos)
        block = b""
        while len(block) < max(count, 1):
            piece = self._file.read(max(count, at_most, BLOCK) - len(block))
            if not piece:
                break
            block += piece
        if len(block) < count:
            raise MalformedError("ends early: the file shrank while it was being read")
        self._block, self._block_start = block, self.pos
