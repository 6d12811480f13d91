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
from openloop_cli.spaces import Space, Spaces
from openloop_cli.world_model.nets import act, conv, linear, norm, symlog


def encode(
    params: Params,
    config: EncoderConfig,
    spaces: Spaces,
    obs: Mapping[str, jax.Array],
    dtype: DTypeLike,
) -> jax.Array:
    """obs[key] (B, T, …) as recorded -> tokens (B, T, E) in the compute dtype."""
    batch = next(iter(obs.values())).shape[:2]
    flat = {k: x.reshape((-1, *x.shape[2:])) for k, x in obs.items()}
    parts = []
    if spaces.vectors:
        parts.append(_encode_vectors(params, config, spaces, flat, dtype))
    if spaces.images:
        parts.append(_encode_images(params, config, spaces, flat, dtype))
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
    vectors = {k: obs[k] for k in spaces.vectors}
    x = _join(vectors, spaces.vectors, dtype, squash=config.symlog)
    for i in range(config.layers):
        x = linear(params, f"enc/mlp{i}", x)
        x = act(config.act, norm(params, f"enc/mlp{i}norm", x, config.norm))
    return x


def _encode_images(
    params: Params,
    config: EncoderConfig,
    spaces: Spaces,
    obs: Mapping[str, jax.Array],
    dtype: DTypeLike,
) -> jax.Array:
    x = jnp.concatenate([obs[k] for k in sorted(spaces.images)], -1)
    x = x.astype(dtype) / 255 - 0.5
    for i in range(len(config.mults)):
        if config.outer and i == 0:
            x = conv(params, f"enc/cnn{i}", x)
        elif config.strided:
            x = conv(params, f"enc/cnn{i}", x, stride=2)
        else:
            x = _pool(conv(params, f"enc/cnn{i}", x))
        x = act(config.act, norm(params, f"enc/cnn{i}norm", x, config.norm))
    return x.reshape((x.shape[0], -1))


def _pool(x: jax.Array) -> jax.Array:
    """(N, H, W, C) -> (N, H/2, W/2, C): the maximum of each 2 × 2 square."""
    n, h, w, c = x.shape
    return x.reshape((n, h // 2, 2, w // 2, 2, c)).max((2, 4))


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
