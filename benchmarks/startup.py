"""What a whole command costs against what it must at least do; by hand.

    python benchmarks/startup.py [--repeats 5]

`openloop --help` against an empty Typer program; a render of the sample, first without and then
with a warm compilation cache, against a process that only imports jax and encodes the same
frames. Whole processes, turn by turn; medians are quoted.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data" / "dmc_cheetah_run"
MAIN = "from openloop_cli.cli import main; main()"
EMPTY = "import typer; app = typer.Typer(); app.command()(lambda: None); app()"
FLOOR = """
import sys, numpy as np, jax
from pathlib import Path
from openloop_cli.encode.video import write_mp4
jax.devices()
write_mp4(Path(sys.argv[2]), np.load(sys.argv[1]), 10)
"""
# The frames that the render below draws, for the floor to encode.
DRAW = """
import sys, numpy as np
from openloop_cli import load_model, make_report, open_run, roll_out
run = open_run(sys.argv[1], sys.argv[1])
_, windows = run.choose_windows(length=50)
loop = roll_out(load_model(run), windows, context=25)
np.save(sys.argv[2], make_report(loop, run.config.model, name=run.name).frames("image"))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), repeats)


def measure(folder: Path, repeats: int) -> None:
    frames, video = folder / "frames.npy", folder / "video.mp4"
    python("-c", DRAW, str(SAMPLE), str(frames), cache=folder / "unused")
    render = (
        "-c",
        MAIN,
        "render",
        str(SAMPLE),
        str(SAMPLE),
        "--length",
        "50",
        "-q",
        "-o",
        str(video),
    )
    seconds: dict[str, list[float]] = {}
    for turn in range(repeats):
        cold = folder / f"cold{turn}"
        for name, words, cache in (
            ("empty Typer program", ("-c", EMPTY, "--help"), cold),
            ("openloop --help", ("-c", MAIN, "--help"), cold),
            ("import jax, encode", ("-c", FLOOR, str(frames), str(video)), cold),
            ("render, cache cold", (*render, "--no-report"), cold),
            ("render, cache warm", (*render, "--no-report"), cold),
            ("warm, with the page", render, cold),
            ("warm, --no-evaluate", (*render, "--no-report", "--no-evaluate"), folder / "plain"),
        ):
            seconds.setdefault(name, []).append(python(*words, cache=cache))
    median = {name: statistics.median(x) for name, x in seconds.items()}
    for name, x in median.items():
        print(f"{name:22} {x:6.2f} s")
    ratio = median["openloop --help"] / median["empty Typer program"]
    print(f"\n--help against an empty program   {ratio:.2f} (target 1.5)")
    for name in list(median)[3:]:
        target = " (target 2.5)" if name == "render, cache warm" else ""
        print(f"{name} against the floor {median[name] / median['import jax, encode']:.2f}{target}")


def python(*words: str, cache: Path) -> float:
    """Wall seconds of a fresh interpreter."""
    environment = os.environ | {"OPENLOOP_CACHE_DIR": str(cache), "JAX_PLATFORMS": "cpu"}
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
