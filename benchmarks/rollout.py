"""The rollout against a plain form of it, and what evaluation and futures cost; by hand.

    python benchmarks/rollout.py [--sizes sample 12m] [--repeats 9]

The plain form encodes every frame and repeats pixels before it convolves; all else is the same
code. Both run in one process, turn by turn, on the same inputs; medians are quoted.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from openloop_cli.config import DecoderConfig, EncoderConfig, HeadConfig, ModelConfig, RSSMConfig
from openloop_cli.config.presets import SIZES
from openloop_cli.models.dreamerv3 import decoder, encoder, nets
from openloop_cli.models.dreamerv3.shapes import expected_shapes
from openloop_cli.models.model import Model, place_model
from openloop_cli.replay import Windows
from openloop_cli.rollout import programs
from openloop_cli.rollout.result import OpenLoop
from openloop_cli.rollout.roll_out import load_model, roll_out
from openloop_cli.run import open_run
from openloop_cli.spaces import Space, Spaces

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data" / "dmc_cheetah_run"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["sample", "12m"])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--windows", type=int, default=6)
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--samples", type=int, default=16)
    args = parser.parse_args()
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}, medians of {args.repeats}")
    for size in args.sizes:
        compare(size, args)


def compare(size: str, args: argparse.Namespace) -> None:
    model, windows = prepared(size, args.windows, args.length)
    run = lambda **kw: roll_out(model, windows, context=args.length // 2, latents="mode", **kw)  # noqa: E731
    forms: dict[str, Callable[[], OpenLoop]] = {"rollout": run, "plain form": lambda: plain(run)}
    times, results = turn_by_turn(forms, args.repeats)
    key = next(iter(model.spaces.images))
    distance = np.abs(
        results["rollout"].model.prediction[key] - results["plain form"].model.prediction[key]
    ).max()
    ratio = times["rollout"] / times["plain form"]
    frames = args.windows * args.length
    print(f"\n{size}: {args.windows} windows of {args.length} steps")
    print(f"  rollout     {times['rollout']:.3f} s, {frames / times['rollout']:.0f} frames/s")
    print(f"  plain form  {times['plain form']:.3f} s   ratio {ratio:.2f} (target 0.4)")
    print(f"  largest difference {distance:.1e} (target 1e-5)")
    draw = lambda **kw: roll_out(model, windows, context=args.length // 2, **kw)  # noqa: E731
    costs = {
        "one future": draw,
        "evaluation": lambda: draw(evaluate=True),
        "futures": lambda: draw(samples=args.samples),
    }
    times, _ = turn_by_turn(costs, max(3, args.repeats // 3))
    one = times["one future"]
    print(f"  evaluation  {times['evaluation'] / one:.2f} times a rollout (target 3)")
    print(f"  {args.samples} futures  {times['futures'] / one:.2f} times one (target 10)")


def turn_by_turn(
    forms: dict[str, Callable[[], Any]], repeats: int
) -> tuple[dict[str, float], dict[str, Any]]:
    """Median seconds and last result of each; the first turn compiles and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    results = {name: form() for name, form in forms.items()}
    for _ in range(repeats):
        for name, form in forms.items():
            start = time.perf_counter()
            results[name] = form()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(x) for name, x in seconds.items()}, results


def plain(run: Callable[..., OpenLoop]) -> OpenLoop:
    """The same rollout, every frame encoded, pixels repeated before they are convolved."""
    with (
        mock.patch.object(decoder, "upsampling_conv", repeat_then_convolve),
        mock.patch.object(programs, "observe", _PLAIN_OBSERVE),
        mock.patch.object(programs, "imagine", _PLAIN_IMAGINE),
        mock.patch.object(programs, "encode", encode_all),
        mock.patch.object(programs, "decode", decode_at_once),
        mock.patch.object(encoder, "pooling_conv", convolve_then_pool),
    ):
        return run()


