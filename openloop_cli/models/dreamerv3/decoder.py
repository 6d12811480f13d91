"""Latent states -> observations.

Mathematics of `dreamerv3/rssm.py`, class Decoder, in danijar/dreamerv3 at e3f0224, with its
upsampling folded into smaller convolutions (`nets.fold_upsampling`).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from openloop_cli.arrays import Params
from openloop_cli.config import DecoderConfig
from openloop_cli.models.dreamerv3.nets import (
    act,
    block_linear,
    conv,
    in_blocks,
    linear,
    mlp,
    norm,
    symexp,
    upsampling_conv,
)
from openloop_cli.models.dreamerv3.shapes import smallest_resolution
from openloop_cli.spaces import Spaces


class Decoded(NamedTuple):
    """What the decoder says: images[key] (B, T, H, W, C) float32 in [0, 1]; vectors[key]
    (B, T, …) float32 as the head returns it (in symlog space when the run uses symlog), or
    logits (B, T, …, classes) where the key is discrete."""

    images: dict[str, jax.Array]
    vectors: dict[str, jax.Array]


def decode(
    params: Params,
    config: DecoderConfig,
    spaces: Spaces,
    deter: jax.Array,
    stoch: jax.Array,
    block: int = 0,
) -> Decoded:
    """deter (B, T, D), stoch (B, T, S, L) -> Decoded.

    Args:
      block: Frames that are decoded together, 0 for all; see `nets.in_blocks`.
    """
    batch = deter.shape[:2]
    deter = deter.reshape((-1, deter.shape[-1]))
    stoch = stoch.reshape((deter.shape[0], -1))
    images, vectors = {}, {}
    if spaces.vectors:
        for key, x in _decode_vectors(params, config, spaces, deter, stoch).items():
            vectors[key] = x.reshape((*batch, *x.shape[1:]))
    if spaces.images:
        draw = partial(_decode_images, params, config, spaces)
        x = in_blocks(draw, block, deter, stoch)
        # Channels lie in the order of the observation space, which is not sorted.
        splits = np.cumsum([space.shape[-1] for space in spaces.images.values()])[:-1]
        for key, part in zip(spaces.images, jnp.split(x, splits, -1), strict=True):
            images[key] = part.reshape((*batch, *part.shape[1:]))
    return Decoded(images, vectors)


def vector_means(
    config: DecoderConfig, spaces: Spaces, vectors: dict[str, jax.Array]
) -> dict[str, jax.Array]:
    """Predictions in the observation's own units; the most likely class of discrete keys."""
    means = {}
    for key, x in vectors.items():
        if spaces.vectors[key].classes:
            means[key] = jnp.argmax(x, -1).astype(jnp.int32)
        else:
            means[key] = symexp(x) if config.symlog else x
    return means


def _decode_vectors(
    params: Params, config: DecoderConfig, spaces: Spaces, deter: jax.Array, stoch: jax.Array
) -> dict[str, jax.Array]:
    x = jnp.concatenate([stoch, deter], -1)
    x = mlp(params, "dec/mlp", x, layers=config.layers, norm_impl=config.norm, act_name=config.act)
    outs = {}
    for key, space in spaces.vectors.items():
        head = "logits" if space.classes else "pred"
        shape = (*space.shape, space.classes) if space.classes else space.shape
        y = linear(params, f"dec/vec/{key}/{head}", x)
        outs[key] = y.reshape((-1, *shape)).astype(jnp.float32)
    return outs


def _decode_images(
    params: Params, config: DecoderConfig, spaces: Spaces, deter: jax.Array, stoch: jax.Array
) -> jax.Array:
    """(N, D), (N, S · L) -> (N, H, W, all channels) float32 in [0, 1]."""
    h, w = smallest_resolution(config, spaces)
    channels = config.depth * config.mults[-1]
    if config.bspace:
        blocks = config.bspace
        x0 = block_linear(params, "dec/sp0", deter)
        # Each block owns a slice of channels.
        x0 = x0.reshape((-1, blocks, h, w, channels // blocks))
        x0 = x0.transpose((0, 2, 3, 1, 4)).reshape((-1, h, w, channels))
        x1 = linear(params, "dec/sp1", stoch)
        x1 = act(config.act, norm(params, "dec/sp1norm", x1, config.norm))
        x1 = linear(params, "dec/sp2", x1).reshape((-1, h, w, channels))
        x = act(config.act, norm(params, "dec/spnorm", x0 + x1, config.norm))
    else:
        x = linear(params, "dec/space", jnp.concatenate([stoch, deter], -1))
        x = x.reshape((-1, h, w, channels))
        x = act(config.act, norm(params, "dec/spacenorm", x, config.norm))
    for i in reversed(range(len(config.mults) - 1)):
        y = upsampling_conv(params, f"dec/conv{i}", x)
        y = norm(params, f"dec/conv{i}norm", y, config.norm)
        x = act(config.act, y.astype(x.dtype))
    output = conv if config.outer else upsampling_conv
    x = jax.nn.sigmoid(output(params, "dec/imgout", x))
    return x.astype(jnp.float32)
