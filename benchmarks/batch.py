"""Many checkpoints in one command: against one render, against one stage, and in memory; by hand.

    python benchmarks/batch.py [--what cold marginal memory] [--repeats 3]

- cold: `openloop batch` of 8 checkpoints against one `openloop render`, each with an empty
  compilation cache. Target: 2.5.
- marginal: what a further checkpoint costs, (wall of 8 - wall of 4) / 4 with a warm cache, against
  its largest stage. Target: 1.3.
- memory: the peak of a batch of 200 tiny checkpoints against that of 5. Target: 1.2.

Whole processes on the CPU, turn by turn; medians are quoted, of differences those of each turn.
Each part is measured with the defaults and with `--no-report --no-compare`. Checkpoints are copies
of the sample's under other steps, the tiny ones are those of the tests' made-up run.

What runs in one thread one after the other is one stage: drawing, encoding and writing. Stages are
taken from the `timings` in each metrics.json, and last longer than alone, since they share the
cores with the stages beside them; the first checkpoint's, which hold imports and tracing, are left
out. Writing the metrics.json itself is not in them, nor is the comparison at the end.
"""

import argparse
import json
import os
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from startup import MAIN, SAMPLE

# For the tests' made-up runs, imported where they are needed.
sys.path.append(str(Path(__file__).resolve().parents[1]))

Words = tuple[str | Path, ...]

VARIANTS: dict[str, tuple[str, ...]] = {
    "defaults": (),
    "--no-report --no-compare": ("--no-report", "--no-compare"),
}
STAGES = {
    "reading": ("open", "read"),
    "rolling out": ("roll out",),
    "measuring, filming": ("measure", "film"),
    "drawing, encoding, writing": (
        *("draw", "encode", "write arrays"),
        *("write page", "write metrics"),
    ),
}
TINY = ("--length", "6", "--num-windows", "3", "--show", "2", "--scale", "2")
MACHINE = """
import os, jax
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}, {cores} cores")
"""


@dataclass(frozen=True)
class Child:
    """What a process took: wall seconds and, at its peak, MiB."""

    seconds: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--what", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    print(f"{machine()}, medians of {args.repeats}")
    for what in args.what:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[what](Path(folder), args.repeats)


def machine() -> str:
    """The jax version, the kind of device and the number of cores, as a child finds them: this
    process imports no jax, for a child's peak memory counts from that of its parent."""
    command = [sys.executable, "-c", MACHINE]
    done = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True)
    return done.stdout.strip()


def cold(folder: Path, repeats: int) -> None:
    checkpoints = copies_of_sample(folder / "run", 8)
    render: list[float] = []
    batches: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for turn in range(repeats):
        out = folder / f"out{turn}"
        words: Words = ("render", checkpoints, SAMPLE, "-q", "-o", out / "one.mp4")
        out.mkdir()
        render.append(openloop(*words, cache=out / "programs").seconds)
        for number, (name, options) in enumerate(VARIANTS.items()):
            words = ("batch", checkpoints, SAMPLE, *options, "-q", "-o", out / f"{number}")
            child = openloop(*words, cache=out / f"programs{number}")
            batches[name].append(child.seconds)
    one = statistics.median(render)
    print("\ncold: 8 checkpoints of the sample, empty compilation cache")
    print(f"  one render                       {one:6.2f} s")
    for name, seconds in batches.items():
        many = statistics.median(seconds)
        print(f"  batch, {name:25} {many:6.2f} s   ratio {many / one:.2f} (target 2.5)")


def marginal(folder: Path, repeats: int) -> None:
    cache = folder / "programs"
    runs = {count: copies_of_sample(folder / f"run{count}", count) for count in (4, 8)}
    openloop("batch", runs[4], SAMPLE, "-q", "-o", folder / "warm", cache=cache)
    print("\nmarginal: a further checkpoint of the sample, warm compilation cache")
    for name, options in VARIANTS.items():
        walls: dict[int, list[float]] = {count: [] for count in runs}
        stages: list[dict[str, float]] = []
        for _ in range(repeats):
            for count, checkpoints in runs.items():
                with tempfile.TemporaryDirectory(dir=folder) as out:
                    words: Words = ("batch", checkpoints, SAMPLE, *options, "-q", "-o", out)
                    walls[count].append(openloop(*words, cache=cache).seconds)
                    stages.append(stage_seconds(Path(out)))
        further = [(eight - four) / 4 for four, eight in zip(walls[4], walls[8], strict=True)]
        show_marginal(name, walls, statistics.median(further), stages)


