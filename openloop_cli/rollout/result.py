"""What a rollout gives: frozen dataclasses of NumPy arrays. Whoever reads them imports no jax."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.text import plural


@dataclass(frozen=True)
class Trace:
    """One path through latent space and what was read off it, for B windows of N steps.

    Attributes:
      prediction: By key: images float32 in [0, 1]; vectors in the observation's own units,
        discrete ones as the most likely class. (B, N, …)
      deter, logit: (B, N, D) and (B, N, S, L) float32; logits before unimix.
      stoch: (B, N, S) class of each latent.
      reward, cont, value: (B, N) expectations; None of a head that the checkpoint lacks.
      losses: The reference's losses by name (`rew`, `con`, each observation key), (B, N).
    """

    prediction: Mapping[str, Array]
    deter: Array
    stoch: Array
    logit: Array
    reward: Array | None
    cont: Array | None
    value: Array | None
    losses: Mapping[str, Array]


@dataclass(frozen=True)
class Futures:
    """M imagined futures of the same windows, over the H imagined steps.

    Attributes:
      mean, std: Of the predictions over the futures, by key, (B, H, …); continuous keys only.
      kept: The first futures' images, by key, (F, B, H, …).
      reward, cont: (M, B, H), or None.
      losses: As in Trace, (M, B, H).
    """

    mean: Mapping[str, Array]
    std: Mapping[str, Array]
    kept: Mapping[str, Array]
    reward: Array | None
    cont: Array | None
    losses: Mapping[str, Array]


@dataclass(frozen=True)
class Evaluation:
    """What tells dynamics from decoder, and knowledge from luck.

    Attributes:
      posterior: The model seeing every frame, all T steps: what perfect dynamics would show.
      losses: `dyn` and `rep`, and the entropies `dyn_ent` and `rep_ent`, (B, T).
      drift: KL in nats from the posterior to the imagined prior at each imagined step, (B, H).
      shuffled: Imagined with actions shuffled between windows, (B, H).
      other: Imagined from another window's context with this window's actions, (B, H);
        None with a single window.
    """

    posterior: Trace
    losses: Mapping[str, Array]
    drift: Array
    shuffled: Trace
    other: Trace | None


@dataclass(frozen=True, repr=False)
class OpenLoop:
    """What the model predicted for B windows of T steps, beside what was recorded.

    Attributes:
      ids: The windows' ids.
      context: Context steps; the other T - context were imagined.
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

    def __repr__(self) -> str:
        ahead = self.reward.shape[1] - self.context
        return (
            f"<OpenLoop of {plural(len(self.ids), 'window')}:"
            f" {plural(self.context, 'context step')}, {ahead} imagined>"
        )

    @property
    def image_keys(self) -> tuple[str, ...]:
        """Keys whose truth is a picture."""
        return tuple(k for k, x in self.truth.items() if x.dtype == np.uint8 and x.ndim == 5)

    @property
    def vector_keys(self) -> tuple[str, ...]:
        """All other keys."""
        return tuple(k for k in self.truth if k not in self.image_keys)
