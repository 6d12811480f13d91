"""Replays made up as the reference writes them: streams of chunks with linked names."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from openloop_cli.replay.names import uuid_text


def uuid(number: int) -> str:
    return uuid_text(number.to_bytes(16, "big"))


@dataclass
class Writer:
    """Writes chunks; uuids count up, times too, unless told otherwise."""

    folder: Path
    made: int = 0
    paths: list[Path] = field(default_factory=list)

    def stream(self, lengths, *, firsts=(), last_succ=0, folder=None, extra=None, seed=0):
        """Linked chunks of these lengths; `firsts` are steps of the stream. Returns all steps."""
        total = sum(lengths)
        data = steps(total, firsts, seed) | (extra or {})
        begin = 0
        for n, length in enumerate(lengths):
            number = self.made + 1
            succ = number + 1 if n + 1 < len(lengths) else last_succ
            part = {key: value[begin : begin + length] for key, value in data.items()}
            self.chunk(part, number, succ, folder=folder)
            begin += length
        return data

    def chunk(self, data, number, succ=0, *, length=None, folder=None, save=np.savez_compressed):
        """One chunk file; `stepid` is added."""
        self.made = max(self.made, number)
        real = len(next(iter(data.values())))
        ids = [number.to_bytes(16, "big") + i.to_bytes(4, "big") for i in range(real)]
        data = data | {"stepid": np.frombuffer(b"".join(ids), np.uint8).reshape(real, 20)}
        folder = folder or self.folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name(number, succ, real if length is None else length)
        save(path, **data)
        self.paths.append(path)
        return path


def name(number: int, succ: int, length: int) -> str:
    return f"20260101T000000F{number:06}-{uuid(number)}-{uuid(succ)}-{length}.npz"


def steps(total: int, firsts=(), seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    is_first = np.zeros(total, bool)
    is_first[list(firsts)] = True
    return {
        "image": rng.integers(0, 256, (total, 4, 6, 3), np.uint8),
        "reward": rng.normal(size=total).astype(np.float32),
        "is_first": is_first,
        "is_last": np.zeros(total, bool),
        "action": rng.integers(0, 5, total).astype(np.int32),
        "dyn/deter": rng.normal(size=(total, 8)).astype(np.float32),
    }
