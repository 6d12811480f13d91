"""The chunks of a replay, known by their file names and opened only when they are needed.

`open_replay` lists folders and opens no chunk. What a `Replay` has opened it remembers: where the
arrays of a chunk lie, its episode starts, and what is wrong with it. A damaged chunk is an everyday
event (a run was killed while saving): it is skipped and told, once.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from os.path import realpath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openloop_cli.errors import ReplayError
from openloop_cli.replay.links import Links
from openloop_cli.replay.names import ChunkInfo, parse_name, same_spelling
from openloop_cli.replay.npz import Member, open_npz, read_steps, warm_npz
from openloop_cli.storage import each, place, remote

_LOOKED_AT = 8
# Steps that file names are believed to claim, of one chunk (the reference's default is 1024) and of
# all: what is counted for each step costs memory, and an empty file can have any name.
_BELIEVED, _BELIEVED_IN_ALL = 1 << 16, 1 << 26
_FORM = "<time>-<uuid>-<succ>-<length>.npz"


@dataclass(frozen=True)
class KeyInfo:
    """What one step holds under a key."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def open_replay(paths: Path | str | Iterable[Path | str]) -> "Replay":
    """The replay in a replay folder, a run folder, or chunk files, or in several of them."""
    found: list[ChunkInfo] = []
    # A remote place is no Path, but like one in what is used of it: it is nothing to go through.
    one = isinstance(paths, (Path, str)) or not isinstance(paths, Iterable)
    named: list[Path | str] = [paths] if one else list(paths)  # type: ignore[list-item, arg-type]
    places = [place(path) for path in named]
    if not places:
        raise ReplayError("no replay given", hint="pass a replay folder, a run folder or chunks")
    for path in places:
        try:
            found.extend(_list(path) if path.is_dir() else [_explicit(path)])
        except OSError as error:
            where = error.filename if isinstance(error.filename, str) else path
            raise ReplayError(f"{where}: it cannot be read: {error.strerror or error}") from None
    return Replay(found)


