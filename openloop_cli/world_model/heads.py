"""Reward, continue and value from the latent state.

Mathematics of `embodied/jax/heads.py` in danijar/dreamerv3 at e3f0224.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from openloop_cli.arrays import Params
from openloop_cli.config import HeadConfig, ModelConfig
from openloop_cli.world_model.dists import twohot_mean
from openloop_cli.world_model.nets import linear, mlp


class HeadLogits(NamedTuple):
    """reward (B, T, bins), cont (B, T), value (B, T, bins), in the compute dtype."""

    reward: jax.Array
    cont: jax.Array
    value: jax.Array


def head_logits(
    params: Params, config: ModelConfig, deter: jax.Array, stoch: jax.Array
) -> HeadLogits:
    """deter (B, T, D), stoch (B, T, S, L) -> the three heads' logits."""
    x = jnp.concatenate([deter, stoch.reshape((*stoch.shape[:-2], -1))], -1)
    return HeadLogits(
        reward=_head(params, "rew", "logits", config.reward, x),
        cont=_head(params, "con", "logit", config.cont, x)[..., 0],
        value=_head(params, "val", "logits", config.value, x),
    )


def reward_mean(logits: HeadLogits) -> jax.Array:
    """(B, T) expected reward."""
    return twohot_mean(logits.reward)


def cont_mean(logits: HeadLogits) -> jax.Array:
    """(B, T) probability that the episode goes on, times the discount when `contdisc` is on."""
    return jnp.exp(jax.nn.log_sigmoid(logits.cont.astype(jnp.float32)))


def value_mean(logits: HeadLogits) -> jax.Array:
    """(B, T) expected discounted return under the run's own policy."""
    return twohot_mean(logits.value)


def _head(params: Params, name: str, output: str, config: HeadConfig, x: jax.Array) -> jax.Array:
    x = mlp(
        params,
        f"{name}/mlp",
        x,
        layers=config.layers,
        norm_impl=config.norm,
        act_name=config.act,
    )
    return linear(params, f"{name}/head/{output}", x)
