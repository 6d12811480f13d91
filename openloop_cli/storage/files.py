"""A remote file, read in ranges: few requests, and few bytes that nobody wanted.

A request costs some 50 ms wherever it goes, as long as half a megabyte takes on the way. So small
files come as a whole; whoever knows what comes next says so (`prefetch`); and where nobody says,
the reads themselves tell: those that follow one another are read ahead of, ever farther; those
that jump in a rhythm seen before (an optimizer's moments repeat the parameters' sizes) are met
where the rhythm leads. Bytes spent on guesses are bounded.
"""

import io
import threading
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from errno import EISDIR
from typing import TYPE_CHECKING, Any

from openloop_cli.storage import stores

if TYPE_CHECKING:
    from openloop_cli.storage.paths import RemotePath

# Up to here a file comes as a whole, side by side in parts.
WHOLE = 8 << 20
# What a jump and the reads after it are first given, and at most.
_FIRST, _MOST = 16 << 10, 512 << 10
# With more than these bytes fetched by guesses, a jump is given only the least.
_SPENT, _SPENT_SHARE, _LEAST = 2 << 20, 0.005, 4 << 10
# A jump passes over at least this much; landings of a rhythm differ by a few names' lengths.
_JUMP, _SLACK = 32 << 10, 512
_BEAT, _AHEAD, _MOST_MISSES = 3, 16, 6
# Ranges with less than this between them are fetched as one.
GAP = 16 << 10
# What is kept of closed files: blocks up to this size, of one file, and of all.
_SMALL, _KEPT_EACH, _KEPT = 64 << 10, WHOLE, 32 << 20


class RemoteFile(io.RawIOBase):
    """Raw and seekable; a read may give less than asked for, as from any raw file.

    Attributes:
      size, version: As the store told when it was opened, or as they are known from before.
      whole: Up to this size, the first read fetches everything.
    """

    whole = WHOLE

    def __init__(self, path: "RemotePath", size: int | None = None, version: str = "") -> None:
        super().__init__()
        if size is None:
            entry = stores.look(path)
            if entry.folder:
                raise IsADirectoryError(EISDIR, "is a folder", str(path))
            size, version = entry.size, entry.version
        self.path, self.size, self.version = path, size, version
        self._at = 0
        self._blocks = _kept.take(self)  # (start, bytes): disjoint, in order
        self._ahead = _FIRST
        self._guessed = 0
        self._rhythm = _Rhythm()

    def seekable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The offset of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to this byte; asks the store for nothing."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fills the buffer as far as one block goes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        left = min(len(view), self.size - self._at)
        if left <= 0:
            return 0
        landed = self._rhythm.landed(self._at)
        block = self._block(self._at)
        if block is None:
            self._read_ahead(left, landed)
            block = self._block(self._at)
            assert block is not None, "what was fetched is there"
        start, data = block
        piece = data[self._at - start : self._at - start + left]
        view[: len(piece)] = piece
        self._at += len(piece)
        self._rhythm.ended(self._at)
        return len(piece)

    def prefetch(self, ranges: Iterable[tuple[int, int]], gap: int = GAP) -> None:
        """Fetches ranges of (start, stop), neighbours as one, before they are read."""
        wanted: list[tuple[int, int]] = []
        for start, stop in sorted(ranges):
            start, stop = max(start, 0), min(stop, self.size)
            if wanted and start <= wanted[-1][1] + gap:
                wanted[-1] = (wanted[-1][0], max(stop, wanted[-1][1]))
            elif start < stop:
                wanted.append((start, stop))
        self._fetch([hole for span in wanted for hole in self._holes(*span)])

    def close(self) -> None:
        """Keeps for the next time what was small, or the whole of a small file."""
        if not self.closed:
            _kept.put(self, self._blocks)
            self._blocks = []
        super().close()

    def look_again(self) -> stores.Entry:
        """What the store says of the file now.

        Raises:
          FileNotFoundError, RemoteError: It is gone, or not to be reached.
        """
        return stores.fresh(self.path)

    def _read_ahead(self, left: int, landed: bool) -> None:
        """Fetches what is read now and, as far as can be told, next."""
        if self.size <= self.whole:
            self.prefetch([(0, self.size)])
            return
        self._ahead = _FIRST if landed else min(self._ahead * 2, _MOST)
        if self._guessed > _SPENT + self.size * _SPENT_SHARE:
            self._ahead = _LEAST
        spans = [(self._at, self._at + max(left, self._ahead))]
        if landed and self._ahead > _LEAST:
            expected = self._rhythm.next(self._at)
            spans += [(at - _SLACK, at - _SLACK + self._ahead) for at in expected]
        before = _bytes(self._blocks)
        self.prefetch(spans)
        self._guessed += _bytes(self._blocks) - before - left

    def _block(self, at: int) -> tuple[int, bytes] | None:
        number = bisect_right(self._blocks, at, key=lambda block: block[0]) - 1
        if number < 0:
            return None
        start, data = self._blocks[number]
        return (start, data) if at < start + len(data) else None

    def _holes(self, start: int, stop: int) -> list[tuple[int, int]]:
        """What of a range is not there yet."""
        holes = []
        number = max(0, bisect_right(self._blocks, start, key=lambda block: block[0]) - 1)
        for begin, data in self._blocks[number:]:
            if begin >= stop:
                break
            if begin > start:
                holes.append((start, begin))
            start = max(start, begin + len(data))
        return [*holes, (start, stop)] if start < stop else holes

    def _fetch(self, spans: Sequence[tuple[int, int]]) -> None:
        if spans:
            for (start, _), data in zip(spans, stores.fetch(self.path, spans), strict=True):
                insort(self._blocks, (start, data), key=lambda block: block[0])


