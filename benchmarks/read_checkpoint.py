"""Reading a world model out of a large checkpoint, against `pickle.load` on the same file.

    python benchmarks/read_checkpoint.py [--gigabytes 1] [--repeats 7]

Makes a synthetic checkpoint in a temporary folder (65 % of it optimizer state), reads it in
fresh processes by turns, and prints medians and ratios of this one run. The file is in the
page cache throughout. Targets: time ratio <= 0.25, memory ratio <= 1.15, share read < 1 %.
"""

import argparse
import json
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WORLD_MODEL = ("enc/", "dyn/", "dec/", "rew/", "con/", "val/")
# Shares of the file's bytes. opt/ is two moments for each parameter.
SHARES = {
    "con": 0.01,
    "dec": 0.10,
    "dyn": 0.15,
    "enc": 0.05,
    "opt": 0.65,
    "pol": 0.01,
    "rew": 0.01,
    "slowval": 0.01,
    "val": 0.01,
}
KERNELS = {"dyn": 12, "dec": 10, "enc": 8, "opt": 100}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(MEASURES[options.measure](options.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "agent.pkl"
        file.touch()
        wanted = write_checkpoint(file, options.gigabytes * 1e9)
        file.read_bytes()[:0]  # into the page cache
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in MEASURES}
        for _ in range(options.repeats):
            for name in MEASURES:
                runs[name].append(in_fresh_process(name, file))
        show(runs, file.stat().st_size, wanted)


def write_checkpoint(file: Path, nbytes: float) -> int:
    """Bytes of the parameters that a report needs."""
    noise = np.random.default_rng(0).standard_normal(1 << 20, np.float32)
    params = {}
    for module, share in SHARES.items():
        count = KERNELS.get(module, 3)
        width = int((nbytes * share / count / 4) ** 0.5)
        for index in range(count):
            params[f"{module}/layer{index}/kernel"] = np.resize(noise, (width, width))
            params[f"{module}/layer{index}/bias"] = noise[:width]
            params[f"{module}/layer{index}/scale"] = noise[-width:]
    counters = {"updates": 1, "batches": 2, "actions": 3}
    with file.open("wb") as out:
        pickle.dump({"params": params, "counters": counters}, out, protocol=4)
    (file.parent / "done").touch()
    return sum(x.nbytes for name, x in params.items() if name.startswith(WORLD_MODEL))


def in_fresh_process(measure: str, file: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", measure, "--file", str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def measure_pickle(file: Path) -> dict[str, float]:
    before, start = peak_memory(), time.perf_counter()
    with file.open("rb") as source:
        params = pickle.load(source)["params"]
    seconds = time.perf_counter() - start
    assert len(params)
    return {"seconds": seconds, "memory": peak_memory() - before}


def measure_lazy(file: Path) -> dict[str, float]:
    from openloop_cli.checkpoints import read_checkpoint

    before, read_before, start = peak_memory(), bytes_read(), time.perf_counter()
    checkpoint = read_checkpoint(file)
    index_seconds = time.perf_counter() - start
    index_read = bytes_read() - read_before
    params = checkpoint.read_params(x for x in checkpoint.params if x.startswith(WORLD_MODEL))
    seconds = time.perf_counter() - start
    assert len(params)
    return {
        "seconds": seconds,
        "memory": peak_memory() - before,
        "index_seconds": index_seconds,
        "index_read": index_read,
    }


MEASURES = {"pickle.load": measure_pickle, "lazy": measure_lazy}


def peak_memory() -> int:
    # Not ru_maxrss: that starts at the parent's size.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("needs Linux: no VmHWM in /proc/self/status")


def bytes_read() -> int:
    """What this process asked the system to read, cached or not."""
    return int(Path("/proc/self/io").read_text().split()[1])


def show(runs: dict[str, list[dict[str, float]]], size: int, wanted: int) -> None:
    def median(name: str, key: str) -> float:
        return statistics.median(run[key] for run in runs[name])

    print(f"checkpoint {size / 1e6:.0f} MB, world model {wanted / 1e6:.0f} MB")
    for name in runs:
        times = [run["seconds"] for run in runs[name]]
        print(
            f"{name:12s} {median(name, 'seconds'):.3f} s"
            f" ({min(times):.3f} to {max(times):.3f}), + {median(name, 'memory') / 1e6:.0f} MB"
        )
    ratio = median("lazy", "seconds") / median("pickle.load", "seconds")
    print(f"index        {median('lazy', 'index_seconds') * 1e3:.1f} ms")
    print(f"time ratio   {ratio:.3f} (target 0.25)")
    print(f"memory ratio {median('lazy', 'memory') / wanted:.3f} (target 1.15)")
    print(f"index reads  {median('lazy', 'index_read') / size:.3%} of the file (target 1 %)")


if __name__ == "__main__":
    main()
