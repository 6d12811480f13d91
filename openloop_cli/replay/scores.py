"""What the episodes of a replay scored, over chunks that follow one another.

Reward and flags of every chunk are read, a few bytes for each step, and nothing else.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import ReplayError
from openloop_cli.replay.index import Replay
from openloop_cli.replay.names import ChunkInfo
from openloop_cli.replay.npz import read_steps

# The least change of the reward that counts (reference, embodied/run/train.py: reward_rate).
CHANGE = 0.01
_FLAGS = ("is_first", "is_last")


@dataclass(frozen=True)
class Scores:
    """Means over the complete episodes; None where there is none.

    Attributes:
      complete: Episodes whose first and last step are there, with all between them.
      incomplete: Parts of others: they were cut off by a chunk that is gone, or still going on.
      score: Sum of the rewards.
      length: Steps, the first included.
      reward_rate: Share of steps whose reward differs from the one before by at least `CHANGE`.
    """

    complete: int
    incomplete: int
    score: float | None
    length: float | None
    reward_rate: float | None


def episode_scores(replay: Replay) -> Scores:
    """Every episode of a replay. A damaged chunk breaks its stream, and is remembered as such."""
    whole: list[tuple[float, int, float]] = []
    incomplete = 0
    for stream in replay.links.streams():
        pieces = (_read(replay, replay.chunks[number]) for number in stream)
        found, broken = _of_stream(pieces)
        whole += found
        incomplete += broken
    if not whole:
        return Scores(0, incomplete, None, None, None)
    score, length, rate = np.asarray(whole, np.float64).mean(0).tolist()
    return Scores(len(whole), incomplete, score, length, rate)


def _read(replay: Replay, chunk: ChunkInfo) -> dict[str, Array] | None:
    """(length,) each: reward, is_first, is_last. None of a chunk that lacks one of them."""
    try:
        members = replay.open(chunk)
        wanted = [members[name] for name in ("reward", *_FLAGS)]
        if any(len(x.shape) != 1 or x.dtype.kind not in "biuf" for x in wanted):
            return None
        return read_steps(chunk.path, wanted, [(0, chunk.length)])
    except KeyError:
        return None
    except ReplayError as error:
        replay.damage(chunk, error)
        return None


def _of_stream(
    pieces: Iterable[dict[str, Array] | None],
) -> tuple[list[tuple[float, int, float]], int]:
    """Score, length and reward rate of the complete episodes, and how many are not."""
    whole: list[tuple[float, int, float]] = []
    incomplete = 0
    begun: list[Array] = []  # rewards of the episode that goes on
    known = False  # whether its first step is there
    for piece in pieces:
        if piece is None:
            incomplete += bool(begun)
            begun, known = [], False
            continue
        reward = piece["reward"].astype(np.float64)
        first, last = (piece[name].astype(bool) for name in _FLAGS)
        starts = {0, *np.flatnonzero(first).tolist(), *(np.flatnonzero(last) + 1).tolist()}
        edges = [*sorted(starts - {len(reward)}), len(reward)]
        for start, stop in pairwise(edges):
            if first[start]:
                incomplete += bool(begun)  # the last one never ended
                begun, known = [], True
            begun.append(reward[start:stop])
            if last[stop - 1]:
                if known:
                    whole.append(_numbers(np.concatenate(begun)))
                else:
                    incomplete += 1
                begun, known = [], False
    return whole, incomplete + bool(begun)


def _numbers(reward: Array) -> tuple[float, int, float]:
    changes = np.abs(np.diff(reward)) >= CHANGE
    return float(reward.sum()), len(reward), float(changes.mean()) if changes.size else 0.0
