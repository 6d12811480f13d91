"""Choosing windows: by seed, spread over the whole replay, none with a reset to imagine.

The valid starts of the replay, in time order, are cut into as many strata of equal size as windows
are asked for, and one start is drawn in each. Only chunks that a drawn window lies in are opened.
The result follows from the seed, the options, the file names and the files alone, never from what
else was opened before.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openloop_cli.errors import OptionError, ReplayError
from openloop_cli.replay.index import Replay
from openloop_cli.replay.links import Piece
from openloop_cli.replay.names import ChunkInfo
from openloop_cli.storage import remote
from openloop_cli.text import plural

_TRIES = 32


@dataclass(frozen=True)
class Choice:
    """Windows that were chosen.

    Attributes:
      ids: `CHUNK_UUID:INDEX` of each one's first stored step, in time order.
      passed_over: Draws rejected because an episode starts inside the imagined part; one such
        look also rules out the like starts of the same chunk, which are not counted.
      candidates: Valid starts in the whole replay, by lengths and links.
      shortfall: How many fewer were found than asked for.
      apart: How many were chosen first, of which no two share a step.
    """

    ids: tuple[str, ...]
    passed_over: int
    candidates: int
    shortfall: int
    apart: int

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about the choice, a line each."""
        notes = []
        if self.shortfall:
            asked = len(self.ids) + self.shortfall
            notes.append(f"found {len(self.ids)} of the {plural(asked, 'window')} asked for")
        if self.passed_over:
            where = "an episode starts in its imagined part"
            if self.passed_over > 1:
                where = "an episode starts in their imagined part"
            notes.append(f"skipped {plural(self.passed_over, 'window')}: {where}")
        return tuple(notes)


def choose_windows(
    replay: Replay,
    *,
    length: int,
    replay_context: int,
    context: int,
    count: int,
    seed: int,
    allow_resets: bool = False,
    keys: Sequence[str] = (),
) -> Choice:
    """Choose `count` windows of `replay_context` + `length` steps.

    The part from `context` steps after the replay context on is imagined; no episode starts there
    unless `allow_resets`. Chunks without one of `keys`, or with another form of it than the
    first readable chunk has, are damaged ones.
    """
    if min(length, count) < 1 or min(replay_context, seed) < 0 or not 0 <= context <= length:
        raise OptionError(
            f"cannot choose windows: length {length}, context {context}, replay context"
            f" {replay_context}, count {count}, seed {seed}",
            hint="length and count at least 1, context from 0 to length, the others not negative",
        )
    search = _Search(
        replay,
        seed,
        imagined=replay_context + context,
        steps=replay_context + length,
        allow_resets=allow_resets,
        keys=keys,
    )
    if not search.total:
        raise _too_short(replay, replay_context, length)
    if remote(replay.chunks[0].path):
        replay.warm(_foreseen(search, min(count, search.total)))
    starts = _spread(search, min(count, search.total))
    if not starts:
        raise _none_left(search, replay_context, length)
    ids = tuple(search.name(start) for start in sorted(starts))
    return Choice(ids, search.passed_over, search.total, count - len(ids), search.apart)


