"""Distributions of the model's outputs. Logits arrive in any dtype and are float32 from here on.

Mathematics of `embodied/jax/outs.py` in danijar/dreamerv3 at e3f0224.
"""

import jax
import jax.numpy as jnp
import numpy as np

from openloop_cli.models.dreamerv3.nets import symexp


def unimix(logits: jax.Array, share: float) -> jax.Array:
    """(…, L) -> (…, L) float32 logits, mixed with `share` of the uniform distribution."""
    logits = logits.astype(jnp.float32)
    if not share:
        return logits
    probs = jax.nn.softmax(logits, -1)
    return jnp.log((1 - share) * probs + share / probs.shape[-1])


def draw(logits: jax.Array, keys: jax.Array | None) -> jax.Array:
    """(B, S, L) logits, (B,) keys -> (B, S, L) one-hot float32; no keys: the most likely class.

    Gumbel-max by hand on `jax.random.uniform`, because `jax.random.categorical` may change how
    it uses its bits between jax versions and the same seed has to draw the same video.
    Each window has its own key, so its draws do not depend on what else is in the batch.
    """
    if keys is not None:
        tiny = float(np.finfo(np.float32).tiny)
        uniform = jax.vmap(
            lambda key: jax.random.uniform(key, logits.shape[1:], jnp.float32, tiny, 1.0)
        )(keys)
        logits = logits - jnp.log(-jnp.log(uniform))
    return jax.nn.one_hot(jnp.argmax(logits, -1), logits.shape[-1], dtype=jnp.float32)


def kl(logits: jax.Array, other: jax.Array) -> jax.Array:
    """KL(p ‖ q) of independent categoricals: (…, S, L) twice -> (…), in nats."""
    logp, logq = jax.nn.log_softmax(logits, -1), jax.nn.log_softmax(other, -1)
    return (jnp.exp(logp) * (logp - logq)).sum((-2, -1))


def entropy(logits: jax.Array) -> jax.Array:
    """Entropy of independent categoricals: (…, S, L) -> (…), in nats."""
    logp = jax.nn.log_softmax(logits, -1)
    return -(jnp.exp(logp) * logp).sum((-2, -1))


def twohot_bins(count: int) -> jax.Array:
    """(count,) bin centres of a symexp-twohot head, symmetric around zero."""
    half = symexp(jnp.linspace(-20, 0, (count + 1) // 2, dtype=jnp.float32))
    mirror = -half[::-1]
    return jnp.concatenate([half, mirror[1:] if count % 2 else mirror])


def twohot_mean(logits: jax.Array) -> jax.Array:
    """(…, bins) -> (…): the expected value of a symexp-twohot head.

    Bins are summed in pairs from the middle outwards, so that a symmetric prediction is
    exactly zero although the outermost bins are ±4.9e8.
    """
    probs = jax.nn.softmax(logits.astype(jnp.float32), -1)
    bins = twohot_bins(logits.shape[-1])
    half = len(bins) // 2
    low, mid, high = jnp.split(probs, (half, len(bins) - half), -1)
    low_bins, mid_bins, high_bins = jnp.split(bins, (half, len(bins) - half))
    pairs = (low * low_bins)[..., ::-1] + high * high_bins
    return (mid * mid_bins).sum(-1) + pairs.sum(-1)


def twohot_loss(logits: jax.Array, target: jax.Array) -> jax.Array:
    """(…, bins), (…) -> (…): cross entropy with the target spread over its two nearest bins."""
    logits = logits.astype(jnp.float32)
    bins = twohot_bins(logits.shape[-1])
    last = len(bins) - 1
    below = jnp.clip((bins <= target[..., None]).sum(-1) - 1, 0, last)
    above = jnp.clip(len(bins) - (bins > target[..., None]).sum(-1), 0, last)
    same = below == above
    to_below = jnp.where(same, 1, jnp.abs(bins[below] - target))
    to_above = jnp.where(same, 1, jnp.abs(bins[above] - target))
    share = (to_above / (to_below + to_above))[..., None]
    weights = jax.nn.one_hot(below, last + 1) * share + jax.nn.one_hot(above, last + 1) * (
        1 - share
    )
    return -(weights * jax.nn.log_softmax(logits, -1)).sum(-1)


def binary_loss(logit: jax.Array, target: jax.Array) -> jax.Array:
    """(…), (…) in [0, 1] -> (…): cross entropy of a binary head."""
    logit = logit.astype(jnp.float32)
    return -(target * jax.nn.log_sigmoid(logit) + (1 - target) * jax.nn.log_sigmoid(-logit))