class _Kept:
    """Blocks of files that were closed, for when they are opened again in the same state: an
    index is read before what it points to. The files that were used last, within `_KEPT`."""

    def __init__(self) -> None:
        self._files: OrderedDict[tuple[object, ...], list[tuple[int, bytes]]] = OrderedDict()
        self._total = 0
        self._lock = threading.Lock()

    def take(self, file: RemoteFile) -> list[tuple[int, bytes]]:
        """The blocks of a file in this state."""
        with self._lock:
            found = self._files.pop(self._key(file), [])
            self._total -= _bytes(found)
        return found

    def put(self, file: RemoteFile, blocks: Sequence[tuple[int, bytes]]) -> None:
        """Keeps small blocks, and those of a small file."""
        small = [x for x in blocks if file.size <= file.whole or len(x[1]) <= _SMALL]
        if not file.version or not small or _bytes(small) > _KEPT_EACH:
            return
        with self._lock:
            self._total += _bytes(small) - _bytes(self._files.pop(self._key(file), []))
            self._files[self._key(file)] = small
            while self._total > _KEPT:
                self._total -= _bytes(self._files.popitem(last=False)[1])

    def _key(self, file: RemoteFile) -> tuple[object, ...]:
        return file.path, file.size, file.version


def _bytes(blocks: Sequence[tuple[int, bytes]]) -> int:
    return sum(len(data) for _, data in blocks)


_kept = _Kept()


class _Rhythm:
    """Where reads landed after they passed over much, and where they may land next."""

    def __init__(self) -> None:
        self._end = 0
        self._landings = [0]
        self._expected: list[int] = []
        self._misses = 0

    def landed(self, at: int) -> bool:
        """Takes note of a read; whether it jumped."""
        if at < self._end + _JUMP:
            return False
        self._landings.append(at)
        return True

    def ended(self, at: int) -> None:
        """The end of a read."""
        self._end = at

    def next(self, at: int) -> list[int]:
        """The next landings, if the last jumps were made in the same order before."""
        if self._expected:
            # This one had to be asked for, so what was expected has led astray or is used up.
            near = any(abs(at - place) < _JUMP for place in self._expected)
            self._misses += not near and at < self._expected[-1]
        self._expected = []
        jumps = [b - a for a, b in zip(self._landings, self._landings[1:], strict=False)]
        if self._misses > _MOST_MISSES or len(jumps) <= _BEAT:
            return []
        for end in range(len(jumps) - 1, _BEAT - 1, -1):
            beat = zip(jumps[end - _BEAT : end], jumps[-_BEAT:], strict=True)
            if all(abs(a - b) < _SLACK // 2 for a, b in beat):
                for jump in jumps[end : end + _AHEAD]:
                    at += jump
                    self._expected.append(at)
                break
        return self._expected
