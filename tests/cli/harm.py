"""What can happen to a run on a disk: each harm is a function of a path, and does one thing."""

import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

GENUINE = Path(__file__).parents[1] / "fixtures" / "dmc_proprio"
CHECKPOINT = "ckpt/20261120T131519F582843"
AGENT = f"{CHECKPOINT}/agent.pkl"
CHUNKS = [f"replay/{path.name}" for path in sorted((GENUINE / "replay").glob("*.npz"))]
FIRST = CHUNKS[0]


def each(names, harm: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda run: [harm(run / name) for name in names] and None


def cut(share: float):
    def harm(path: Path) -> None:
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return harm


def text(content: str):
    return lambda path: path.write_text(content)


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def locked(path: Path) -> None:
    path.chmod(0)


def params(change: Callable[[dict], object]):
    """`change` gets the parameters by name."""

    def harm(run: Path) -> None:
        value = pickle.loads((run / AGENT).read_bytes())
        change(value["params"])
        (run / AGENT).write_bytes(pickle.dumps(value, 4))

    return harm


def param(name: str, array):
    return params(lambda found: found.update({name: array}))


class Call:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def size(count: int):
    """The first kernel claims `count` rows, without their bytes."""

    def harm(run: Path) -> None:
        data = (run / AGENT).read_bytes()
        old = pickle.dumps((64, 32), 4)[11:-1]  # K\x40K\x20\x86\x94, as it stands there
        assert data.count(old[:5]) > 0
        new = pickle.dumps((count, 32), 4)
        new = new[new.index(b"\x8a" if count > 1 << 31 else b"J") : -2]
        (run / AGENT).write_bytes(unframed(data.replace(old[:5], new, 1)))

    return harm


def unframed(data: bytes) -> bytes:
    """Protocol 3 knows no frames, whose sizes would tell the change; the rest is the same."""
    kept, at = bytearray(), 0
    while (found := data.find(b"\x95", at)) >= 0:
        length = int.from_bytes(data[found + 1 : found + 9], "little")
        if 0 < length <= len(data):
            kept += data[at:found]
            at = found + 9
        else:
            kept += data[at : found + 1]
            at = found + 1
    return bytes(kept + data[at:])


def settings(pattern: str, replacement: str):
    def harm(run: Path) -> None:
        path = run / "config.yaml"
        changed = re.sub(pattern, replacement, path.read_text(), flags=re.MULTILINE)
        assert changed != path.read_text()
        path.write_text(changed)

    return harm


def arrays(change: Callable[[dict], object]):
    """`change` gets the arrays of a chunk."""

    def harm(path: Path) -> None:
        found = dict(np.load(path))
        change(found)
        np.savez_compressed(path, **found)

    return harm


def drop(key: str):
    return arrays(lambda found: found.pop(key))


def become(key: str, make: Callable[[int], np.ndarray]):
    return arrays(lambda found: found.update({key: make(len(found["reward"]))}))


def rename(**parts: str):
    """Other parts of a chunk's name; `self` is its own uuid."""

    def harm(path: Path) -> None:
        time, uuid, succ, length = path.stem.split("-")
        named = {"time": time, "uuid": uuid, "succ": succ, "length": length} | parts
        named["succ"] = uuid if named["succ"] == "self" else named["succ"]
        path.rename(path.with_name("-".join(named.values()) + ".npz"))

    return harm


def circle(run: Path) -> None:
    """Both streams lead back to their own beginning."""
    for begin, end in ((0, 2), (1, 3)):
        rename(succ=CHUNKS[begin].split("-")[1])(run / CHUNKS[end])
