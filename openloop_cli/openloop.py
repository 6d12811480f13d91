"""Observe the context, imagine the horizon, decode both: a model and windows -> OpenLoop.

NumPy at both ends, JAX in the middle. Two functions are compiled, once for each shape: one
follows the posterior, one the prior. Each frame is encoded once, each state decoded once; what
all futures and baselines share, they share. One transfer back.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from openloop_cli.arrays import Array, Params
from openloop_cli.config import ModelConfig
from openloop_cli.errors import OptionError
from openloop_cli.inputs import Inputs, model_inputs, shuffled_actions
from openloop_cli.model import Model, on_device
from openloop_cli.replay import Windows
from openloop_cli.spaces import Spaces
from openloop_cli.world_model import dists, heads, losses, rssm
from openloop_cli.world_model.decoder import decode, vector_means
from openloop_cli.world_model.encoder import encode, join_actions

# Of the largest activation; windows beyond it are rolled out in further blocks of one shape.
BLOCK_BYTES = 2**30
# Frames that a CPU encodes or decodes together; see `nets.in_blocks`.
CPU_FRAME_BLOCK = 24
# Futures whose pictures are kept; of further ones only the numbers.
FUTURES_KEPT = 4


@dataclass(frozen=True)
class Trace:
    """One path through latent space and what was read off it, for B windows of N steps.

    Attributes:
      prediction: By key: images float32 in [0, 1]; vectors in the observation's own units,
        discrete ones as the most likely class. (B, N, …)
      deter, logit: (B, N, D) and (B, N, S, L) float32; logits before unimix.
      stoch: (B, N, S) class of each latent.
      reward, cont, value: (B, N) expectations.
      losses: The reference's losses by name (`rew`, `con`, each observation key), (B, N).
    """

    prediction: Mapping[str, Array]
    deter: Array
    stoch: Array
    logit: Array
    reward: Array
    cont: Array
    value: Array
    losses: Mapping[str, Array]


@dataclass(frozen=True)
class Futures:
    """M imagined futures of the same windows, over the H imagined steps.

    Attributes:
      mean, std: Of the predictions over the futures, by key, (B, H, …); continuous keys only.
      kept: The first futures' images, by key, (F, B, H, …).
      reward, cont: (M, B, H).
      losses: As in Trace, (M, B, H).
    """

    mean: Mapping[str, Array]
    std: Mapping[str, Array]
    kept: Mapping[str, Array]
    reward: Array
    cont: Array
    losses: Mapping[str, Array]


@dataclass(frozen=True)
class Evaluation:
    """What tells dynamics from decoder, and knowledge from luck.

    Attributes:
      posterior: The model seeing every frame, all T steps: what perfect dynamics would show.
      losses: `dyn` and `rep`, and the entropies `dyn_ent` and `rep_ent`, (B, T).
      drift: KL in nats from the posterior to the imagined prior at each imagined step, (B, H).
      shuffled: Imagined with actions dealt out at random, (B, H).
      other: Imagined from another window's context with this window's actions, (B, H);
        None with a single window.
    """

    posterior: Trace
    losses: Mapping[str, Array]
    drift: Array
    shuffled: Trace
    other: Trace | None


@dataclass(frozen=True)
class OpenLoop:
    """What the model predicted for B windows of T steps, beside what was recorded.

    Attributes:
      ids: The windows' ids.
      context: Steps that were observed; the other T - context were imagined.
      truth: Observations as recorded, by key, (B, T, …).
      reward, terminal: As recorded, (B, T).
      model: The posterior while observing, the (first) imagined future after it, (B, T, …).
      futures: All imagined futures, when more than one was asked for.
      deterministic: With futures, the same with each latent's most likely class, (B, T, …).
      evaluation: When asked for.
    """

    ids: tuple[str, ...]
    context: int
    truth: Mapping[str, Array]
    reward: Array
    terminal: Array
    model: Trace
    futures: Futures | None = None
    deterministic: Trace | None = None
    evaluation: Evaluation | None = None

    @property
    def image_keys(self) -> tuple[str, ...]:
        """Keys whose truth is a picture."""
        return tuple(k for k, x in self.truth.items() if x.dtype == np.uint8 and x.ndim == 5)

    @property
    def vector_keys(self) -> tuple[str, ...]:
        """All other keys."""
        return tuple(k for k in self.truth if k not in self.image_keys)


def roll_out(
    model: Model,
    windows: Windows,
    *,
    context: int,
    seed: int = 0,
    latents: str = "sample",
    samples: int = 1,
    evaluate: bool = False,
) -> OpenLoop:
    """Observes the first `context` steps of each window and imagines the others.

    Args:
      seed: Of the draws. A window draws the same whatever else is rolled out beside it.
      latents: `sample` draws each latent; `mode` takes its most likely class.
      samples: Imagined futures M of each window.
      evaluate: Also follow the posterior to the end and roll out the baselines.

    Raises:
      OptionError: A context that leaves nothing to observe or to imagine.
    """
    inputs = model_inputs(windows, model.spaces, model.config.dyn)
    batch, steps = inputs.resets.shape
    if not 1 <= context < steps:
        raise OptionError(
            f"--context {context}: expected 1 to {steps - 1}, below the {steps} steps of a window"
        )
    with on_device(model):
        noise = _noise(seed, windows.ids) if latents == "sample" else None
        stage = _Stages(model, inputs, context, _block_size(inputs, model, samples * steps))
        seen, carry = stage.observe(noise, steps if evaluate else context)
        own, actions = np.arange(batch), {k: x[:, context:] for k, x in inputs.actions.items()}
        ahead = stage.imagine(carry, own, actions, noise, samples)
        baselines = {}
        if evaluate:
            mixed = shuffled_actions(inputs, context, seed)
            baselines["shuffled"] = stage.imagine(carry, own, mixed, noise, 1)
            if batch > 1:
                baselines["other"] = stage.imagine(carry, np.roll(own, 1), actions, noise, 1)
        still = None
        if samples > 1:
            still_seen, still_carry = stage.observe(None, context)
            still = (still_seen, stage.imagine(still_carry, own, actions, None, 1))
        seen, ahead, baselines, still = _gather((seen, ahead, baselines, still), batch)
    return OpenLoop(
        ids=windows.ids,
        context=context,
        truth=inputs.obs,
        reward=inputs.reward,
        terminal=inputs.terminal,
        model=_joined(seen["trace"], ahead["trace"], context),
        futures=Futures(**ahead["futures"]) if samples > 1 else None,
        deterministic=_joined(still[0]["trace"], still[1]["trace"], context) if still else None,
        evaluation=_evaluation(seen, ahead, baselines, model, context) if evaluate else None,
    )


class _Stages:
    """The two compiled functions over blocks of windows; results stay on the device."""

    def __init__(self, model: Model, inputs: Inputs, context: int, size: int) -> None:
        self.model, self.inputs, self.context = model, inputs, context
        block = CPU_FRAME_BLOCK if model.device.platform == "cpu" else 0
        self.static = {"config": model.config, "spaces": model.spaces, "block": block}
        # Blocks have one shape: the last repeats its last window to fill up.
        batch = len(inputs.resets)
        starts = range(0, batch, size)
        self.blocks = [np.minimum(np.arange(s, s + size), batch - 1) for s in starts]

    def observe(self, noise: "Noise | None", steps: int) -> tuple[list[Any], rssm.Carry]:
        """Follows the posterior for `steps` steps; the carry is that after the context."""
        run = partial(_observe, context=self.context, steps=steps, **self.static)
        outs = []
        for index in self.blocks:
            block = jax.tree.map(lambda x, index=index: x[index], self.inputs)
            outs.append(run(self.model.params, block, _of(noise, index)))
        carries = [out.pop("carry") for out in outs]
        return outs, carries[0] if len(carries) == 1 else jax.tree.map(_concatenate, *carries)

    def imagine(
        self,
        carry: rssm.Carry,
        source: Array,
        actions: Mapping[str, Array],
        noise: "Noise | None",
        samples: int,
    ) -> list[Any]:
        """Follows the prior to the end, each window from the carry of the one in `source`."""
        run = partial(_imagine, samples=samples, **self.static)
        truth = jax.tree.map(
            lambda x: x[:, self.context :],
            (self.inputs.obs, self.inputs.reward, self.inputs.terminal),
        )
        outs = []
        for index in self.blocks:
            block = jax.tree.map(lambda x, index=index: x[index], (truth, actions))
            outs.append(run(self.model.params, carry, source[index], *block, _of(noise, index)))
        return outs


@partial(jax.jit, static_argnames=("config", "spaces", "block", "context", "steps"))
def _observe(
    params: Params,
    inputs: Inputs,
    noise: "Noise | None",
    *,
    config: ModelConfig,
    spaces: Spaces,
    block: int,
    context: int,
    steps: int,
) -> dict[str, Any]:
    """Posterior of the first `steps` steps: trace, losses, and the carry after the context."""
    dtype = jnp.dtype(config.compute_dtype)
    obs, actions, resets, reward, terminal = jax.tree.map(lambda x: x[:, :steps], inputs[:5])
    tokens = encode(params, config.enc, spaces, obs, dtype, block)
    carry = rssm.Carry(inputs.deter.astype(dtype), inputs.stoch.astype(dtype))
    joined = join_actions(actions, spaces.actions, dtype)
    _, feat = rssm.observe(
        params, config.dyn, carry, tokens, joined, resets, _step_keys(noise, 1, 0, steps)
    )
    return {
        "carry": rssm.Carry(feat.deter[:, context - 1], feat.stoch[:, context - 1]),
        "trace": _trace(params, config, spaces, block, feat, (obs, reward, terminal)),
        "losses": losses.latent_losses(params, config.dyn, feat),
    }


@partial(jax.jit, static_argnames=("config", "spaces", "block", "samples"))
def _imagine(
    params: Params,
    carry: rssm.Carry,
    source: jax.Array,
    truth: tuple[Any, ...],
    actions: Mapping[str, jax.Array],
    noise: "Noise | None",
    *,
    config: ModelConfig,
    spaces: Spaces,
    block: int,
    samples: int,
) -> dict[str, Any]:
    """Prior of the steps after the context, M futures in one batch: trace and futures."""
    dtype = jnp.dtype(config.compute_dtype)
    tile = partial(jnp.tile, reps=samples) if samples == 1 else _tiler(samples)
    carry = jax.tree.map(lambda x: tile(x[source]), carry)
    joined = tile(join_actions(actions, spaces.actions, dtype))
    horizon = joined.shape[1]
    keys = _step_keys(noise, samples, _IMAGINED, horizon)
    _, feat = rssm.imagine(params, config.dyn, carry, joined, keys)
    trace = _trace(params, config, spaces, block, feat, jax.tree.map(tile, truth))
    if samples == 1:
        return {"trace": trace}
    split = jax.tree.map(lambda x: x.reshape((samples, -1, *x.shape[1:])), trace)
    return {"trace": jax.tree.map(lambda x: x[0], split), "futures": _futures(split, spaces)}


# Imagined steps draw from keys of their own, whatever the context's length.
_IMAGINED = 2**20


def _tiler(samples: int) -> Any:
    return lambda x: jnp.tile(x, (samples, *[1] * (x.ndim - 1)))


def _trace(
    params: Params,
    config: ModelConfig,
    spaces: Spaces,
    block: int,
    feat: rssm.Features,
    truth: tuple[Any, ...],
) -> dict[str, Any]:
    """Features (B, N, …) -> the fields of Trace."""
    obs, reward, terminal = truth
    decoded = decode(params, config.dec, spaces, feat.deter, feat.stoch, block)
    logits = heads.head_logits(params, config, feat.deter, feat.stoch)
    both = decoded.images | vector_means(config.dec, spaces, decoded.vectors)
    return {
        "prediction": {key: both[key] for key, _ in spaces.obs},
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


def _evaluation(
    seen: dict[str, Any],
    ahead: dict[str, Any],
    baselines: dict[str, Any],
    model: Model,
    context: int,
) -> Evaluation:
    posterior = Trace(**seen["trace"])
    prior, unimix = ahead["trace"]["logit"], model.config.dyn.unimix
    drift = _drift(posterior.logit[:, context:], prior, unimix=unimix)
    return Evaluation(
        posterior=posterior,
        losses=seen["losses"],
        drift=np.asarray(drift),
        shuffled=Trace(**baselines["shuffled"]["trace"]),
        other=Trace(**baselines["other"]["trace"]) if "other" in baselines else None,
    )


def _joined(seen: dict[str, Any], ahead: dict[str, Any], context: int) -> Trace:
    """The context of one trace, then all of another."""
    return Trace(**jax.tree.map(lambda x, y: np.concatenate([x[:, :context], y], 1), seen, ahead))


class Noise(NamedTuple):
    """What all draws of a block of windows come from: the seed, and a hash of each id (B,)."""

    seed: Any
    hashes: Any


def _noise(seed: int, ids: Sequence[str]) -> Noise:
    hashes = np.array([zlib.crc32(name.encode()) for name in ids], np.uint32)
    return Noise(np.uint32(seed % 2**32), hashes)


def _of(noise: Noise | None, index: Array) -> Noise | None:
    return None if noise is None else Noise(noise.seed, noise.hashes[index])


def _step_keys(noise: Noise | None, samples: int, first: int, steps: int) -> jax.Array | None:
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


@partial(jax.jit, static_argnames="unimix")
def _drift(posterior: jax.Array, prior: jax.Array, *, unimix: float) -> jax.Array:
    return dists.kl(dists.unimix(posterior, unimix), dists.unimix(prior, unimix))


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


def _gather(outs: Any, batch: int) -> Any:
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


def _concatenate(*xs: jax.Array) -> jax.Array:
    return jnp.concatenate(xs)
