"""Observe the context, imagine the horizon, decode both: parameters and windows -> OpenLoop.

NumPy at both ends, JAX in the middle: one compilation for each shape, one transfer back.
"""

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from openloop_cli.arrays import Array, Params
from openloop_cli.config import ModelConfig
from openloop_cli.errors import OpenloopError, OptionError, ReplayError
from openloop_cli.replay import Windows
from openloop_cli.spaces import Spaces
from openloop_cli.world_model import heads, rssm
from openloop_cli.world_model.decoder import Decoded, decode, vector_means
from openloop_cli.world_model.encoder import encode, join_actions
from openloop_cli.world_model.params import fold_params

# Of the largest activation; windows beyond it are rolled out in further blocks of one shape.
BLOCK_BYTES = 2**30


@dataclass(frozen=True)
class Model:
    """A world model on its device: what `load_model` makes and `roll_out` takes."""

    params: Mapping[str, jax.Array]
    config: ModelConfig
    spaces: Spaces
    device: Any

    @property
    def device_name(self) -> str:
        """Such as `cpu` or `gpu NVIDIA H200`."""
        kind = str(self.device.device_kind)
        return (
            self.device.platform
            if kind == self.device.platform
            else (f"{self.device.platform} {kind}")
        )


@dataclass(frozen=True)
class OpenLoop:
    """What the model predicted for B windows of T steps, beside what was recorded.

    Attributes:
      ids: The windows' ids.
      context: Steps that were observed; the other T - context were imagined.
      truth: Observations as recorded, by key, (B, T, …).
      prediction: By key: images float32 in [0, 1]; vectors in the observation's own units,
        discrete ones as the most likely class.
      deter, logit: (B, T, D) and (B, T, S, L), float32; logits before unimix, of the posterior
        while observing and of the prior while imagining.
      stoch: (B, T, S) class of each latent.
      reward, cont, value: (B, T) expectations.
    """

    ids: tuple[str, ...]
    context: int
    truth: Mapping[str, Array]
    prediction: Mapping[str, Array]
    deter: Array
    stoch: Array
    logit: Array
    reward: Array
    cont: Array
    value: Array

    @property
    def image_keys(self) -> tuple[str, ...]:
        """Keys whose truth is a picture."""
        return tuple(k for k, x in self.truth.items() if x.dtype == np.uint8 and x.ndim == 5)

    @property
    def vector_keys(self) -> tuple[str, ...]:
        """All other keys."""
        return tuple(k for k in self.truth if k not in self.image_keys)


class Inputs(NamedTuple):
    """Windows as the model takes them, replay context already applied; NumPy until jit."""

    obs: dict[str, Any]  # (B, T, …)
    actions: dict[str, Any]  # (B, T, …), the action before each step
    resets: Any  # (B, T)
    deter: Any  # (B, D)
    stoch: Any  # (B, S, L)


def load_model(
    params: Params, config: ModelConfig, spaces: Spaces, *, device: str | None = None
) -> Model:
    """Puts checked parameters (`check_params`) on a device, with upsampling kernels folded.

    Args:
      device: `cpu`, `gpu`, `tpu`, or one of several, such as `gpu:1`; None: jax's first.

    Raises:
      OptionError: There is no such device.
    """
    chosen = find_device(device)
    folded = fold_params(params, config, spaces)
    return Model(jax.device_put(folded, chosen), config, spaces, chosen)


def find_device(name: str | None) -> Any:
    """The jax device of that name, such as `cpu` or `gpu:1`."""
    platform, _, index = (name or "").partition(":")
    try:
        devices = jax.devices(platform or None)
    except RuntimeError as error:
        raise OptionError(
            f"--device {name}: {str(error).splitlines()[0]}",
            hint="use --device cpu, or install the extra for your accelerator (openloop[cuda12])",
        ) from None
    if index and not (index.isdigit() and int(index) < len(devices)):
        raise OptionError(f"--device {name}: there are {len(devices)} {platform} devices, from 0")
    return devices[int(index or 0)]


