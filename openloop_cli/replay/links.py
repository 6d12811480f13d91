"""How chunks follow one another: walks along their successors, and the windows that fit.

Chunks are numbered in the order given. A stream ends where a successor is missing, or is a chunk
that the walk has already passed.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openloop_cli.replay.names import ChunkInfo, same_spelling


class Piece(NamedTuple):
    """The steps `start` up to `stop` of one chunk."""

    chunk: int
    start: int
    stop: int


class Links:
    """The successors of a number of chunks."""

    def __init__(self, chunks: Sequence[ChunkInfo]) -> None:
        numbers = {same_spelling(chunk.uuid): n for n, chunk in enumerate(chunks)}
        self._lengths = [chunk.length for chunk in chunks]
        self._next = [numbers.get(same_spelling(chunk.succ)) for chunk in chunks]
        self._before: list[list[int]] = [[] for _ in chunks]
        for number, succ in enumerate(self._next):
            if succ is not None:
                self._before[succ].append(number)

    def walk(self, chunk: int) -> Iterator[int]:
        """The chunk and all that follow it, each once."""
        seen: set[int] = set()
        at: int | None = chunk
        while at is not None and at not in seen:
            seen.add(at)
            yield at
            at = self._next[at]

    def back(self, chunk: int) -> Iterator[int]:
        """The chunks that lead to it, nearest first, each once; of several the oldest."""
        seen = {chunk}
        while before := [at for at in self._before[chunk] if at not in seen]:
            chunk = before[0]
            seen.add(chunk)
            yield chunk

    def pieces(self, chunk: int, start: int, steps: int) -> list[Piece]:
        """What `steps` steps from there consist of; fewer where the stream ends."""
        pieces = []
        for at in self.walk(chunk):
            stop = min(self._lengths[at], start + steps)
            pieces.append(Piece(at, start, stop))
            steps -= stop - start
            if steps <= 0:
                break
            start = 0
        return pieces

    def starts(self, steps: int) -> NDArray[np.int64]:
        """(chunks,): how many indices of each, from 0 up, have `steps` steps from there on."""
        counts = np.zeros(len(self._lengths), np.int64)
        for chunk, length in enumerate(self._lengths):
            pieces = self.pieces(chunk, 0, length + steps - 1)
            available = sum(piece.stop - piece.start for piece in pieces)
            counts[chunk] = max(0, min(length, available - steps + 1))
        return counts

    def touching(self, piece: Piece, steps: int) -> Iterator[Piece]:
        """The indices at which a window of `steps` steps starts that shares a step with `piece`."""
        first = piece.start - steps + 1
        yield Piece(piece.chunk, max(first, 0), piece.stop)
        reach = [(before, first) for before in self._before[piece.chunk]] if first < 0 else []
        while reach:
            chunk, first = reach.pop()
            first += self._lengths[chunk]
            yield Piece(chunk, max(first, 0), self._lengths[chunk])
            if first < 0:
                reach.extend((before, first) for before in self._before[chunk])

    def chains(self) -> list[int]:
        """The steps of each stream."""
        return [sum(self._lengths[at] for at in stream) for stream in self.streams()]

    def streams(self) -> list[list[int]]:
        """The chunks of each stream, from one that nothing leads to; a loop counts once."""
        heads = [chunk for chunk, before in enumerate(self._before) if not before]
        seen: set[int] = set()
        streams = []
        for chunk in [*heads, *range(len(self._lengths))]:
            if chunk not in seen:
                streams.append(list(self.walk(chunk)))
                seen.update(streams[-1])
        return streams
