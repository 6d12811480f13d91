"""What logging costs: a million scalars beside the reference's logger, and a render with --log.

    python benchmarks/loggers.py [--runs 3]

The reference's logger is `elements` (3.22; TensorBoard needs TensorFlow there and is left out where
that is missing). Both loggers get the same dictionaries of a hundred scalars; turns alternate.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS, NAMES = 10_000, 100
Run = Callable[[Path], None]
METRICS = {f"train/loss/{n}": 0.5 + n for n in range(NAMES)}


def ours(*outputs: str) -> Run:
    def run(folder: Path) -> None:
        from openloop_cli.loggers import Logger

        with Logger([f"{output}:{folder}" for output in outputs]) as logger:
            for step in range(STEPS):
                logger.step = step
                logger.add(METRICS)
                logger.write()

    return run


def reference(output: str) -> Run:
    def run(folder: Path) -> None:
        import elements

        made = {
            "jsonl": lambda: elements.logger.JSONLOutput(folder, "metrics.jsonl"),
            "tensorboard": lambda: elements.logger.TensorBoardOutput(folder),
        }[output]()
        counter = elements.Counter()
        logger = elements.Logger(counter, [made])
        for _ in range(STEPS):
            logger.add(METRICS)
            logger.write()
            counter.increment()
        logger.close()

    return run


def seconds(run: Callable[[Path], None]) -> float:
    folder = Path(tempfile.mkdtemp())
    start = time.perf_counter()
    run(folder)
    passed = time.perf_counter() - start
    shutil.rmtree(folder)
    return passed


def beside(
    label: str, runs: int, one: Callable[[Path], None], other: Callable[[Path], None]
) -> None:
    try:
        pairs = [(seconds(one), seconds(other)) for _ in range(runs)]
    except (ImportError, AttributeError) as error:
        print(f"{label}: the reference's cannot be run here: {error}")
        return
    mine, its = (statistics.median(x) for x in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{label}: {mine:.1f} s, the reference {its:.1f} s, ratio {ratio:.2f}")


def rendered(folder: Path, *options: str) -> float:
    words = [sys.executable, "-m", "openloop_cli", "render"]
    words += [str(ROOT / "sample_data" / "dmc_cheetah_run"), "--out", str(folder / "a.mp4")]
    start = time.perf_counter()
    subprocess.run(
        [*words, "--length", "50", "--quiet", *options],
        check=True,
        env=os.environ | {"OPENLOOP_CACHE_DIR": str(folder / "cache")},
    )
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    print(f"{STEPS * NAMES:,} scalars, medians of {runs}")
    for output in ("jsonl", "tensorboard"):
        beside(output, runs, ours(output), reference(output))
    print(f"tensorboard alone, ours: {seconds(ours('tensorboard')):.1f} s")
    folder = Path(tempfile.mkdtemp())
    logs = [
        x for name in ("jsonl", "tensorboard", "scope") for x in ("--log", f"{name}:{folder}/l")
    ]
    rendered(folder)
    pairs = [(rendered(folder, *logs), rendered(folder)) for _ in range(runs)]
    ratio = statistics.median(a / b for a, b in pairs)
    mean = statistics.median(b for _, b in pairs)
    print(f"a warm render with three outputs: {ratio:.3f} times one without ({mean:.1f} s)")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
