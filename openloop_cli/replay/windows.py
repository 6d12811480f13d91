"""Reading windows: pieces of linked chunks, put together and annotated as the reference does.

Each chunk is passed once, whatever number of windows come from it, and several chunks are
decompressed side by side (zlib releases the interpreter).
"""

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import ReplayError
from openloop_cli.replay.choose import Choice, choose_windows
from openloop_cli.replay.episodes import count_apart, episodes_of
from openloop_cli.replay.index import Replay
from openloop_cli.replay.links import Piece
from openloop_cli.replay.names import ChunkInfo, same_spelling, uuid_bytes
from openloop_cli.replay.npz import Member, Span, read_steps
from openloop_cli.text import plural

_WINDOW = re.compile(r"([0-9A-Za-z]{1,22}):([0-9]{1,9})")
_THREADS = 4
LATENTS = ("dyn/deter", "dyn/stoch")
_ONE_EACH = ("is_first", "is_last", "is_terminal", "reward")


@dataclass(frozen=True, repr=False)
class Windows:
    """B windows of K + T steps.

    Attributes:
      ids: `CHUNK_UUID:INDEX` of each one's first stored step.
      data: Arrays (B, K + T, …), with the latent states where they start from those. The first step
        is marked as a first, and a step before a first as a last.
      replay_context: K.
      chunk_files: The chunks that the windows come from.
      episodes: The episode in which each one ends, numbered from 0; none where that is unknown.
      apart: How many of them share no step, at most.
    """

    ids: tuple[str, ...]
    data: dict[str, Array]
    replay_context: int
    chunk_files: tuple[Path, ...]
    episodes: tuple[int, ...] = ()
    apart: int = 0

    @property
    def starts_stored(self) -> bool:
        """Whether they start from a latent state that the replay stores; else from zeros."""
        return self.replay_context > 0 and all(key in self.data for key in LATENTS)

    def from_zeros(self) -> "Windows":
        """The same without stored latent states."""
        data = {key: x for key, x in self.data.items() if key not in LATENTS}
        return replace(self, data=data)

    def __repr__(self) -> str:
        steps = self.data["is_first"].shape[1] - self.replay_context
        return f"<Windows: {len(self.ids)} of {plural(steps, 'step')}>"


def is_window_id(text: str) -> bool:
    """Whether a text has the form `CHUNK_UUID:INDEX`."""
    return _WINDOW.fullmatch(text) is not None


def parse_window(text: str) -> tuple[str, int]:
    """`UUID:INDEX` -> the uuid as spelled, the index."""
    match = _WINDOW.fullmatch(text)
    if match is None or uuid_bytes(match[1]) is None:
        raise ReplayError(
            f"window {text!r}: expected CHUNK_UUID:INDEX",
            hint="the uuid is the second part of a chunk's file name",
        )
    return match[1], int(match[2])


def read_windows(
    replay: Replay,
    ids: Sequence[str],
    *,
    length: int,
    replay_context: int,
    keys: Sequence[str] | None = None,
) -> Windows:
    """Exactly these windows, in this order, of `replay_context` + `length` steps."""
    keys = list(replay.keys) if keys is None else list(dict.fromkeys(keys))
    _check_keys(replay, keys)
    # The last steps follow from the first ones.
    extra = ["is_first"] if "is_last" in keys and "is_first" in replay.keys else []
    needed = list(dict.fromkeys(keys + extra))
    if not ids:
        raise ReplayError("no windows asked for")
    steps = replay_context + length
    windows = [_locate(replay, text, steps) for text in ids]
    spans = _merge(windows)
    parts = _read_chunks(replay, spans, needed, ids, windows)
    data = {
        key: _assemble(windows, steps, spans, {chunk: part[key] for chunk, part in parts.items()})
        for key in needed
    }
    _annotate(data)
    files = tuple(replay.chunks[chunk].path for chunk in sorted(spans))
    episodes = episodes_of(replay, windows) if "is_first" in needed else ()
    read = {key: data[key] for key in keys}
    return Windows(tuple(ids), read, replay_context, files, episodes, count_apart(windows))


def choose_and_read(
    replay: Replay,
    *,
    length: int,
    replay_context: int,
    context: int,
    count: int,
    seed: int,
    allow_resets: bool = False,
    keys: Sequence[str] | None = None,
) -> tuple[Choice, Windows]:
    """Choose windows and read them; chunks that turn out to be damaged are done without."""
    keys = list(replay.keys) if keys is None else keys
    _check_keys(replay, keys)
    while True:
        choice = choose_windows(
            replay,
            length=length,
            replay_context=replay_context,
            context=context,
            count=count,
            seed=seed,
            allow_resets=allow_resets,
            keys=keys,
        )
        known = len(replay.damaged)
        try:
            ids = choice.ids
            return choice, read_windows(
                replay, ids, length=length, replay_context=replay_context, keys=keys
            )
        except ReplayError:
            # Damage in the midst of an array only shows on reading it; each turn finds more of it.
            if len(replay.damaged) == known:
                raise


