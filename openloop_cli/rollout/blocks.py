"""Windows in blocks that fit into memory, through the compiled programs and back again.

On a CPU, where a program keeps one core busy, blocks run side by side in as many threads as there
are cores, each thread on a block of its own.

With several devices each takes an equal share of a block's windows and runs the same program on
them. A share that would be uneven is filled up with the last window, whose results are dropped.
"""

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from openloop_cli.arrays import Array
from openloop_cli.cores import usable_cores
from openloop_cli.models.dreamerv3 import rssm
from openloop_cli.models.dreamerv3.inputs import Inputs
from openloop_cli.models.model import WINDOWS, Model, on_device
from openloop_cli.rollout import programs
from openloop_cli.rollout.compiled import compiled, use_jax_cache
from openloop_cli.rollout.noise import Noise, noise_of
from openloop_cli.rollout.programs import FUTURES_AXIS

# Of the largest activation; windows beyond it are rolled out in further blocks of one shape.
BLOCK_BYTES = 2**30
# Frames that a CPU encodes or decodes together; see `nets.in_blocks`.
CPU_FRAME_BLOCK = 24
# Of fewer windows a block is not worth a thread: all of them read all parameters at each step.
CPU_LEAST_WINDOWS = 3


class Blocks:
    """The compiled programs over blocks of windows; results stay on the device.

    Args:
      states: Latent states of one window that are decoded together.
      keep: Keep compiled programs for the next process.
    """

    def __init__(
        self, model: Model, inputs: Inputs, context: int, states: int, *, keep: bool = False
    ) -> None:
        self.model, self.inputs, self.context, self.keep = model, inputs, context, keep
        self.sharding = NamedSharding(model.mesh, PartitionSpec(WINDOWS)) if model.mesh else None
        if self.sharding and keep:
            use_jax_cache()
        block = CPU_FRAME_BLOCK if model.devices[0].platform == "cpu" else 0
        self.static = programs.Static(model.config, model.spaces, block, model.mesh)
        # Blocks have one shape: the last repeats its last window to fill up.
        batch = len(inputs.resets)
        self.threads = _threads(model, batch)
        size = _block_size(inputs, model, states * self.threads, self.threads)
        starts = range(0, batch, size)
        self.blocks = [np.minimum(np.arange(s, s + size), batch - 1) for s in starts]

    def observe(self, noise: Noise | None, steps: int) -> tuple[list[Any], rssm.Carry]:
        """Follows the posterior for `steps` steps; the carry is that after the context."""
        outs = self._run(
            programs.observe,
            lambda index: (self._rows(self.inputs, index), noise_of(noise, index)),
            context=self.context,
            steps=steps,
        )
        carries = [rssm.Carry(**out.pop("carry")) for out in outs]
        return outs, carries[0] if len(carries) == 1 else jax.tree.map(self._concatenate, *carries)

    def _concatenate(self, *parts: jax.Array) -> Any:
        """On a CPU without a program, which would have to be compiled."""
        if self.model.devices[0].platform == "cpu" and not self.model.mesh:
            return np.concatenate(parts)
        return jnp.concatenate(parts)

    def imagine(
        self,
        carry: rssm.Carry,
        source: Array,
        actions: Mapping[str, Array],
        noise: Noise | None,
        samples: int,
    ) -> list[Any]:
        """Follows the prior to the end, each window from the carry of the one in `source`."""
        truth = jax.tree.map(
            lambda x: x[:, self.context :],
            (self.inputs.obs, self.inputs.reward, self.inputs.terminal),
        )
        return self._run(
            programs.imagine,
            lambda index: (
                carry,
                source[index],
                *self._rows((truth, actions), index),
                noise_of(noise, index),
            ),
            samples=samples,
        )

    def _run(
        self, program: Any, arguments: Callable[[Array], tuple[Any, ...]], **options: Any
    ) -> list[Any]:
        """A program on every block."""
        rows = [(self.model.params, *arguments(index)) for index in self.blocks]
        options = {"static": self.static, **options}
        if self.model.mesh:
            return [program(*row, **options) for row in rows]
        # Threads that met a new program would each compile it.
        call = compiled(program, self.model, rows[0], options, keep=self.keep)
        if self.threads == 1:
            return [call(*row) for row in rows]

        def in_thread(row: tuple[Any, ...]) -> Any:
            with on_device(self.model):
                return call(*row)

        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(in_thread, rows))

    def _rows(self, tree: Any, index: Array) -> Any:
        """Some of the windows, shared out over the devices where there are several."""
        rows = jax.tree.map(lambda x: x[index], tree)
        return jax.device_put(rows, self.sharding) if self.sharding else rows


def gather(outs: Any, batch: int) -> Any:
    """Brings lists of blocks back in one transfer and joins them along the windows' axis."""
    fetched = jax.device_get(outs)
    is_blocks = lambda x: isinstance(x, list)  # noqa: E731
    return jax.tree.map(lambda blocks: _join(blocks, batch), fetched, is_leaf=is_blocks)


def _join(blocks: list[dict[str, Any]], batch: int) -> dict[str, Any]:
    """Rows that only filled up the last block, or the last device, are left out."""
    joined = {}
    for name, fields in blocks[0].items():
        axes = FUTURES_AXIS if name == "futures" else dict.fromkeys(fields, 0)
        joined[name] = {
            key: jax.tree.map(partial(_join_rows, axis, batch), *(b[name][key] for b in blocks))
            for key, axis in axes.items()
        }
    return joined


def _join_rows(axis: int, batch: int, *parts: Array) -> Array:
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis)
    return whole[:batch] if axis == 0 else whole[:, :batch]


def _threads(model: Model, batch: int) -> int:
    """Blocks that run at the same time."""
    if model.devices[0].platform != "cpu" or len(model.devices) > 1:
        return 1
    return max(1, min(len(usable_cores()), batch // CPU_LEAST_WINDOWS))


def _block_size(inputs: Inputs, model: Model, states: int, least: int) -> int:
    """Windows of one block, as many on each device, whose largest activation stays below
    BLOCK_BYTES.

    Args:
      least: How many blocks there are to be at least.
    """
    batch, devices = len(inputs.resets), len(model.devices)
    enc = model.config.enc
    pixels = max((math.prod(s.shape[:2]) for s in model.spaces.images.values()), default=0)
    per_window = 4 * states * max(1, pixels * enc.depth * enc.mults[0])
    most = devices * max(1, BLOCK_BYTES // per_window)
    return devices * math.ceil(batch / max(least, math.ceil(batch / most)) / devices)
