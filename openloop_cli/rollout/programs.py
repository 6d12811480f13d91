"""What is compiled, once for each shape: one program follows the posterior, one the prior, and a
small one measures how far they drift apart."""

from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from openloop_cli.arrays import Params
from openloop_cli.config import ModelConfig
from openloop_cli.models.dreamerv3 import dists, heads, losses, rssm
from openloop_cli.models.dreamerv3.decoder import decode, vector_means
from openloop_cli.models.dreamerv3.encoder import encode, join_actions
from openloop_cli.models.dreamerv3.inputs import Inputs
from openloop_cli.models.model import WINDOWS
from openloop_cli.rollout.noise import IMAGINED, Noise, step_keys
from openloop_cli.spaces import Spaces

# Futures whose pictures are kept; of further ones only the numbers.
FUTURES_KEPT = 4
# Where the windows' axis lies in the fields of Futures; it is the first of all else.
FUTURES_AXIS = {"mean": 0, "std": 0, "kept": 1, "reward": 1, "cont": 1, "losses": 1}

_ALL, _OWN = PartitionSpec(), PartitionSpec(WINDOWS)

Program = Callable[..., dict[str, Any]]


class Static(NamedTuple):
    """What a program is compiled for, apart from the shapes of its arguments.

    Attributes:
      block: Frames that are encoded or decoded together; see `nets.in_blocks`.
      mesh: The devices that the windows are shared out over; None for one.
    """

    config: ModelConfig
    spaces: Spaces
    block: int
    mesh: Mesh | None


def dealt_out(outs: Callable[..., Any]) -> Callable[[Program], Program]:
    """Runs a program on each device for the windows that it holds; as it stands on one device.

    Devices exchange only what the program itself gathers. The first argument is whole on each
    device, all others and the results are shared out by windows.

    Args:
      outs: The program's options -> where the windows' axis lies in its results.
    """

    def decorate(program: Program) -> Program:
        @wraps(program)
        def apart(*arguments: Any, static: Static, **options: int) -> dict[str, Any]:
            own = partial(program, static=static, **options)
            if static.mesh is None:
                return own(*arguments)
            # It left `jax.experimental` in jax 0.8, together with a change of its other options.
            shard_map: Any = getattr(jax, "shard_map", None)
            if shard_map is None:
                from jax.experimental.shard_map import shard_map
            noise = _ALL if arguments[-1] is None else Noise(seed=_ALL, hashes=_OWN)
            ins = (_ALL, *[_OWN] * (len(arguments) - 2), noise)
            spread: Program = shard_map(
                own, mesh=static.mesh, in_specs=ins, out_specs=outs(**options)
            )
            return spread(*arguments)

        return apart

    return decorate


def _futures_dealt_out(samples: int) -> Any:
    specs = {name: PartitionSpec(*[None] * axis, WINDOWS) for name, axis in FUTURES_AXIS.items()}
    return {"trace": _OWN} | ({"futures": specs} if samples > 1 else {})


# `keep_unused`: the executable then takes all arguments, in order; see `rollout.compiled`.
@partial(jax.jit, static_argnames=("static", "context", "steps"), keep_unused=True)
@dealt_out(lambda **_: _OWN)
def observe(
    params: Params,
    inputs: Inputs,
    noise: Noise | None,
    *,
    static: Static,
    context: int,
    steps: int,
) -> dict[str, Any]:
    """Posterior of the first `steps` steps: trace, losses, and the carry after the context."""
    config, spaces = static.config, static.spaces
    dtype = jnp.dtype(config.compute_dtype)
    obs, actions, resets, reward, terminal = jax.tree.map(lambda x: x[:, :steps], inputs[:5])
    tokens = encode(params, config.enc, spaces, obs, dtype, static.block)
    carry = rssm.Carry(inputs.deter.astype(dtype), inputs.stoch.astype(dtype))
    joined = join_actions(actions, spaces.actions, dtype)
    keys = step_keys(noise, 1, 0, steps)
    _, feat = rssm.observe(params, config.dyn, carry, tokens, joined, resets, keys)
    return {
        "carry": {"deter": feat.deter[:, context - 1], "stoch": feat.stoch[:, context - 1]},
        "trace": _trace(params, static, feat, (obs, reward, terminal)),
        "losses": losses.latent_losses(params, config.dyn, feat),
    }


