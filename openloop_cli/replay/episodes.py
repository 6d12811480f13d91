"""Episodes and windows of the readable chunks, by the episode starts alone.

What counts them wants `summarize` first, which finds the damaged chunks and reads the starts.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from openloop_cli.errors import ReplayError
from openloop_cli.replay.index import Replay
from openloop_cli.replay.links import Links, Piece
from openloop_cli.replay.names import ChunkInfo


def episode_lengths(replay: Replay) -> NDArray[np.int64]:
    """Steps of each episode whose start and successor's start are both there."""
    chunks = _readable(replay)
    lengths = []
    for stream in Links(chunks).streams():
        flags = np.concatenate([replay.is_first(chunks[at]) for at in stream])
        lengths.append(np.diff(np.flatnonzero(flags)))
    return np.concatenate(lengths) if lengths else np.zeros(0, np.int64)


def count_windows(
    replay: Replay, *, length: int, replay_context: int, context: int
) -> tuple[int, int]:
    """How many windows fit, and in how many of them no episode starts in the imagined part."""
    chunks = _readable(replay)
    links = Links(chunks)
    steps, imagined = replay_context + length, replay_context + context
    fit = safe = 0
    for number, count in enumerate(links.starts(steps).tolist()):
        if not count:
            continue
        pieces = links.pieces(number, 0, count + steps - 1)
        flags = [replay.is_first(chunks[at])[start:stop] for at, start, stop in pieces]
        before = np.concatenate([[0], np.cumsum(np.concatenate(flags))])
        fit += count
        safe += int((before[steps:] == before[imagined : imagined + count]).sum())
    return fit, safe


def episodes_of(replay: Replay, windows: Sequence[Sequence[Piece]]) -> tuple[int, ...]:
    """The episode in which each window ends, numbered from 0 as they come.

    Chunks between windows are looked into only where an earlier window might lie in the same
    episode; one that cannot be read ends the search, as if an episode began after it.
    """
    taken = {pieces[-1].chunk for pieces in windows}
    begins = [_begin(replay, taken, pieces[-1]) for pieces in windows]
    numbers = {begin: n for n, begin in enumerate(dict.fromkeys(begins))}
    return tuple(numbers[begin] for begin in begins)


def count_apart(windows: Sequence[Sequence[Piece]]) -> int:
    """The most windows of which no two share a step: of those left, always the one that ends
    first."""
    count, stops = 0, dict[int, int]()
    for pieces in sorted(windows, key=lambda pieces: pieces[-1][::2]):
        if all(piece.start >= stops.get(piece.chunk, 0) for piece in pieces):
            count += 1
            stops.update((piece.chunk, piece.stop) for piece in pieces)
    return count


def _begin(replay: Replay, taken: set[int], last: Piece) -> tuple[int, int]:
    """Where the episode of a window's last step begins, as far as it matters: chunk and index."""
    chunks = [last.chunk, *replay.links.back(last.chunk)]
    furthest = max(n for n, chunk in enumerate(chunks) if chunk in taken)
    for at in range(furthest + 1):
        info = replay.chunks[chunks[at]]
        try:
            found = np.flatnonzero(replay.is_first(info)[: None if at else last.stop])
        except ReplayError:
            return chunks[max(at - 1, 0)], 0
        if len(found):
            return chunks[at], int(found[-1])
    return chunks[furthest], 0


def _readable(replay: Replay) -> list[ChunkInfo]:
    return [chunk for chunk in replay.chunks if chunk.path not in replay.damaged]