def repeat_then_convolve(params: Any, name: str, x: jax.Array) -> jax.Array:
    return nets.conv(params, name, jnp.repeat(jnp.repeat(x, 2, 1), 2, 2))


def convolve_then_pool(params: Any, name: str, x: jax.Array) -> jax.Array:
    x = nets.conv(params, name, x)
    n, h, w, c = x.shape
    return x.reshape((n, h // 2, 2, w // 2, 2, c)).max((2, 4))


def decode_at_once(*args: Any) -> Any:
    return decoder.decode(*args[:-1])


def encode_all(params: Any, config: Any, spaces: Any, obs: Any, dtype: Any, _: int) -> jax.Array:
    """Encodes as many frames again as are observed: those of the imagined half."""
    twice = jax.tree.map(lambda x: jnp.concatenate([x, x[:, ::-1]], 1), obs)
    steps = next(iter(obs.values())).shape[1]
    tokens = encoder.encode(params, config, spaces, twice, dtype)
    # The second half must not be optimised away: it takes part, weighted with nothing.
    return tokens[:, :steps] + 0 * jnp.nan_to_num(tokens[:, steps:]).astype(tokens.dtype)


def prepared(size: str, count: int, length: int) -> tuple[Model, Windows]:
    if size == "sample":
        run = open_run(SAMPLE, SAMPLE)
        _, windows = run.choose_windows(length=length, num_windows=count)
        return load_model(run), windows
    return synthetic(size, count, length)


def synthetic(
    size: str, count: int, length: int, dtype: str = "float32", device: str | None = None
) -> tuple[Model, Windows]:
    """A model of one of the reference's sizes with random parameters, and random windows."""
    deter, hidden, classes, depth, units = SIZES[f"size{size}"]
    shared = {"act": "silu"}
    config = ModelConfig(
        enc=EncoderConfig(depth=depth, units=units, **shared),
        dyn=RSSMConfig(deter=deter, hidden=hidden, classes=classes, **shared),
        dec=DecoderConfig(depth=depth, units=units, **shared),
        reward=HeadConfig(units=units, layers=1),
        cont=HeadConfig(units=units, layers=1, output="binary"),
        value=HeadConfig(units=units, layers=3),
        compute_dtype=dtype,
    )
    spaces = Spaces(
        (("image", Space((64, 64, 3), "uint8")),), (("action", Space((6,), "float32")),)
    )
    rng = np.random.default_rng(0)
    params = {
        name: (rng.standard_normal(shape, np.float32) / np.sqrt(max(1, np.prod(shape[:-1]))))
        if name.endswith("kernel")
        else np.ones(shape, np.float32) * name.endswith("scale")
        for name, shape in expected_shapes(config, spaces).items()
    }
    steps = (count, 1 + length)
    data = {
        "image": rng.integers(0, 255, (*steps, 64, 64, 3), np.uint8),
        "action": rng.uniform(-1, 1, (*steps, 6)).astype(np.float32),
        "reward": np.zeros(steps, np.float32),
        "is_first": np.zeros(steps, bool),
        "is_terminal": np.zeros(steps, bool),
        "dyn/deter": np.zeros((*steps, deter), np.float32),
        "dyn/stoch": np.zeros((*steps, 32, classes), np.float32),
    }
    windows = Windows(tuple(f"w:{i}" for i in range(count)), data, 1, ())
    return place_model(params, config, spaces, device=device), windows


def _own_compilation(name: str, static: tuple[str, ...]) -> Any:
    """The stage as another function, for jax keeps traces by function: it traces what was put
    in place of its parts."""
    own = getattr(programs, name).__wrapped__
    copy = FunctionType(own.__code__, own.__globals__, own.__name__, None, own.__closure__)
    copy.__kwdefaults__ = own.__kwdefaults__
    return jax.jit(copy, static_argnames=static)


_PLAIN_OBSERVE = _own_compilation("observe", ("static", "context", "steps"))
_PLAIN_IMAGINE = _own_compilation("imagine", ("static", "samples"))

if __name__ == "__main__":
    main()
