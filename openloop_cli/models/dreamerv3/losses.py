"""The world model's training losses, per step and in nats, without their scales.

Mathematics of `Agent.loss` in `dreamerv3/agent.py` and of `RSSM.loss` in `dreamerv3/rssm.py` in
danijar/dreamerv3 at e3f0224.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from openloop_cli.arrays import Params
from openloop_cli.config import DecoderConfig, ModelConfig, RSSMConfig
from openloop_cli.models.dreamerv3 import dists, rssm
from openloop_cli.models.dreamerv3.decoder import Decoded
from openloop_cli.models.dreamerv3.heads import HeadLogits, scalar_loss
from openloop_cli.models.dreamerv3.nets import symlog
from openloop_cli.spaces import Spaces


def latent_losses(params: Params, config: RSSMConfig, feat: rssm.Features) -> dict[str, jax.Array]:
    """Posterior features (B, T, …) -> (B, T): KL losses `dyn`, `rep`, entropies `dyn_ent` of the
    prior and `rep_ent` of the posterior.

    `dyn` and `rep` differ only in where the gradient stops, so their values are the same.
    """
    prior = dists.unimix(rssm.prior(params, config, feat.deter), config.unimix)
    post = dists.unimix(feat.logit, config.unimix)
    divergence = jnp.maximum(dists.kl(post, prior), config.free_nats)
    return {
        "dyn": divergence,
        "rep": divergence,
        "dyn_ent": dists.entropy(prior),
        "rep_ent": dists.entropy(post),
    }


def observation_losses(
    config: DecoderConfig, spaces: Spaces, decoded: Decoded, obs: Mapping[str, jax.Array]
) -> dict[str, jax.Array]:
    """By key, (B, T): squared error summed over the key's numbers, of images in [0, 1] and of
    vectors in symlog space; cross entropy of discrete keys."""
    losses = {}
    for key, space in spaces.decoded.items():
        if space.is_image:
            error = jnp.square(decoded.images[key] - obs[key].astype(jnp.float32) / 255)
        elif space.classes:
            logp = jax.nn.log_softmax(decoded.vectors[key], -1)
            error = -(logp * jax.nn.one_hot(obs[key].astype(jnp.int32), space.classes)).sum(-1)
        else:
            target = obs[key].astype(jnp.float32)
            error = jnp.square(decoded.vectors[key] - (symlog(target) if config.symlog else target))
        losses[key] = error.sum(tuple(range(2, error.ndim)))
    return losses


def head_losses(
    config: ModelConfig, logits: HeadLogits, reward: jax.Array, terminal: jax.Array
) -> dict[str, jax.Array]:
    """(B, T): `rew`, and `con` against whether the episode went on.

    The trainer's own loss is `con_discounted`: with `contdisc` its target is 1 - 1/horizon
    where the episode goes on.
    """
    goes_on = 1 - terminal.astype(jnp.float32)
    discount = 1 - 1 / config.horizon if config.contdisc else 1.0
    losses = {}
    if logits.reward is not None:
        losses["rew"] = scalar_loss(config.reward, logits.reward, reward)
    if logits.cont is not None:
        losses["con"] = dists.binary_loss(logits.cont, goes_on)
        losses["con_discounted"] = dists.binary_loss(logits.cont, goes_on * discount)
    return losses