def _spread(search: "_Search", count: int) -> list[int]:
    """One start for each stratum; one that has none gives its place to the others."""
    borders = [search.total * n // count for n in range(count + 1)]
    chosen: list[int] = []
    picks = np.zeros(count, np.int64)
    # Windows that lie apart come first, whatever stratum they are in.
    for apart in (True, False):
        live = np.ones(count, np.bool_)
        while len(chosen) < count and live.any():
            order = np.argsort(picks + search.rng.random(count), kind="stable")
            for stratum in order[live[order]][: count - len(chosen)]:
                start = search.draw(borders[stratum], borders[stratum + 1], apart=apart)
                if start is None:
                    live[stratum] = False
                else:
                    chosen.append(start)
                    picks[stratum] += 1
    return chosen


def _foreseen(search: "_Search", count: int) -> list[ChunkInfo]:
    """The chunks that will be opened if every draw is a usable one: they can come at once."""
    seen: dict[int, None] = {}

    class Foresight(_Search):
        def _is_usable(self, start: int) -> bool:
            seen.update((piece.chunk, None) for piece in self._pieces(start))
            return True

    twin = Foresight.__new__(Foresight)
    twin.__dict__ = search.__dict__ | {
        "rng": deepcopy(search.rng),
        "gone": search.gone.copy(),
        "near": search.near.copy(),
    }
    _spread(twin, count)
    return [search.replay.chunks[number] for number in seen]


class _Search:
    """The valid starts of a replay, numbered in time order, and what is known of them."""

    def __init__(
        self,
        replay: Replay,
        seed: int,
        *,
        imagined: int,
        steps: int,
        allow_resets: bool,
        keys: Sequence[str],
    ) -> None:
        self.replay = replay
        self.rng = np.random.default_rng(seed)
        self.imagined = imagined  # the first imagined step of a window
        self.steps = steps
        self.allow_resets = allow_resets
        self.keys = keys
        self.passed_over = 0
        self.apart = 0
        self.starts = replay.links.starts(steps)
        self.offsets = np.concatenate([[0], np.cumsum(self.starts)])
        self.total = int(self.offsets[-1])
        self.gone = np.zeros(self.total, np.bool_)  # chosen, unsafe or unreadable
        self.near = np.zeros(self.total, np.bool_)  # shares a step with a chosen one

    def draw(self, low: int, high: int, *, apart: bool) -> int | None:
        """A usable start in [low, high), each with the same chance, or None."""
        for start in self._open_starts(low, high, apart):
            if self._is_usable(start):
                self.gone[start] = True
                self.apart += apart
                for piece in self._pieces(start):
                    self._mark(self.near, piece)
                return start
        return None

    def name(self, start: int) -> str:
        """`CHUNK_UUID:INDEX`."""
        chunk, index = self._place(start)
        return f"{self.replay.chunks[chunk].uuid}:{index}"

    def _open_starts(self, low: int, high: int, apart: bool) -> Iterator[int]:
        """Starts that nothing is known against, in random order, each at most once."""
        # Listing a large stratum takes long, so only do it when blind draws keep failing.
        misses = 0 if low < high else _TRIES
        while misses < _TRIES:
            start = low + int(self.rng.integers(high - low))
            misses += 1
            if not (self.gone[start] or (apart and self.near[start])):
                misses = 0
                yield start
        shut = self.gone[low:high] | self.near[low:high] if apart else self.gone[low:high]
        left = np.flatnonzero(~shut)
        for start in left[np.argsort(self.rng.random(left.size), kind="stable")] + low:
            if not self.gone[start]:
                yield int(start)

    def _is_usable(self, start: int) -> bool:
        """Open the window's chunks; whatever they rule out besides is marked as gone."""
        chunk, index = self._place(start)
        flags = []
        for piece in self._pieces(start):
            info = self.replay.chunks[piece.chunk]
            try:
                self.replay.open(info, self.keys)
                if not self.allow_resets:
                    flags.append(self.replay.is_first(info))
            except ReplayError:
                self._mark(self.gone, Piece(piece.chunk, 0, info.length))
                return False
        if self.allow_resets:
            return True
        unsafe = self._unsafe(np.concatenate(flags))[: self.starts[chunk]]
        begin = self.offsets[chunk]
        self.gone[begin : begin + len(unsafe)] |= unsafe
        self.passed_over += int(unsafe[index])
        return not unsafe[index]

    def _unsafe(self, is_first: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(N,) -> (N - steps + 1,): whether an episode starts in the imagined part."""
        counts = np.concatenate([[0], np.cumsum(is_first, dtype=np.int64)])
        last = len(is_first) - self.steps
        ends = counts[self.steps :]
        return np.asarray(ends > counts[self.imagined : self.imagined + last + 1])

    def _place(self, start: int) -> tuple[int, int]:
        chunk = int(np.searchsorted(self.offsets, start, side="right")) - 1
        return chunk, start - int(self.offsets[chunk])

    def _pieces(self, start: int) -> list[Piece]:
        return self.replay.links.pieces(*self._place(start), self.steps)

    def _mark(self, mask: NDArray[np.bool_], piece: Piece) -> None:
        for chunk, first, stop in self.replay.links.touching(piece, self.steps):
            begin = self.offsets[chunk]
            mask[begin + first : begin + min(stop, self.starts[chunk])] = True


def _too_short(replay: Replay, replay_context: int, length: int) -> ReplayError:
    longest = max(replay.links.chains(), default=0)
    fits = longest - replay_context
    return ReplayError(
        f"no window of {replay_context} + {length} steps: the longest linked stream has {longest}",
        hint=f"use --length {fits} or less" if fits > 0 else "this replay is too short",
    )


def _none_left(search: _Search, replay_context: int, length: int) -> ReplayError:
    window = f"window of {replay_context} + {length} steps"
    if search.passed_over:
        return ReplayError(
            f"no {window} without an episode start in its imagined part, of {search.total};"
            f" {search.replay.damage_line()}",
            hint="use --allow-resets, or a shorter --length",
        )
    return ReplayError(f"no {window} can be read: {search.replay.damage_line()}")