def roll_out(
    model: Model, windows: Windows, *, context: int, seed: int = 0, latents: str = "sample"
) -> OpenLoop:
    """Observes the first `context` steps of each window and imagines the others.

    Args:
      latents: `sample` draws each latent; `mode` takes its most likely class.
      seed: Of the draws. A window draws the same whatever else is rolled out beside it.
    """
    inputs = model_inputs(windows, model.spaces, model.config)
    steps = inputs.resets.shape[1]
    if not 1 <= context < steps:
        raise OptionError(
            f"--context {context}: expected 1 to {steps - 1}, below the {steps} steps of a window"
        )
    keys = window_keys(seed, windows.ids) if latents == "sample" else None
    run = partial(_roll_out, config=model.config, spaces=model.spaces, context=context)
    with numerics(model.config), jax.default_device(model.device), out_of_memory_told():
        blocks = _blocks(inputs, keys, _block_size(inputs, model))
        outs = jax.device_get([run(model.params, *block) for block in blocks])
    outs = jax.tree.map(lambda *xs: np.concatenate(xs)[: len(windows.ids)], *outs)
    return OpenLoop(ids=windows.ids, context=context, truth=inputs.obs, **outs)


def model_inputs(windows: Windows, spaces: Spaces, config: ModelConfig) -> Inputs:
    """Applies the replay context: `_apply_replay_context` in the reference's agent.py."""
    data, start = windows.data, windows.replay_context
    batch = len(windows.ids)
    obs = {key: data[key][:, start:] for key, _ in spaces.obs}
    if start:
        actions = {key: data[key][:, start - 1 : -1] for key, _ in spaces.act}
        deter, stoch = (_stored(data, f"dyn/{k}")[:, start - 1] for k in ("deter", "stoch"))
    else:
        actions = {
            key: np.concatenate([np.zeros_like(data[key][:, :1]), data[key][:, :-1]], 1)
            for key, _ in spaces.act
        }
        deter = np.zeros((batch, config.dyn.deter), np.float32)
        stoch = np.zeros((batch, config.dyn.stoch, config.dyn.classes), np.float32)
    expected = ((config.dyn.deter,), (config.dyn.stoch, config.dyn.classes))
    if (deter.shape[1:], stoch.shape[1:]) != expected:
        raise ReplayError(
            f"dyn/deter, dyn/stoch in the replay: expected {expected[0]} and {expected[1]},"
            f" found {deter.shape[1:]} and {stoch.shape[1:]}",
            hint="pass the replay of the same run as the checkpoint",
        )
    return Inputs(obs, actions, data["is_first"][:, start:], deter, stoch)


def window_keys(seed: int, ids: Sequence[str]) -> jax.Array:
    """(B, …) one random key for each window, from the seed and the window's id alone."""
    with jax.threefry_partitionable(True):
        base = jax.random.key(seed)
        hashes = np.array([zlib.crc32(name.encode()) for name in ids], np.uint32)
        return jax.vmap(lambda h: jax.random.fold_in(base, h))(hashes)


@contextmanager
def numerics(config: ModelConfig) -> Iterator[None]:
    """The same bits from the same seed on every jax; float32 products in full on every device."""
    precision = "float32" if config.compute_dtype == "float32" else None
    with jax.threefry_partitionable(True), jax.default_matmul_precision(precision):
        yield


@contextmanager
def out_of_memory_told() -> Iterator[None]:
    """Turns the device's own out-of-memory error, a RuntimeError on every jax, into one line."""
    try:
        yield
    except RuntimeError as error:
        reason = (str(error).splitlines() or [""])[0]
        if "RESOURCE_EXHAUSTED" not in reason:
            raise
        raise OpenloopError(
            f"the device ran out of memory: {reason}",
            hint="use fewer --sequences, a shorter --length, or --device cpu",
        ) from None


