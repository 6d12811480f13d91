"""What scoring costs, beside worldproof and worldbench on the same frames, in CPU seconds.

    python benchmarks/score.py PEERS/bin [--windows 64 --steps 50 --runs 3]

`PEERS` is an environment of its own with worldproof 0.1.0 and worldbench 0.4.1. All three read the
same PNGs, half of each window as context; each process is started anew, and counted whole (user and
system, children included). Printed are medians.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peers", type=Path)
    parser.add_argument("--windows", type=int, default=64)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, *made(args.windows, args.steps), args.steps // 2)
        commands = {
            "openloop score, numbers and page": [sys.executable, "-m", "openloop_cli", "score",
                root / "proof", "-o", root / "o" / "a.png", "-q"],
            "openloop score, video too": [sys.executable, "-m", "openloop_cli", "score",
                root / "proof", "-o", root / "o" / "a.mp4", "-q"],
            "worldproof evaluate": [args.peers / "worldproof", "evaluate", root / "proof",
                "--json", root / "p.json", "--html", root / "p.html"],
            "worldbench eval": [args.peers / "worldbench", "eval", root / "bench",
                "--output-root", root / "b"],
        }  # fmt: skip
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(args.runs):
            for name, command in commands.items():
                found[name].append(cost([str(x) for x in command]))
        print(f"{args.windows} windows of {args.steps} steps, 64 x 64 x 3, medians of {args.runs}")
        for name, runs in found.items():
            cpu, wall = (statistics.median(x) for x in zip(*runs, strict=True))
            print(f"{name:36} {cpu:8.2f} s CPU {wall:8.2f} s")


def made(windows: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """A truth that moves and a prediction that is off by noise, (B, T, 64, 64, 3) uint8."""
    rng = np.random.default_rng(0)
    low = rng.integers(0, 255, (windows, 8, 8, 3), np.uint8)
    first = low.repeat(8, 1).repeat(8, 2)
    truth = np.stack([np.roll(first, step, 2) for step in range(steps)], 1)
    noise = rng.integers(-8, 9, truth.shape, np.int16)
    return truth, np.clip(truth + noise, 0, 255).astype(np.uint8)


def write(root: Path, truth: np.ndarray, said: np.ndarray, context: int) -> None:
    """Both layouts; worldbench's frames are links to worldproof's."""
    told = {"format_version": "0.1-provisional", "modality": "pixels", "storage": "png_sequence",
            "fps": 10.0, "resolution": [64, 64], "channels": 3, "model_id": "m", "seed": 0,
            "camera_id": None, "inference_latency_s": None, "context_id": None,
            "is_failure": None, "horizon": truth.shape[1] - context, "n_samples": 1,
            "has_ground_truth": True}  # fmt: skip
    for window in range(len(truth)):
        proof = root / "proof" / f"rollout_{window:05d}"
        bench = root / "bench" / f"episode_{window:05d}"
        parts = {
            "context": (truth[window, :context], None),
            "ground_truth": (truth[window, context:], "frames"),
            "predictions/sample_00": (said[window, context:], "predictions"),
        }
        for name, (video, other) in parts.items():
            (proof / name).mkdir(parents=True)
            if other:
                (bench / other).mkdir(parents=True)
            for step, frame in enumerate(video):
                path = proof / name / f"frame_{step:05d}.png"
                Image.fromarray(frame).save(path)
                if other:
                    os.link(path, bench / other / path.name)
        np.save(proof / "actions.npy", np.zeros((truth.shape[1] - context, 2), np.float32))
        (proof / "manifest.json").write_text(json.dumps(told))
        for name in ("actions.json", "states.json"):
            (bench / name).write_text("[]")
        (bench / "metadata.json").write_text(
            json.dumps({"name": bench.name, "robot": "none", "task": "none", "fps": 10.0})
        )


def cost(command: list[str]) -> tuple[float, float]:
    """CPU and wall-clock seconds of a process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(getattr(after, x) - getattr(before, x) for x in ("ru_utime", "ru_stime"))
    return cpu, time.perf_counter() - start


if __name__ == "__main__":
    main()
