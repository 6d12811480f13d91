"""Files that somebody damaged, or made to do harm: each is read, or refused in a line that is safe
to print, in little time and memory. Metrics files have a fuzzer of their own in tests/results.

200 seeded cases of each kind run with the tests. By hand, more:
`python -m tests.test_fuzz 10000 1`.
"""

import json
import random
import resource
import shutil
import sys
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from openloop_cli.checkpoints import read_checkpoint
from openloop_cli.config import read_config
from openloop_cli.errors import OpenloopError
from openloop_cli.inspection import inspect_path
from openloop_cli.jobs.loading import picture_paths
from openloop_cli.jobs.records import FOLDER, look_up, made_from, made_otherwise, recorded
from openloop_cli.jobs.selection import Selection
from openloop_cli.run import open_run
from openloop_cli.text import clean, markdown, markup, message

GENUINE = Path(__file__).parent / "fixtures" / "dmc_proprio"
MOST_BYTES = 256 << 20
COUNT = 200
Case = Callable[[Path, random.Random], Callable[[], object]]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Bits flipped, pieces cut, repeated, swapped or overwritten with what parsers dislike."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at, size = rng.randrange(len(data) + 1), rng.choice([1, 1, 2, 8, 200])
        action = rng.randrange(6)
        if action == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif action == 1:
            del data[at : at + size]
        elif action == 2:
            data[at:at] = rng.choice(
                [b"\xff" * 8, b"\0" * size, b"9" * 5000, b"[" * 300, b"\x1b[2J"]
            )
        elif action == 3:
            data[at : at + size] = rng.randbytes(size)
        elif action == 4:
            other = rng.randrange(len(data) + 1)
            data[at:at] = data[other : other + size]
        else:
            del data[at:]
    return bytes(data)


def a_checkpoint(folder: Path, rng: random.Random) -> Callable[[], object]:
    (path,) = folder.glob("ckpt/*/agent.pkl")
    data = path.read_bytes()
    # Most of the file is arrays; what a pickle says stands around them.
    start = rng.choice([0, len(data) - 20_000, rng.randrange(len(data))])
    path.write_bytes(data[:start] + mutated(data[start : start + 20_000], rng)
                     + data[start + 20_000 :])  # fmt: skip

    def use() -> None:
        found = read_checkpoint(folder)
        found.read_params([name for name in found.params if name.startswith(("enc", "dyn"))])

    return use


def a_chunk(folder: Path, rng: random.Random) -> Callable[[], object]:
    path = rng.choice(sorted(folder.glob("replay/*.npz")))
    data = path.read_bytes()
    tail = max(0, len(data) - 3000)  # the zip's directory
    start = rng.choice([0, tail, tail, rng.randrange(len(data))])
    path.write_bytes(data[:start] + mutated(data[start:], rng))
    (folder / "config.yaml").unlink()  # reading it is most of the time, and nothing of a chunk

    def use() -> None:
        run = open_run(folder, folder)
        run.choose_windows(length=8, num_windows=4, allow_resets=True)

    return use


def a_config(folder: Path, rng: random.Random) -> Callable[[], object]:
    path = folder / "config.yaml"
    text = path.read_text()
    if rng.random() < 0.5:
        lines = text.splitlines()
        at = rng.randrange(len(lines))
        name = lines[at].partition(":")[0]
        junk = ["!!bool foo", "!!int ''", "!!float ''", "9" * 6000, "*a", "&a [*a]", "{a: {b: c}}",
                "!!python/object/apply:os.system [x]", "'\\e[2J'", "null", "-1", "1e999",
                "[1, 2]", "0x" + "f" * 400]  # fmt: skip
        lines[at] = f"{name}: {rng.choice(junk)}"
        path.write_text("\n".join(lines))
    else:
        path.write_bytes(mutated(text.encode(), rng))
    return lambda: read_config(path)