@partial(jax.jit, static_argnames=("static", "samples"), keep_unused=True)
@dealt_out(_futures_dealt_out)
def imagine(
    params: Params,
    carry: rssm.Carry,
    source: jax.Array,
    truth: tuple[Any, ...],
    actions: Mapping[str, jax.Array],
    noise: Noise | None,
    *,
    static: Static,
    samples: int,
) -> dict[str, Any]:
    """Prior of the steps after the context, M futures in one batch: trace and futures.

    Args:
      carry: Of all windows, those of other blocks included.
      source: (B,) the window whose carry each starts from.
    """
    config, spaces = static.config, static.spaces
    dtype = jnp.dtype(config.compute_dtype)
    tile = _tiler(samples)
    if static.mesh:
        # A few hundred kilobytes, once: the context that a window starts from may lie elsewhere.
        carry = jax.tree.map(lambda x: jax.lax.all_gather(x, WINDOWS, tiled=True), carry)
    carry = jax.tree.map(lambda x: tile(x[source]), carry)
    joined = tile(join_actions(actions, spaces.actions, dtype))
    keys = step_keys(noise, samples, IMAGINED, joined.shape[1])
    _, feat = rssm.imagine(params, config.dyn, carry, joined, keys)
    trace = _trace(params, static, feat, jax.tree.map(tile, truth))
    if samples == 1:
        return {"trace": trace}
    split = jax.tree.map(lambda x: x.reshape((samples, -1, *x.shape[1:])), trace)
    return {"trace": jax.tree.map(lambda x: x[0], split), "futures": _futures(split, spaces)}


@partial(jax.jit, static_argnames="unimix", keep_unused=True)
def drift(posterior: jax.Array, prior: jax.Array, *, unimix: float) -> jax.Array:
    """Logits (B, H, S, L) of both -> (B, H): KL in nats from the posterior to the prior."""
    return dists.kl(dists.unimix(posterior, unimix), dists.unimix(prior, unimix))


def _tiler(samples: int) -> Any:
    return lambda x: jnp.tile(x, (samples, *[1] * (x.ndim - 1)))


def _trace(
    params: Params, static: Static, feat: rssm.Features, truth: tuple[Any, ...]
) -> dict[str, Any]:
    """Features (B, N, …) -> the fields of Trace."""
    config, spaces = static.config, static.spaces
    obs, reward, terminal = truth
    decoded = decode(params, config.dec, spaces, feat.deter, feat.stoch, static.block)
    logits = heads.head_logits(params, config, feat.deter, feat.stoch)
    both = decoded.images | vector_means(config.dec, spaces, decoded.vectors)
    return {
        "prediction": {key: both[key] for key in spaces.decoded},
        "deter": feat.deter.astype(jnp.float32),
        "stoch": jnp.argmax(feat.stoch, -1).astype(jnp.int32),
        "logit": feat.logit.astype(jnp.float32),
        "reward": heads.scalar_mean(config.reward, logits.reward),
        "cont": heads.cont_mean(logits),
        "value": heads.scalar_mean(config.value, logits.value),
        "losses": losses.observation_losses(config.dec, spaces, decoded, obs)
        | losses.head_losses(config, logits, reward, terminal),
    }


def _futures(split: dict[str, Any], spaces: Spaces) -> dict[str, Any]:
    """A trace with a leading axis of M futures -> the fields of Futures."""
    obs = dict(spaces.obs)
    predictions = {k: x for k, x in split["prediction"].items() if not obs[k].classes}
    return {
        "mean": {k: x.mean(0) for k, x in predictions.items()},
        "std": {k: x.std(0) for k, x in predictions.items()},
        "kept": {k: x[:FUTURES_KEPT] for k, x in predictions.items()},
        "reward": split["reward"],
        "cont": split["cont"],
        "losses": split["losses"],
    }
