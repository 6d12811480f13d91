"""Observations -> tokens, and actions -> the vector that the RSSM takes.

Mathematics of `dreamerv3/rssm.py`, class Encoder, and of DictConcat in `embodied/jax/nets.py`
in danijar/dreamerv3 at e3f0224.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from openloop_cli.arrays import Params
from openloop_cli.config import EncoderConfig
from openloop_cli.models.dreamerv3.nets import (
    act,
    conv,
    in_blocks,
    linear,
    norm,
    pooling_conv,
    symlog,
)
from openloop_cli.spaces import Space, Spaces


def encode(
    params: Params,
    config: EncoderConfig,
    spaces: Spaces,
    obs: Mapping[str, jax.Array],
    dtype: DTypeLike,
    block: int = 0,
) -> jax.Array:
    """obs[key] (B, T, …) as recorded -> tokens (B, T, E) in the compute dtype.

    Args:
      block: Frames that are encoded together, 0 for all; see `nets.in_blocks`.
    """
    batch = next(iter(obs.values())).shape[:2]
    flat = {k: x.reshape((-1, *x.shape[2:])) for k, x in obs.items()}
    parts = []
    if spaces.encoded_vectors:
        parts.append(_encode_vectors(params, config, spaces, flat, dtype))
    if spaces.encoded_images:
        images = jnp.concatenate([flat[k] for k in sorted(spaces.encoded_images)], -1)
        parts.append(in_blocks(lambda x: _encode_images(params, config, x, dtype), block, images))
    return jnp.concatenate(parts, -1).reshape((*batch, -1))


def join_actions(
    actions: Mapping[str, jax.Array], spaces: Mapping[str, Space], dtype: DTypeLike
) -> jax.Array:
    """actions[key] (B, T, …) -> (B, T, A): sorted keys, discrete ones one-hot, no symlog."""
    batch = next(iter(actions.values())).shape[:2]
    flat = {k: x.reshape((-1, *x.shape[2:])) for k, x in actions.items()}
    cast = {k: x if spaces[k].classes else x.astype(dtype) for k, x in flat.items()}
    return _join(cast, spaces, dtype, squash=False).reshape((*batch, -1))


def _encode_vectors(
    params: Params,
    config: EncoderConfig,
    spaces: Spaces,
    obs: Mapping[str, jax.Array],
    dtype: DTypeLike,
) -> jax.Array:
    vectors = {k: obs[k] for k in spaces.encoded_vectors}
    x = _join(vectors, spaces.encoded_vectors, dtype, squash=config.symlog)
    for i in range(config.layers):
        x = linear(params, f"enc/mlp{i}", x)
        x = act(config.act, norm(params, f"enc/mlp{i}norm", x, config.norm))
    return x


def _encode_images(
    params: Params, config: EncoderConfig, x: jax.Array, dtype: DTypeLike
) -> jax.Array:
    """(N, H, W, all channels) uint8 -> (N, width)."""
    x = x.astype(dtype) / 255 - 0.5
    for i in range(len(config.mults)):
        if config.outer and i == 0:
            y = conv(params, f"enc/cnn{i}", x)
        elif config.strided:
            y = conv(params, f"enc/cnn{i}", x, stride=2)
        else:
            y = pooling_conv(params, f"enc/cnn{i}", x)
        y = norm(params, f"enc/cnn{i}norm", y, config.norm)
        x = act(config.act, y.astype(dtype))
    return x.reshape((x.shape[0], -1))


def _join(
    values: Mapping[str, jax.Array],
    spaces: Mapping[str, Space],
    dtype: DTypeLike,
    *,
    squash: bool,
) -> jax.Array:
    """values[key] (N, …) -> (N, sum of widths), missing values as zeros."""
    parts = []
    for key in sorted(spaces):
        x, space = values[key], spaces[key]
        present = _present(x)
        x = jnp.where(_expand(present, x), x, 0)
        if space.classes:
            x = jax.nn.one_hot(x.astype(jnp.int32), space.classes, dtype=dtype)
        else:
            x = (symlog(x) if squash else x).astype(dtype)
        x = jnp.where(_expand(present, x), x, 0)
        parts.append(x.reshape((x.shape[0], -1)))
    return jnp.concatenate(parts, -1)


def _present(x: jax.Array) -> jax.Array:
    """(N, …) -> (N,): no entry is the marker of a missing value, −inf or −1."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        present = x != -jnp.inf
    elif jnp.issubdtype(x.dtype, jnp.signedinteger):
        present = x != -1
    else:
        return jnp.ones(x.shape[:1], bool)
    return present.all(tuple(range(1, x.ndim)))


def _expand(mask: jax.Array, x: jax.Array) -> jax.Array:
    return mask.reshape((-1, *[1] * (x.ndim - 1)))
