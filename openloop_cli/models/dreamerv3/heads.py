"""Reward, continue and value from the latent state.

Mathematics of `embodied/jax/heads.py` in danijar/dreamerv3 at e3f0224.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from openloop_cli.arrays import Params
from openloop_cli.config import HeadConfig, ModelConfig
from openloop_cli.models.dreamerv3.dists import twohot_loss, twohot_mean
from openloop_cli.models.dreamerv3.nets import linear, mlp, symexp, symlog


class HeadLogits(NamedTuple):
    """reward (B, T, bins), cont (B, T), value (B, T, bins), in the compute dtype.

    A reward or value head of another kind than `symexp_twohot` has one number instead of bins. What
    the checkpoint lacks is None.
    """

    reward: jax.Array | None
    cont: jax.Array | None
    value: jax.Array | None


def head_logits(
    params: Params, config: ModelConfig, deter: jax.Array, stoch: jax.Array
) -> HeadLogits:
    """deter (B, T, D), stoch (B, T, S, L) -> the logits of the heads that are there."""
    x = jnp.concatenate([deter, stoch.reshape((*stoch.shape[:-2], -1))], -1)
    cont = _head(params, "con", config.cont, x)
    return HeadLogits(
        reward=_head(params, "rew", config.reward, x),
        cont=None if cont is None else cont[..., 0],
        value=_head(params, "val", config.value, x),
    )


def scalar_mean(config: HeadConfig, output: jax.Array | None) -> jax.Array | None:
    """(B, T, bins) or (B, T, 1) -> (B, T): the expected reward or value, in its own units."""
    if output is None:
        return None
    if config.output == "symexp_twohot":
        return twohot_mean(output)
    mean = output[..., 0].astype(jnp.float32)
    return symexp(mean) if config.output == "symlog_mse" else mean


def scalar_loss(config: HeadConfig, output: jax.Array, target: jax.Array) -> jax.Array:
    """(B, T, bins) or (B, T, 1), (B, T) -> (B, T): what the head was trained on."""
    if config.output == "symexp_twohot":
        return twohot_loss(output, target)
    target = symlog(target) if config.output == "symlog_mse" else target
    return jnp.square(output[..., 0].astype(jnp.float32) - target)


def cont_mean(logits: HeadLogits) -> jax.Array | None:
    """(B, T) probability that the episode goes on, times the discount when `contdisc` is on."""
    if logits.cont is None:
        return None
    return jnp.exp(jax.nn.log_sigmoid(logits.cont.astype(jnp.float32)))


def _head(params: Params, name: str, config: HeadConfig, x: jax.Array) -> jax.Array | None:
    if f"{name}/head/{config.layer[0]}/kernel" not in params:
        return None
    x = mlp(
        params,
        f"{name}/mlp",
        x,
        layers=config.layers,
        norm_impl=config.norm,
        act_name=config.act,
    )
    return linear(params, f"{name}/head/{config.layer[0]}", x)
