"""Windows in blocks that fit into memory, through the compiled programs and back again."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.inputs import Inputs
from openloop_cli.model import Model
from openloop_cli.rollout import programs
from openloop_cli.rollout.noise import Noise, noise_of
from openloop_cli.world_model import rssm

# Of the largest activation; windows beyond it are rolled out in further blocks of one shape.
BLOCK_BYTES = 2**30
# Frames that a CPU encodes or decodes together; see `nets.in_blocks`.
CPU_FRAME_BLOCK = 24


class Blocks:
    """The compiled programs over blocks of windows; results stay on the device.

    Args:
      states: Latent states of one window that are decoded together.
    """

    def __init__(self, model: Model, inputs: Inputs, context: int, states: int) -> None:
        self.model, self.inputs, self.context = model, inputs, context
        block = CPU_FRAME_BLOCK if model.device.platform == "cpu" else 0
        self.static = {"config": model.config, "spaces": model.spaces, "block": block}
        # Blocks have one shape: the last repeats its last window to fill up.
        batch, size = len(inputs.resets), _block_size(inputs, model, states)
        starts = range(0, batch, size)
        self.blocks = [np.minimum(np.arange(s, s + size), batch - 1) for s in starts]

    def observe(self, noise: Noise | None, steps: int) -> tuple[list[Any], rssm.Carry]:
        """Follows the posterior for `steps` steps; the carry is that after the context."""
        run = partial(programs.observe, context=self.context, steps=steps, **self.static)
        outs = []
        for index in self.blocks:
            block = jax.tree.map(lambda x, index=index: x[index], self.inputs)
            outs.append(run(self.model.params, block, noise_of(noise, index)))
        carries = [out.pop("carry") for out in outs]
        return outs, carries[0] if len(carries) == 1 else jax.tree.map(_concatenate, *carries)

    def imagine(
        self,
        carry: rssm.Carry,
        source: Array,
        actions: Mapping[str, Array],
        noise: Noise | None,
        samples: int,
    ) -> list[Any]:
        """Follows the prior to the end, each window from the carry of the one in `source`."""
        run = partial(programs.imagine, samples=samples, **self.static)
        truth = jax.tree.map(
            lambda x: x[:, self.context :],
            (self.inputs.obs, self.inputs.reward, self.inputs.terminal),
        )
        outs = []
        for index in self.blocks:
            block = jax.tree.map(lambda x, index=index: x[index], (truth, actions))
            outs.append(
                run(self.model.params, carry, source[index], *block, noise_of(noise, index))
            )
        return outs


def gather(outs: Any, batch: int) -> Any:
    """Brings lists of blocks back in one transfer and joins them along the windows' axis."""
    fetched = jax.device_get(outs)
    is_blocks = lambda x: isinstance(x, list)  # noqa: E731
    return jax.tree.map(lambda blocks: _join(blocks, batch), fetched, is_leaf=is_blocks)


def _join(blocks: list[dict[str, Any]], batch: int) -> dict[str, Any]:
    """Futures carry the windows' axis second where their own axis is first."""
    if len(blocks) == 1:
        return blocks[0]
    joined = {}
    for name in blocks[0]:
        parts = [block[name] for block in blocks]
        if name == "futures":
            axes = {
                k: jax.tree.map(lambda _, k=k: int(k not in ("mean", "std")), v)
                for k, v in parts[0].items()
            }
        else:
            axes = jax.tree.map(lambda _: 0, parts[0])
        joined[name] = jax.tree.map(
            lambda axis, *xs: np.concatenate(xs, axis).take(range(batch), axis), axes, *parts
        )
    return joined


def _block_size(inputs: Inputs, model: Model, states: int) -> int:
    """Windows of one block, so that the largest activation stays below BLOCK_BYTES.

    Args:
      states: Latent states of one window that are decoded together.
    """
    batch = len(inputs.resets)
    enc = model.config.enc
    pixels = max((math.prod(s.shape[:2]) for s in model.spaces.images.values()), default=0)
    per_window = 4 * states * max(1, pixels * enc.depth * enc.mults[0])
    most = max(1, BLOCK_BYTES // per_window)
    return math.ceil(batch / math.ceil(batch / most))


def _concatenate(*xs: jax.Array) -> jax.Array:
    return jnp.concatenate(xs)