def _check_keys(replay: Replay, keys: Sequence[str]) -> None:
    for key in keys:
        if key not in replay.keys:
            raise ReplayError(
                f"no key {key!r} in the replay", hint=f"it has {', '.join(replay.keys)}"
            )
        info = replay.keys[key]
        if key in _ONE_EACH and not (info.shape == () and info.dtype.kind in "biuf"):
            raise ReplayError(
                f"{key!r} is not one number for each step in this replay: {info.dtype} {info.shape}"
            )


def _locate(replay: Replay, text: str, steps: int) -> list[Piece]:
    """The pieces that the window consists of."""
    uuid, index = parse_window(text)
    number = replay.numbers.get(same_spelling(uuid))
    if number is None:
        raise ReplayError(f"window {text}: no chunk {uuid} in this replay")
    chunk = replay.chunks[number]
    if index >= chunk.length:
        raise ReplayError(f"window {text}: {chunk.path} has only {chunk.length} steps, from 0")
    pieces = replay.links.pieces(number, index, steps)
    available = sum(piece.stop - piece.start for piece in pieces)
    if available < steps:
        last = replay.chunks[pieces[-1].chunk]
        raise ReplayError(
            f"window {text}: {steps} steps needed, {available} there:"
            f" {last.path} has no further successor in this replay",
            hint="use a shorter --length",
        )
    return pieces


def _merge(windows: Sequence[Sequence[Piece]]) -> dict[int, list[Span]]:
    """For each chunk the steps that any window needs: sorted, disjoint."""
    spans: dict[int, list[Span]] = {}
    for chunk, start, stop in sorted(piece for pieces in windows for piece in pieces):
        merged = spans.setdefault(chunk, [])
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return spans


def _read_chunks(
    replay: Replay,
    spans: Mapping[int, list[Span]],
    keys: Sequence[str],
    ids: Sequence[str],
    windows: Sequence[Sequence[Piece]],
) -> dict[int, dict[str, Array]]:
    """chunk -> key -> the steps in its spans, joined; all damage is noted before one is raised."""

    def read(number: int) -> dict[str, Array] | ReplayError:
        chunk = replay.chunks[number]
        try:
            return _read_chunk(chunk, members[number], spans[number], keys)
        except ReplayError as error:
            return error

    replay.warm([replay.chunks[number] for number in sorted(spans)])
    members: dict[int, dict[str, Member]] = {}
    failed: dict[int, ReplayError] = {}
    for number in sorted(spans):
        try:
            members[number] = replay.open(replay.chunks[number], keys)
        except ReplayError as error:
            failed[number] = error
    parts: dict[int, dict[str, Array]] = {}
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        for number, result in zip(members, pool.map(read, members), strict=True):
            if isinstance(result, ReplayError):
                failed[number] = replay.damage(replay.chunks[number], result)
            else:
                parts[number] = result
    for text, pieces in zip(ids, windows, strict=True):
        for piece in pieces:
            if piece.chunk in failed:
                raise ReplayError(f"window {text}: {failed[piece.chunk].message}")
    return parts


def _read_chunk(
    chunk: ChunkInfo, members: Mapping[str, Member], spans: Sequence[Span], keys: Sequence[str]
) -> dict[str, Array]:
    wanted = dict.fromkeys([*keys, "stepid"])
    arrays = read_steps(chunk.path, [members[key] for key in wanted if key in members], spans)
    if "stepid" in arrays:
        indices = np.concatenate([np.arange(start, stop) for start, stop in spans])
        expected = (uuid_bytes(chunk.uuid) or b"", indices.astype(">u4"))
        if not _names(arrays["stepid"], *expected):
            raise ReplayError("its 'stepid' names other steps than its file name")
    return arrays


def _names(stepid: Array, uuid: bytes, indices: Array) -> bool:
    """Whether (N, 20) uint8 are the uuid's 16 bytes and the index's 4, big endian."""
    if stepid.dtype != np.uint8 or stepid.shape != (len(indices), 20):
        return False
    expected = np.empty_like(stepid)
    expected[:, :16] = np.frombuffer(uuid, np.uint8)
    expected[:, 16:] = indices.view(np.uint8).reshape(-1, 4)
    return np.array_equal(stepid, expected)


def _assemble(
    windows: Sequence[Sequence[Piece]],
    steps: int,
    spans: Mapping[int, list[Span]],
    parts: Mapping[int, Array],
) -> Array:
    """(B, K + T, …) of one key, from each chunk's joined spans."""
    example = next(iter(parts.values()))
    out = np.empty((len(windows), steps, *example.shape[1:]), example.dtype)
    for row, pieces in zip(out, windows, strict=True):
        at = 0
        for chunk, start, stop in pieces:
            begin = _offset(spans[chunk], start)
            row[at : at + stop - start] = parts[chunk][begin : begin + stop - start]
            at += stop - start
    return out


def _offset(spans: Sequence[Span], step: int) -> int:
    """Where a step lies in the joined spans."""
    before = 0
    for start, stop in spans:
        if start <= step < stop:
            return before + step - start
        before += stop - start
    raise AssertionError(f"step {step} is in none of {spans}")


def _annotate(data: dict[str, Array]) -> None:
    """The first step begins an episode for the model; abandoned episodes get their last step."""
    if "is_first" in data:
        data["is_first"][:, 0] = True
        if "is_last" in data:
            lasts = data["is_last"][:, :-1]
            lasts[:] = np.logical_or(lasts, data["is_first"][:, 1:])