class Replay:
    """Chunks, oldest first, each uuid once.

    Attributes:
      chunks: What the file names say.
      duplicates: Files that were left out because another holds the same uuid.
      damaged: The files found to be unusable so far, each with one line that says why.
    """

    def __init__(self, found: Iterable[ChunkInfo]) -> None:
        chosen: dict[str, ChunkInfo] = {}
        duplicates: dict[Path, None] = {}
        # Of copies, the longest counts: the shorter one was saved before it was full.
        for chunk in sorted(found, key=lambda chunk: (-chunk.length, chunk.path)):
            kept = chosen.setdefault(same_spelling(chunk.uuid), chunk)
            if kept is not chunk and _real(kept.path) != _real(chunk.path):
                duplicates[chunk.path] = None
        self.duplicates = tuple(duplicates)
        self.damaged: dict[Path, str] = {}
        self._opened: dict[Path, dict[str, Member]] = {}
        self._firsts: dict[Path, NDArray[np.bool_]] = {}
        in_time = sorted(chosen.values(), key=lambda chunk: (chunk.time, chunk.uuid))
        self.chunks = tuple(self._plausible(in_time))

    @cached_property
    def keys(self) -> dict[str, KeyInfo]:
        """The keys of the first readable chunk, in the file's own order."""
        return self._keys(())

    def expect(self, names: Iterable[str]) -> None:
        """Lets `keys` be those of a chunk that holds all of `names`, if one of the first does.

        Else a chunk that lacks something and happens to be the first would speak for all.
        """
        self.__dict__.setdefault("keys", self._keys(tuple(names)))

    def _plausible(self, chunks: Iterable[ChunkInfo]) -> Iterator[ChunkInfo]:
        """Those whose names are believed, or whose files can hold the steps that they claim."""
        believed = 0
        for chunk in chunks:
            if chunk.length <= _BELIEVED and believed + chunk.length <= _BELIEVED_IN_ALL:
                believed += chunk.length
                yield chunk
                continue
            with suppress(ReplayError):  # it is remembered as damaged
                self.open(chunk)
                yield chunk

    def _keys(self, names: Sequence[str]) -> dict[str, KeyInfo]:
        first: dict[str, KeyInfo] | None = None
        looked_at = 0
        for chunk in self.chunks:
            try:
                found = {key: _key_info(member) for key, member in self.open(chunk).items()}
            except ReplayError:
                continue
            looked_at += 1
            if all(name in found for name in names):
                return found
            first = first or found
            if looked_at == _LOOKED_AT:
                break
        if first is None:
            raise ReplayError(f"no chunk can be read; {self.damage_line()}")
        return first

    @cached_property
    def links(self) -> Links:
        """How the chunks follow one another, by their names."""
        return Links(self.chunks)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The place in `chunks` of each uuid, in its full spelling."""
        return {same_spelling(chunk.uuid): n for n, chunk in enumerate(self.chunks)}

    def open(self, chunk: ChunkInfo, keys: Iterable[str] = ()) -> dict[str, Member]:
        """The chunk's arrays. Lacking one of `keys`, or another form of it, is damage too."""
        try:
            if chunk.path in self.damaged:
                raise ReplayError(self.damaged[chunk.path])
            if chunk.path not in self._opened:
                self._opened[chunk.path] = open_npz(chunk.path, chunk.length)
            members = self._opened[chunk.path]
            for key in keys:
                self._check_key(members, key)
            return members
        except ReplayError as error:
            raise self.damage(chunk, error) from None

    def warm(self, chunks: Sequence[ChunkInfo]) -> None:
        """Fetches what opening these chunks will want, several at once; nothing for local ones.

        It changes nothing but the time that opening takes: what is wrong shows then.
        """
        warm_npz([chunk.path for chunk in chunks if chunk.path not in self._opened])

    def is_first(self, chunk: ChunkInfo) -> NDArray[np.bool_]:
        """(length,): where an episode starts, as stored."""
        member = self.open(chunk).get("is_first")
        if chunk.path not in self._firsts:
            try:
                if member is None or len(member.shape) != 1 or member.dtype.kind not in "biuf":
                    raise ReplayError("it holds no flag 'is_first' for each step")
                flags = read_steps(chunk.path, [member], [(0, chunk.length)])["is_first"]
            except ReplayError as error:
                raise self.damage(chunk, error) from None
            self._firsts[chunk.path] = flags.astype(np.bool_)
        return self._firsts[chunk.path]

    def damage(self, chunk: ChunkInfo, error: ReplayError) -> ReplayError:
        """Remember what is wrong with a chunk; returns the error that names its file."""
        why = self.damaged.setdefault(chunk.path, error.message)
        return ReplayError(f"{chunk.path}: {why}")

    def damage_line(self) -> str:
        """How many chunks are damaged so far, and what the first of them suffers from."""
        if not self.damaged:
            return "none is damaged"
        path, why = next(iter(self.damaged.items()))
        return f"{len(self.damaged)} damaged, the first is {path}: {why}"

    def _check_key(self, members: dict[str, Member], key: str) -> None:
        if key not in members:
            raise ReplayError(f"it holds no {key!r}, which other chunks have")
        found, expected = _key_info(members[key]), self.keys.get(key)
        if expected is not None and found != expected:
            raise ReplayError(
                f"{key!r} is {found.dtype} {found.shape} for each step,"
                f" in other chunks {expected.dtype} {expected.shape}"
            )


def _real(path: Path) -> object:
    return remote(path) or realpath(path)


def _key_info(member: Member) -> KeyInfo:
    return KeyInfo(member.dtype.newbyteorder("="), member.shape[1:])


def _explicit(path: Path) -> ChunkInfo:
    chunk = parse_name(path)
    if not path.exists():
        raise ReplayError(f"{path}: no such file or folder")
    if chunk is None:
        raise ReplayError(f"{path}: not a chunk's name, expected {_FORM}")
    return chunk


def _list(folder: Path) -> list[ChunkInfo]:
    """The chunks of a replay folder, or of a run folder's `replay`, replicas included."""
    replay = folder / "replay"
    root = replay if replay.is_dir() else folder
    chunks = list(_scan(root))
    replicas = []
    for replica in sorted(root.iterdir()):
        if replica.name.isdecimal() and replica.is_dir():
            replicas.append(replica)
    for found in each(lambda replica: list(_scan(replica)), replicas):
        chunks.extend(found)
    if not chunks:
        raise ReplayError(
            f"{root}: no chunks here, expected files {_FORM}",
            hint="pass the run folder, or the folder that holds its replay",
        )
    return chunks


def _scan(folder: Path) -> Iterator[ChunkInfo]:
    if remote(folder):
        found = (parse_name(path) for path in folder.iterdir() if path.name.endswith(".npz"))
        yield from (chunk for chunk in found if chunk is not None)
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            chunk = parse_name(Path(entry.path)) if entry.name.endswith(".npz") else None
            if chunk is not None and not entry.is_dir(follow_symlinks=False):
                yield chunk