def show_marginal(
    name: str,
    walls: dict[int, list[float]],
    further: float,
    stages: Sequence[dict[str, float]],
) -> None:
    median = {stage: statistics.median(x[stage] for x in stages) for stage in STAGES}
    largest = max(median, key=lambda stage: median[stage])
    whole = ", ".join(f"{n}: {statistics.median(x):.2f} s" for n, x in walls.items())
    print(f"  {name} ({whole})")
    for stage, seconds in median.items():
        print(f"    {stage:28} {seconds:6.3f} s")
    print(f"    {'a further checkpoint':28} {further:6.3f} s", end="")
    print(f"   {further / median[largest]:.2f} of {largest} (target 1.3)")


def stage_seconds(folder: Path) -> dict[str, float]:
    """Median seconds of each stage over the checkpoints of a batch, the first one left out."""
    timings = [
        json.loads(path.read_text(encoding="utf-8"))["timings"]
        for path in sorted(folder.glob("*.metrics.json"))
    ]
    return {
        stage: statistics.median(sum(x.get(name, 0) for name in names) for x in timings[1:])
        for stage, names in STAGES.items()
    }


def memory(folder: Path, repeats: int) -> None:
    cache = folder / "programs"
    runs = {count: tiny_run(folder / f"run{count}", count) for count in (5, 200)}
    openloop("batch", runs[5], runs[5], *TINY, "-q", "-o", folder / "warm", cache=cache)
    print(f"\nmemory: tiny checkpoints, {' '.join(TINY)}, peak of the process")
    for name, options in VARIANTS.items():
        peaks: dict[int, list[float]] = {count: [] for count in runs}
        for _ in range(repeats):
            for count, run in runs.items():
                with tempfile.TemporaryDirectory(dir=folder) as out:
                    words: Words = ("batch", run, run, *TINY, *options, "-q", "-o", out)
                    peaks[count].append(openloop(*words, cache=cache).memory)
        few, many = (statistics.median(x) for x in peaks.values())
        print(f"  {name:25} 5: {few:.0f} MiB, 200: {many:.0f} MiB", end="")
        print(f"   ratio {many / few:.3f} (target 1.2)")


def copies_of_sample(run: Path, count: int) -> Path:
    """A run folder whose checkpoints are the sample's last one, under other steps."""
    source = SAMPLE / "ckpt" / (SAMPLE / "ckpt/latest").read_text(encoding="utf-8").strip()
    for number in range(count):
        target = run / "ckpt" / f"20260101T000000F{number:06}"
        shutil.copytree(source, target)
        (target / "step.pkl").write_bytes(pickle.dumps(1000 * (number + 1), 4))
    shutil.copy(SAMPLE / "config.yaml", run / "config.yaml")
    return run


def tiny_run(folder: Path, count: int) -> Path:
    """The tests' made-up run, with so many checkpoints, each of parameters of its own."""
    from tests.synthetic_run import TIMES, make_params, make_run, save_checkpoint

    make_run(folder)
    name = "dyn/dynin0/kernel"
    for number in range(len(TIMES), count):
        params, rng = make_params(), np.random.default_rng(number)
        params[name] = rng.normal(size=params[name].shape).astype(np.float32)
        save_checkpoint(folder / "ckpt" / f"20260201T000000F{number:06}", params, 30 * number + 30)
    return folder


def openloop(*words: str | Path, cache: Path) -> Child:
    """A command in a fresh interpreter, with a compilation cache of its own."""
    command = [sys.executable, "-c", MAIN, *map(str, words)]
    own = environment() | {"OPENLOOP_CACHE_DIR": str(cache)}
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        child = subprocess.Popen(command, env=own, stdout=said, stderr=said)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(command[2:])}\n{said.read().decode()}")
    # Linux counts in KiB, macOS in bytes.
    return Child(seconds, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))


def environment() -> dict[str, str]:
    return os.environ | {"JAX_PLATFORMS": "cpu"}


PARTS: dict[str, Callable[[Path, int], None]] = {
    "cold": cold,
    "marginal": marginal,
    "memory": memory,
}

if __name__ == "__main__":
    main()