@partial(jax.jit, static_argnames=("config", "spaces", "context"))
def _roll_out(
    params: Params,
    inputs: Inputs,
    keys: jax.Array | None,
    *,
    config: ModelConfig,
    spaces: Spaces,
    context: int,
) -> dict[str, Any]:
    """Inputs of B windows -> the fields of OpenLoop, on the device."""
    dtype = jnp.dtype(config.compute_dtype)
    actions = join_actions(inputs.actions, spaces.actions, dtype)
    steps = inputs.resets.shape[1]
    keys = _step_keys(keys, steps)
    seen = jax.tree.map(lambda x: x[:, :context], (inputs.obs, actions, inputs.resets, keys))
    tokens = encode(params, config.enc, spaces, seen[0], dtype)
    carry = rssm.Carry(inputs.deter.astype(dtype), inputs.stoch.astype(dtype))
    carry, post = rssm.observe(params, config.dyn, carry, tokens, *seen[1:])
    ahead = jax.tree.map(lambda x: x[:, context:], (actions, keys))
    _, prior = rssm.imagine(params, config.dyn, carry, *ahead)
    feat = jax.tree.map(lambda *xs: jnp.concatenate(xs, 1), post, prior)
    decoded = decode(params, config.dec, spaces, feat.deter, feat.stoch)
    return {
        **_latents(feat),
        **_heads(params, config, feat),
        "prediction": _predictions(config, spaces, decoded),
    }


def _step_keys(keys: jax.Array | None, steps: int) -> jax.Array | None:
    """(B,) -> (B, T): a key for each step of each window."""
    if keys is None:
        return None
    return jax.vmap(lambda key: jax.vmap(lambda t: jax.random.fold_in(key, t))(jnp.arange(steps)))(
        keys
    )


def _latents(feat: rssm.Features) -> dict[str, jax.Array]:
    return {
        "deter": feat.deter.astype(jnp.float32),
        "stoch": jnp.argmax(feat.stoch, -1).astype(jnp.int32),
        "logit": feat.logit.astype(jnp.float32),
    }


def _heads(params: Params, config: ModelConfig, feat: rssm.Features) -> dict[str, jax.Array]:
    logits = heads.head_logits(params, config, feat.deter, feat.stoch)
    return {
        "reward": heads.reward_mean(logits),
        "cont": heads.cont_mean(logits),
        "value": heads.value_mean(logits),
    }


def _predictions(config: ModelConfig, spaces: Spaces, decoded: Decoded) -> dict[str, jax.Array]:
    both = decoded.images | vector_means(config.dec, spaces, decoded.vectors)
    return {key: both[key] for key, _ in spaces.obs}


def _stored(data: Mapping[str, Array], key: str) -> Array:
    if key not in data:
        raise ReplayError(
            f"the replay has no {key!r}, which its run's replay_context asks for",
            hint="pass the replay that the run wrote, or a config with replay_context: 0",
        )
    return data[key]


def _block_size(inputs: Inputs, model: Model) -> int:
    """Windows of one block, so that the largest activation stays below BLOCK_BYTES."""
    batch, steps = (int(n) for n in inputs.resets.shape)
    enc, images = model.config.enc, model.spaces.images
    frame = max((math.prod(s.shape[:2]) for s in images.values()), default=0)
    per_window = 4 * steps * max(1, frame * enc.depth * enc.mults[0])
    most = max(1, BLOCK_BYTES // per_window)
    return math.ceil(batch / math.ceil(batch / most))


def _blocks(inputs: Inputs, keys: Array | None, size: int) -> Iterator[tuple[Inputs, Array | None]]:
    """Blocks of one shape; the last repeats its last window to fill up."""
    batch = inputs.resets.shape[0]
    for start in range(0, batch, size):
        index = np.minimum(np.arange(start, start + size), batch - 1)
        yield jax.tree.map(lambda x, index=index: x[index], (inputs, keys))
