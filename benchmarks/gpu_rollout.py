"""The rollout on an accelerator against what its memory and its arithmetic allow; by hand.

    python benchmarks/gpu_rollout.py [--sizes 12m 50m 200m 400m] [--dtypes bfloat16 float32]

The limits are measured in the same run: operations per second of a large matrix product, bytes per
second of a large copy. What each part of the rollout must at least do follows from its parameters:

- a step of the RSSM reads its weights once, in the compute dtype, and uses each once per window;
- a frame's convolutions use each tap once per output pixel (upsampling ones in their folded form),
  read their weights once for all frames, the frame, and write the result;
- activations in between, norms, draws and losses are left out: no large model reaches 1.00.

`share` is the least time by the slower of the two limits over the measured time. Weights that stay
in a cache are read faster than a large copy: a small model's steps can go beyond 1. Parameters are
random, made on the spot. Without a GPU, `--sizes 1m --quick` shows that it runs.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rollout import synthetic

from openloop_cli.models.dreamerv3 import heads, rssm
from openloop_cli.models.dreamerv3.decoder import decode
from openloop_cli.models.dreamerv3.encoder import encode, join_actions
from openloop_cli.models.dreamerv3.inputs import model_inputs
from openloop_cli.models.model import Model, on_device
from openloop_cli.replay import Windows
from openloop_cli.rollout.blocks import Blocks
from openloop_cli.rollout.noise import make_noise, step_keys
from openloop_cli.rollout.roll_out import roll_out


@dataclass(frozen=True)
class Limits:
    """What the device can do at best, measured: operations and bytes in a second."""

    operations: float
    nbytes: float


@dataclass(frozen=True)
class Part:
    """A part of the rollout: what it must at least do in one turn, and how often it has a turn.

    Attributes:
      run: All turns at once, on the device.
    """

    name: str
    run: Callable[[], Any]
    turns: int
    operations: float
    nbytes: float

    def least(self, limits: Limits) -> float:
        """Seconds of one turn, by the slower of the two limits."""
        return max(self.operations / limits.operations, self.nbytes / limits.nbytes)

    def limited_by(self, limits: Limits) -> str:
        arithmetic = self.operations / limits.operations > self.nbytes / limits.nbytes
        return "arithmetic" if arithmetic else "bandwidth"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["12m", "50m", "200m", "400m"])
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument("--windows", type=int, default=16)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--device", default=f"{jax.default_backend()}:0")
    parser.add_argument("--quick", action="store_true", help="small limits, three repeats")
    args = parser.parse_args()
    repeats = 3 if args.quick else args.repeats
    for dtype in args.dtypes:
        for size in args.sizes:
            model, windows = synthetic(size, args.windows, args.length, dtype, args.device)
            with on_device(model):
                limits = measure_limits(dtype, args.quick, repeats)
                print(f"\n{size} {dtype}: {describe(model, limits)}")
                report(model, windows, limits, repeats)


def describe(model: Model, limits: Limits) -> str:
    count = sum(x.size for name, x in model.params.items() if not name.endswith("folded"))
    return (
        f"{count / 1e6:.1f} M parameters, {model.device_name}, jax {jax.__version__},"
        f" limits {limits.operations / 1e12:.3g} TFLOP/s and {limits.nbytes / 1e9:.4g} GB/s"
    )


def report(model: Model, windows: Windows, limits: Limits, repeats: int) -> None:
    batch, steps = windows.data["is_first"].shape[0], windows.data["is_first"].shape[1] - 1
    context = steps // 2
    print("  part                 turns   measured      least   share   limited by")
    least = 0.0
    for part in parts(model, windows, context):
        seconds, bound = median_seconds(part.run, repeats) / part.turns, part.least(limits)
        least += bound * part.turns
        print(
            f"  {part.name:19} {part.turns:6} {micro(seconds)} {micro(bound)}"
            f"   {bound / seconds:5.3f}   {part.limited_by(limits)}"
        )
    inputs = model_inputs(windows, model.spaces, model.config.dyn)
    forms: dict[str, Callable[[], Any]] = {
        "rollout, results left on the device": partial(on_the_device, model, inputs, windows),
        "rollout, from NumPy to NumPy": partial(roll_out, model, windows, context=context),
    }
    frames = batch * steps
    for name, run in forms.items():
        seconds = median_seconds(run, repeats)
        print(
            f"  {name}: {seconds * 1e3:.2f} ms, {frames / seconds:,.0f} of at most"
            f" {frames / least:,.0f} frames/s, share {least / seconds:.3f}"
        )


def parts(model: Model, windows: Windows, context: int) -> Iterator[Part]:
    """The parts of a rollout without evaluation, each compiled by itself."""
    config, spaces, params = model.config, model.spaces, model.params
    dtype = jnp.dtype(config.compute_dtype)
    inputs = jax.device_put(model_inputs(windows, spaces, config.dyn), model.devices[0])
    batch, steps = inputs.resets.shape
    joined = jax.jit(partial(join_actions, spaces=spaces.actions, dtype=dtype))(inputs.actions)
    keys = step_keys(make_noise(0, windows.ids), 1, 0, steps)
    carry = rssm.Carry(inputs.deter.astype(dtype), inputs.stoch.astype(dtype))
    width = dtype.itemsize

    def jitted(function: Callable[..., Any], *args: Any) -> tuple[Callable[[], Any], Any]:
        compiled = jax.jit(function)
        return lambda: compiled(params, *args), compiled(params, *args)

    frames = {key: x[:, :context] for key, x in inputs.obs.items()}
    run, tokens = jitted(lambda p, x: encode(p, config.enc, spaces, x, dtype), frames)
    count, weights = encoder_work(model)
    moved = sum(x.nbytes for x in frames.values()) + tokens.nbytes + weights * width
    yield Part("encode, all frames", run, 1, count * batch * context, moved)
    run, _ = jitted(
        lambda p, *xs: rssm.observe(p, config.dyn, *xs),
        *(carry, tokens, joined[:, :context], inputs.resets[:, :context], keys[:, :context]),
    )
    size = kernels(model, "dyn/", without="dyn/prior")
    yield Part("observe, a step", run, context, 2 * size * batch, size * width)
    run, (_, feat) = jitted(
        lambda p, *xs: rssm.imagine(p, config.dyn, *xs),
        *(carry, joined[:, context:], keys[:, context:]),
    )
    size = kernels(model, "dyn/", without="dyn/obs")
    yield Part("imagine, a step", run, steps - context, 2 * size * batch, size * width)
    # Both halves are decoded alike: the imagined one is measured, as often as there are such.
    halves = steps / (steps - context)
    states = batch * (steps - context)
    run, out = jitted(
        lambda p, *xs: decode(p, config.dec, spaces, *xs).images, feat.deter, feat.stoch
    )
    count, weights = decoder_work(model)
    moved = sum(x.nbytes for x in out.values()) + feat.deter.nbytes + weights * width
    yield halved("decode, half of all", run, count * states, moved, halves)
    run, _ = jitted(lambda p, *xs: heads.head_logits(p, config, *xs), feat.deter, feat.stoch)
    size = sum(kernels(model, name) for name in ("rew/", "con/", "val/"))
    moved = size * width + feat.deter.nbytes + feat.stoch.nbytes
    yield halved("heads, half of all", run, 2 * size * states, moved, halves)


def halved(
    name: str, run: Callable[[], Any], operations: float, nbytes: float, halves: float
) -> Part:
    """A part that is measured on one half of the steps; the other half is the same again."""
    turns = round(halves)
    return Part(name, lambda: [run() for _ in range(turns)], turns, operations, nbytes)


def on_the_device(model: Model, inputs: Any, windows: Windows) -> Any:
    """Both programs one after the other, as `roll_out` calls them; nothing comes back."""
    batch, steps = inputs.resets.shape
    context = steps // 2
    noise = make_noise(0, windows.ids)
    blocks = Blocks(model, inputs, context, steps)
    seen, carry = blocks.observe(noise, context)
    actions = {key: x[:, context:] for key, x in inputs.actions.items()}
    return seen, blocks.imagine(carry, np.arange(batch), actions, noise, 1)


def kernels(model: Model, prefix: str, without: str = "\0") -> int:
    """Weights of all layers with that prefix."""
    return sum(
        x.size
        for name, x in model.params.items()
        if name.startswith(prefix) and name.endswith("/kernel") and not name.startswith(without)
    )


def encoder_work(model: Model) -> tuple[float, int]:
    """Operations for a frame, and the number of weights."""
    height, width, _ = next(iter(model.spaces.images.values())).shape
    operations = 0
    for i in range(len(model.config.enc.mults)):
        pixels = (height >> i) * (width >> i)  # convolved before it is halved
        operations += 2 * pixels * math.prod(model.params[f"enc/cnn{i}/kernel"].shape)
    return operations, kernels(model, "enc/cnn")


def decoder_work(model: Model) -> tuple[float, int]:
    """Operations for a frame, and the number of weights, in the folded form."""
    stages = len(model.config.dec.mults)
    height, width, _ = next(iter(model.spaces.images.values())).shape
    names = [f"dec/conv{i}" for i in reversed(range(stages - 1))] + ["dec/imgout"]
    folded = [model.params[f"{name}/folded"] for name in names]
    operations = 2 * kernels(model, "dec/sp")
    for stage, kernel in enumerate(folded):
        pixels = (height >> (stages - stage)) * (width >> (stages - stage))
        operations += 2 * pixels * math.prod(kernel.shape)
    return operations, kernels(model, "dec/sp") + sum(kernel.size for kernel in folded)


def measure_limits(dtype: str, quick: bool, repeats: int) -> Limits:
    """A square matrix product in the dtype, and a copy that reads and writes each byte once."""
    size = 1024 if quick else 8192
    a = jnp.ones((size, size), dtype)
    product = jax.jit(lambda x, y: x @ y)
    operations = 2 * size**3 / median_seconds(partial(product, a, a), repeats)
    count = (1 if quick else 16) * 2**24
    x = jnp.ones(count, jnp.float32)
    copy = jax.jit(lambda x: x + 1)
    return Limits(operations, 2 * x.nbytes / median_seconds(partial(copy, x), repeats))


def median_seconds(run: Callable[[], Any], repeats: int) -> float:
    """Of several turns; the first two compile and warm up and are not counted."""
    for _ in range(2):
        jax.block_until_ready(run())
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def micro(seconds: float) -> str:
    return f"{seconds * 1e6:7.1f} µs"


if __name__ == "__main__":
    main()
