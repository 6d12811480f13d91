"""How the cost grows: a table for each thing that can become large, and its slope; by hand.

    python benchmarks/scaling.py [--what length windows samples size checkpoints chunks]
                                 [--repeats 3] [--quick]

Seconds are medians of turns through all sizes of a table; the first turn compiles and is not
counted. In brackets the seconds for each unit. The slope is that of log(seconds) against log(size)
over the upper half of the sizes: 1 is linear, below 1 there is a fixed part left, above 1 it grows
faster than the input does.

- length, windows, samples: the sample's trained model and its own replay, one process.
- size: the reference's model sizes with random parameters, one at a time; 400m needs 6 GB of
  memory and 1.5 GB of the temporary folder.
- checkpoints: whole processes on the CPU, on copies of the sample's checkpoint.
- chunks: a made-up replay of small chunks; files stay in the page cache.
"""

import argparse
import math
import os
import pickle
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from batch import Words, copies_of_sample, openloop
from rollout import SAMPLE, synthetic

from openloop_cli.checkpoints import read_checkpoint
from openloop_cli.jobs.report import Clock
from openloop_cli.models.model import Model, place_model
from openloop_cli.replay import choose_windows, open_replay, read_windows
from openloop_cli.reporting import make_report
from openloop_cli.rollout.roll_out import load_model, roll_out
from openloop_cli.run import open_run

LENGTH, WINDOWS = 50, 6
SIZE_LENGTH, SIZE_WINDOWS = 16, 2
CHUNK_STEPS, EPISODE_STEPS = 64, 1000

Turn = Callable[[], dict[str, float]]
"""Does everything once: the seconds of each stage, in order."""


@dataclass(frozen=True)
class Growth:
    """One thing that becomes larger.

    Attributes:
      fixed: What is held fixed, in words.
      sizes: From small to large; `--quick` takes the first `quick` of them.
      make: (size, folder) -> how large that is in units, and the work to measure.
      apart: Only one size at a time fits into memory.
    """

    unit: str
    fixed: str
    sizes: Sequence[Any]
    quick: int
    make: Callable[[Any, Path], tuple[float, Turn]]
    apart: bool = False


@dataclass(frozen=True)
class Row:
    """One size: its name, how large it is in units, and the seconds of each stage."""

    name: str
    units: float
    seconds: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--what", nargs="+", choices=GROWTHS, default=list(GROWTHS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small sizes, one counted turn")
    args = parser.parse_args()
    repeats = 1 if args.quick else args.repeats
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    device = jax.devices()[0].device_kind
    print(f"jax {jax.__version__}, {device}, {cores} cores, medians of {repeats}")
    for what in args.what:
        growth = GROWTHS[what]
        sizes = growth.sizes[: growth.quick] if args.quick else growth.sizes
        print(f"\n{what}: {growth.fixed}")
        with tempfile.TemporaryDirectory() as folder:
            show(what, growth.unit, measured(growth, sizes, repeats, Path(folder)))
    print(f"\npeak memory of this process {peak_memory():.1f} GiB")


def measured(growth: Growth, sizes: Sequence[Any], repeats: int, folder: Path) -> list[Row]:
    """Median seconds; sizes take turns, so that a slow minute of the machine meets all of them."""
    groups = [[size] for size in sizes] if growth.apart else [sizes]
    rows = []
    for group in groups:
        made = {str(size): growth.make(size, folder) for size in group}
        turns: dict[str, list[dict[str, float]]] = {name: [] for name in made}
        for _ in range(1 + repeats):
            for name, (_, turn) in made.items():
                turns[name].append(turn())
        for name, (units, _) in made.items():
            counted = turns[name][1:]
            stages = {s: statistics.median(x[s] for x in counted) for s in counted[0]}
            rows.append(Row(name, units, stages))
        del made
    return rows


def show(what: str, unit: str, rows: Sequence[Row]) -> None:
    stages = list(rows[0].seconds)
    print(f"  {what:>12}" + "".join(f"{stage:>30}" for stage in stages))
    for row in rows:
        cells = (f"{x:.3f} s ({short(x / row.units)}/{unit})" for x in row.seconds.values())
        own = row.name == f"{row.units:g}"
        name = row.name if own else f"{row.name} ({row.units:.3g})"
        print(f"  {name:>12}" + "".join(f"{cell:>30}" for cell in cells))
    slopes = (f"{slope(rows, stage):.2f}" for stage in stages)
    print(f"  {'slope':>12}" + "".join(f"{text:>30}" for text in slopes))


def slope(rows: Sequence[Row], stage: str) -> float:
    """Of log(seconds) against log(units) over the upper half, two sizes or more."""
    upper = rows[-max(2, math.ceil(len(rows) / 2)) :]
    if len(upper) < 2:
        return math.nan
    x, y = np.log([row.units for row in upper]), np.log([row.seconds[stage] for row in upper])
    return float(np.polyfit(x, y, 1)[0])


def short(seconds: float) -> str:
    """Seconds in the unit that leaves few digits, such as `3.4 ms`."""
    for scale, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {name}"
    return f"{seconds / 1e-9:.3g} ns"


def vary_length(length: int, _: Path) -> tuple[float, Turn]:
    return length, partial(report_turn, sample_model(), length, WINDOWS)


def vary_windows(windows: int, _: Path) -> tuple[float, Turn]:
    return windows, partial(report_turn, sample_model(), LENGTH, windows)


