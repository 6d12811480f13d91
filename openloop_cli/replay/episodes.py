"""Episodes and windows of the readable chunks, counted from the episode starts alone.

Both want `summarize` before them, which finds the damaged chunks and reads the starts.
"""

import numpy as np
from numpy.typing import NDArray

from openloop_cli.replay.index import Replay
from openloop_cli.replay.links import Links
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


def _readable(replay: Replay) -> list[ChunkInfo]:
    return [chunk for chunk in replay.chunks if chunk.path not in replay.damaged]
