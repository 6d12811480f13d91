"""Where draws come from: a key for each window, future and step, whatever is beside them."""

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from openloop_cli.arrays import Array

# Imagined steps draw from keys of their own, whatever the context's length.
IMAGINED = 2**20


class Noise(NamedTuple):
    """What all draws of a block of windows come from: the seed, and a hash of each id (B,)."""

    seed: Any
    hashes: Any


def make_noise(seed: int, ids: Sequence[str]) -> Noise:
    """All draws of these windows from this seed."""
    hashes = np.array([zlib.crc32(name.encode()) for name in ids], np.uint32)
    return Noise(np.uint32(seed % 2**32), hashes)


def noise_of(noise: Noise | None, index: Array) -> Noise | None:
    """The draws of some of the windows."""
    return None if noise is None else Noise(noise.seed, noise.hashes[index])


def step_keys(noise: Noise | None, samples: int, first: int, steps: int) -> jax.Array | None:
    """(M · B, steps) keys, each from the seed, the future's number, the window's id and the step
    alone."""
    if noise is None:
        return None
    key = jax.random.key(noise.seed)
    for axis in (jnp.arange(samples), noise.hashes, first + jnp.arange(steps)):
        fold = jax.vmap(jax.random.fold_in, (None, 0))
        for _ in range(key.ndim):
            fold = jax.vmap(fold, (0, None))
        key = fold(key, axis)
    return key.reshape((-1, steps))
