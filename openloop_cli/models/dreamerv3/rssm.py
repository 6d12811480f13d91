"""The recurrent state-space model. Carry and features in the compute dtype, batch axis first.

`observe` follows the posterior (the model sees each frame), `imagine` the prior (it sees none).
Mathematics of `dreamerv3/rssm.py`, class RSSM, in danijar/dreamerv3 at e3f0224;
Hafner et al. 2023, "Mastering Diverse Domains through World Models".
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from openloop_cli.arrays import Params
from openloop_cli.config import RSSMConfig
from openloop_cli.models.dreamerv3 import dists
from openloop_cli.models.dreamerv3.nets import act, block_linear, linear, norm


class Carry(NamedTuple):
    """The latent state: deter (B, D), stoch (B, S, L) one-hot."""

    deter: jax.Array
    stoch: jax.Array


class Features(NamedTuple):
    """States over time: deter (B, T, D), stoch (B, T, S, L), logit (B, T, S, L) before unimix."""

    deter: jax.Array
    stoch: jax.Array
    logit: jax.Array


Step = Callable[[Carry, tuple[jax.Array, ...]], tuple[Carry, Features]]


def observe(
    params: Params,
    config: RSSMConfig,
    carry: Carry,
    tokens: jax.Array,
    actions: jax.Array,
    resets: jax.Array,
    keys: jax.Array | None,
) -> tuple[Carry, Features]:
    """Posterior states: tokens (B, T, E), previous actions (B, T, A), resets (B, T), keys (B, T).

    `keys` None takes the most likely class of each latent instead of a draw.
    """
    params = rounded(params, carry.deter.dtype)

    def step(carry: Carry, inputs: tuple[jax.Array, ...]) -> tuple[Carry, Features]:
        return obs_step(params, config, carry, *inputs)

    return _scan(step, carry, (tokens, actions, resets), keys)


def imagine(
    params: Params,
    config: RSSMConfig,
    carry: Carry,
    actions: jax.Array,
    keys: jax.Array | None,
) -> tuple[Carry, Features]:
    """Prior states: previous actions (B, T, A), keys (B, T) or None for the most likely class."""
    params = rounded(params, carry.deter.dtype)

    def step(carry: Carry, inputs: tuple[jax.Array, ...]) -> tuple[Carry, Features]:
        return img_step(params, config, carry, *inputs)

    return _scan(step, carry, (actions,), keys)


def obs_step(
    params: Params,
    config: RSSMConfig,
    carry: Carry,
    token: jax.Array,
    action: jax.Array,
    reset: jax.Array,
    keys: jax.Array | None = None,
) -> tuple[Carry, Features]:
    """One step of `observe`: token (B, E), previous action (B, A), reset (B,), keys (B,)."""
    deter = jnp.where(reset[:, None], 0, carry.deter)
    stoch = jnp.where(reset[:, None, None], 0, carry.stoch)
    action = jnp.where(reset[:, None], 0, action)
    deter = core(params, config, Carry(deter, stoch), action)
    x = token if config.absolute else jnp.concatenate([deter, token], -1)
    for i in range(config.obslayers):
        x = _layer(params, config, f"dyn/obs{i}", x)
    return _next(params, config, "dyn/obslogit", deter, x, keys)


def img_step(
    params: Params,
    config: RSSMConfig,
    carry: Carry,
    action: jax.Array,
    keys: jax.Array | None = None,
) -> tuple[Carry, Features]:
    """One step of `imagine`: previous action (B, A), keys (B,)."""
    deter = core(params, config, carry, action)
    return _next(
        params, config, "dyn/priorlogit", deter, _prior_layers(params, config, deter), keys
    )


def prior(params: Params, config: RSSMConfig, deter: jax.Array) -> jax.Array:
    """(…, D) -> (…, S, L): what the model expects before it sees the frame, before unimix."""
    return _logit(params, config, "dyn/priorlogit", _prior_layers(params, config, deter))


def core(params: Params, config: RSSMConfig, carry: Carry, action: jax.Array) -> jax.Array:
    """The block-diagonal GRU: (B, D), (B, S, L), (B, A) -> deter (B, D)."""
    deter, blocks = carry.deter, config.blocks
    action = action / jnp.maximum(1, jnp.abs(action))
    stoch = carry.stoch.reshape((carry.stoch.shape[0], -1))
    inputs = [
        _layer(params, config, f"dyn/dynin{i}", x) for i, x in enumerate((deter, stoch, action))
    ]
    # Every block sees all of the inputs but only its own slice of deter.
    shared = jnp.repeat(jnp.concatenate(inputs, -1)[..., None, :], blocks, -2)
    own = deter.reshape((*deter.shape[:-1], blocks, -1))
    x = jnp.concatenate([own, shared], -1)
    x = x.reshape((*x.shape[:-2], -1))
    for i in range(config.dynlayers):
        x = block_linear(params, f"dyn/dynhid{i}", x)
        x = act(config.act, norm(params, f"dyn/dynhid{i}norm", x, config.norm))
    gates = block_linear(params, "dyn/dyngru", x)
    gates = gates.reshape((*gates.shape[:-1], blocks, -1))
    reset, candidate, update = (
        gate.reshape((*gate.shape[:-2], -1)) for gate in jnp.split(gates, 3, -1)
    )
    candidate = jnp.tanh(jax.nn.sigmoid(reset) * candidate)
    update = jax.nn.sigmoid(update - 1)
    return update * candidate + (1 - update) * deter


def rounded(params: Params, dtype: DTypeLike) -> dict[str, Any]:
    """Weights and biases in the compute dtype, as every layer takes them: here they are rounded
    before a scan, and no compiler is trusted to lift that out of each of its steps."""
    dyn = {name: x for name, x in params.items() if name.startswith("dyn/")}
    names = [k for k, x in dyn.items() if k.endswith(("/kernel", "/bias")) and x.dtype != dtype]
    return dyn | {name: jnp.asarray(dyn[name]).astype(dtype) for name in names}


def _scan(
    step: Step, carry: Carry, inputs: tuple[jax.Array, ...], keys: jax.Array | None
) -> tuple[Carry, Features]:
    """Runs a step along axis 1 of the inputs; outputs have their time axis second again."""
    xs = (*inputs, keys) if keys is not None else inputs
    carry, outs = jax.lax.scan(step, carry, jax.tree.map(_swap_time, xs))
    return carry, jax.tree.map(_swap_time, outs)


def _swap_time(x: jax.Array) -> jax.Array:
    return jnp.swapaxes(x, 0, 1)


def _layer(params: Params, config: RSSMConfig, name: str, x: jax.Array) -> jax.Array:
    return act(config.act, norm(params, f"{name}norm", linear(params, name, x), config.norm))


def _prior_layers(params: Params, config: RSSMConfig, deter: jax.Array) -> jax.Array:
    for i in range(config.imglayers):
        deter = _layer(params, config, f"dyn/prior{i}", deter)
    return deter


def _logit(params: Params, config: RSSMConfig, name: str, x: jax.Array) -> jax.Array:
    x = linear(params, name, x)
    return x.reshape((*x.shape[:-1], config.stoch, config.classes))


def _next(
    params: Params,
    config: RSSMConfig,
    name: str,
    deter: jax.Array,
    x: jax.Array,
    keys: jax.Array | None,
) -> tuple[Carry, Features]:
    logit = _logit(params, config, name, x)
    stoch = dists.draw(dists.unimix(logit, config.unimix), keys).astype(deter.dtype)
    return Carry(deter, stoch), Features(deter, stoch, logit)