def a_record(folder: Path, rng: random.Random) -> Callable[[], object]:
    """In a batch's own folder, which somebody may have handed on."""
    record = {
        "version": 1, "openloop": "0.1.0", "status": "done", "error": "", "sha256": "0" * 64,
        "checkpoint": str(folder), "identity": {"files": [["a", 1, 2]], "config": None},
        "options": "0" * 64, "files": {"metrics": ["x.metrics.json", 10]},
    }  # fmt: skip
    chosen = {"windows": ["a:1"], "replay": ["x"], "notes": ["n"]}
    (folder / FOLDER).mkdir(exist_ok=True)
    for name, tree in (("x", record), ("windows-0123456789ab", chosen)):
        if rng.random() < 0.5:
            key = rng.choice(list(tree))
            huge = "x" * 1_000_000
            junk = [None, 0, -1, 10**30, huge, [], {}, [[]], {"a": ["../../etc/passwd", 1]}, True,
                    ["../x", 1], {"a": [f"{huge}/..", 1]}, "/dev/zero", "\0", "\ud800"]  # fmt: skip
            tree = tree | {key: rng.choice(junk)}
            (folder / FOLDER / f"{name}.json").write_text(json.dumps(tree))
        else:
            data = mutated(json.dumps(tree).encode(), rng)
            (folder / FOLDER / f"{name}.json").write_bytes(data)

    def use() -> None:
        from openloop_cli.jobs.loading import ReportJob
        from openloop_cli.jobs.plan import Item

        job = ReportJob(folder, (folder,), folder / "x.mp4", metrics=folder / "x.metrics.json")
        item = Item("x", job)
        look_up(folder, item)
        made_from(folder, item)
        made_otherwise(folder, item)
        recorded(folder, folder)
        Selection(folder)._remembered("0123456789ab")

    return use


def a_name(folder: Path, rng: random.Random) -> Callable[[], object]:
    """Of runs, keys, parameters and files."""
    parts = ["a", "/", "..", "\\", "\x1b[31m", "\u202e", "\n", "<img src=x onerror=1>", "|", "`",
             "=1+1", "\ud800", "\0", "A" * 5000, "\u200f", "é", "[bold]", "&amp;"]  # fmt: skip
    names = ["".join(rng.choices(parts, k=rng.randint(1, 6))) for _ in range(4)]

    def use() -> None:
        distinct = list(dict.fromkeys(names))
        paths = picture_paths(Path("out/video.mp4"), distinct)
        found = [path.name.casefold() for path in paths.values()]
        assert len(set(found)) == len(distinct)
        assert all(path.parent == Path("out") and len(path.name) < 255 for path in paths.values())
        for name in names:
            for shown in (clean(name), message(name), markup(name), markdown(name)):
                assert not any(unicodedata.category(c)[0] == "C" for c in shown)
            assert "<" not in markup(name)
            assert "<" not in markdown(name)

    return use


KINDS: dict[str, Case] = {
    "checkpoint": a_checkpoint,
    "chunk": a_chunk,
    "config": a_config,
    "record": a_record,
    "name": a_name,
}


def one(kind: str, folder: Path, seed: int) -> bool:
    """Whether a case was refused."""
    rng = random.Random(seed)
    if kind in ("checkpoint", "chunk", "config"):
        shutil.copytree(GENUINE, folder)
    else:
        folder.mkdir()
    use = KINDS[kind](folder, rng)
    try:
        use()
        text = ""
    except OpenloopError as error:
        text = f"{error.message} {error.hint}"
    shown = message(text)
    assert len(shown) < 3000, (kind, seed)
    shutil.rmtree(folder)
    return bool(text)


def fuzz(kind: str, folder: Path, seeds: range) -> int:
    """How many were refused; a failure names its seed."""
    refused = 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in seeds:
        try:
            refused += one(kind, folder / str(seed), seed)
        except Exception as error:
            raise AssertionError(f"{kind}, seed {seed}: {error!r}") from error
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
        assert grown * 1024 < MOST_BYTES, f"{kind}, seed {seed}: {grown} kB more memory"
    return refused


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_and_hostile(kind, tmp_path):
    refused = fuzz(kind, tmp_path, range(COUNT))
    assert refused > COUNT // 10 or kind in ("record", "name", "chunk")


def test_inspect_tells_what_is_damaged(tmp_path):
    """Nothing that is read in passing may end it."""
    for seed in range(20):
        folder = tmp_path / str(seed)
        shutil.copytree(GENUINE, folder)
        a_chunk(folder, random.Random(seed))
        inspect_path(folder)


if __name__ == "__main__":
    count, seed = map(int, sys.argv[1:3])
    for kind in sys.argv[3:] or KINDS:
        refused = fuzz(kind, Path(tempfile.mkdtemp()), range(seed * 10**6, seed * 10**6 + count))
        print(f"{kind}: {count} cases, {refused} refused")  # noqa: T201