def vary_samples(samples: int, _: Path) -> tuple[float, Turn]:
    return samples, partial(report_turn, sample_model(), LENGTH, WINDOWS, samples)


def sample_model() -> Model:
    return load_model(open_run(SAMPLE, SAMPLE))


def report_turn(model: Model, length: int, windows: int, samples: int = 1) -> dict[str, float]:
    """The sample's own windows, read, rolled out without and with evaluation, and measured."""
    clock, context = silent_clock(), length // 2
    with clock.stage("reading", 0):
        run = open_run(SAMPLE, SAMPLE)
        # A length beyond an episode's would leave no window without a reset.
        _, found = run.choose_windows(length=length, num_windows=windows, allow_resets=True)
    with clock.stage("rollout", 0):
        roll_out(model, found, context=context, samples=samples)
    with clock.stage("evaluated rollout", 0):
        loop = roll_out(model, found, context=context, samples=samples, evaluate=True)
    report = make_report(loop, model.config)
    with clock.stage("measuring", 0):
        assert report.tree
    return clock.seconds


def vary_size(size: str, folder: Path) -> tuple[float, Turn]:
    """A model as a checkpoint on disk: its parameters read, placed, and rolled out."""
    model, windows = synthetic(size, SIZE_WINDOWS, SIZE_LENGTH)
    params = {k: np.asarray(x) for k, x in model.params.items() if not k.endswith("/folded")}
    file = folder / "agent.pkl"
    with file.open("wb") as out:
        pickle.dump({"params": params, "counters": {}}, out, protocol=4)
    (folder / "done").touch()
    count, names = sum(x.size for x in params.values()), tuple(params)
    config, spaces = model.config, model.spaces
    del model, params

    def turn() -> dict[str, float]:
        clock = silent_clock()
        with clock.stage("reading", 0):
            read = read_checkpoint(file).read_params(names)
        with clock.stage("placing", 0):
            placed = place_model(read, config, spaces)
            jax.block_until_ready(dict(placed.params))
        with clock.stage("rollout", 0):
            roll_out(placed, windows, context=SIZE_LENGTH // 2)
        return clock.seconds

    return count / 1e6, turn


def vary_checkpoints(count: int, folder: Path) -> tuple[float, Turn]:
    """A batch in a process of its own; then again, when only the comparison is left to do."""
    run = copies_of_sample(folder / f"run{count}", count)

    def turn() -> dict[str, float]:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            words: Words = ("batch", run, SAMPLE, "--no-report", "-q", "-o", out)
            return {
                "batch": openloop(*words, "--no-compare", cache=folder / "programs").seconds,
                "again, comparing": openloop(*words, cache=folder / "programs").seconds,
            }

    return count, turn


def vary_chunks(count: int, folder: Path) -> tuple[float, Turn]:
    """One stream of linked chunks, an episode's start after every `EPISODE_STEPS` steps."""
    from tests.replay.synthetic import Writer

    replay = folder / f"replay{count}"
    firsts = range(0, count * CHUNK_STEPS, EPISODE_STEPS)
    Writer(replay).stream([CHUNK_STEPS] * count, firsts=firsts)

    def turn() -> dict[str, float]:
        clock = silent_clock()
        with clock.stage("opening", 0):
            opened = open_replay(replay)
        with clock.stage("choosing", 0):
            choice = choose_windows(
                opened, length=LENGTH, replay_context=1, context=LENGTH // 2, count=16, seed=0
            )
        with clock.stage("reading 16 windows", 0):
            read_windows(opened, choice.ids, length=LENGTH, replay_context=1)
        return clock.seconds

    return count, turn


def silent_clock() -> Clock:
    return Clock(lambda stage, done: None)


def peak_memory() -> float:
    """GiB of this process; Linux counts in KiB, macOS in bytes."""
    scale = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


_SAMPLE_HELD = "the sample, context half of the length"
GROWTHS = {
    "length": Growth(
        "step", f"{_SAMPLE_HELD}, {WINDOWS} windows", (16, 32, 64, 128, 256, 512), 4, vary_length
    ),
    "windows": Growth(
        "window", f"{_SAMPLE_HELD}, {LENGTH} steps", (2, 4, 8, 16, 32, 64), 4, vary_windows
    ),
    "samples": Growth(
        "future",
        f"{_SAMPLE_HELD}, {WINDOWS} windows of {LENGTH} steps",
        (1, 2, 4, 8, 16, 32),
        4,
        vary_samples,
    ),
    "size": Growth(
        "M",
        f"{SIZE_WINDOWS} windows of {SIZE_LENGTH} steps, 64 × 64 images, float32, no evaluation;"
        " a unit is 1 M parameters",
        ("1m", "12m", "25m", "50m", "100m", "200m", "400m"),
        4,
        vary_size,
        apart=True,
    ),
    "checkpoints": Growth(
        "checkpoint",
        "copies of the sample's, default options without pages, warm compilation cache",
        (2, 4, 8, 16, 32),
        3,
        vary_checkpoints,
    ),
    "chunks": Growth(
        "chunk",
        f"chunks of {CHUNK_STEPS} steps, 16 windows of {LENGTH} steps",
        (10, 100, 1000, 10000),
        3,
        vary_chunks,
    ),
}

if __name__ == "__main__":
    main()
