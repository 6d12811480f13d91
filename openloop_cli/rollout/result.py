"""What a rollout gives: frozen dataclasses of NumPy arrays. Whoever reads them imports no jax."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.text import plural


@dataclass(frozen=True)
class Trace:
    """One path through latent space and what was read off it, for B windows of N steps.

    Attributes:
      prediction: By key: images float32 in [0, 1]; vectors in the observation's own units,
        discrete ones as the most likely class. (B, N, …)
      deter, logit: (B, N, D) and (B, N, S, L) float32; logits before unimix. None of a model
        without such latents.
      stoch: (B, N, S) class of each latent; likewise.
      reward, cont, value: (B, N) expectations; None of a head that the model lacks.
      losses: The reference's losses by name (`rew`, `con`, each observation key), (B, N).
    """

    prediction: Mapping[str, Array]
    deter: Array | None = None
    stoch: Array | None = None
    logit: Array | None = None
    reward: Array | None = None
    cont: Array | None = None
    value: Array | None = None
    losses: Mapping[str, Array] = field(default_factory=dict)


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
    """What tells dynamics from decoder, and knowledge from luck. None is what nobody rolled out.

    Attributes:
      posterior: The model seeing every frame, all T steps: what perfect dynamics would show.
      losses: `dyn` and `rep`, and the entropies `dyn_ent` and `rep_ent`, (B, T).
      drift: KL in nats from the posterior to the imagined prior at each imagined step, (B, H).
      shuffled: Imagined with actions shuffled between windows, (B, H).
      other: Imagined from another window's context with this window's actions, (B, H);
        None with a single window.
    """

    posterior: Trace | None = None
    losses: Mapping[str, Array] = field(default_factory=dict)
    drift: Array | None = None
    shuffled: Trace | None = None
    other: Trace | None = None


class Rollouts(Protocol):
    """Rollouts of B windows, wherever their arrays lie: in memory (`OpenLoop`) or in a file."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The windows' ids."""

    @property
    def context(self) -> int:
        """Context steps; the others were imagined."""

    @property
    def length(self) -> int:
        """T, the steps of a window."""

    @property
    def kinds(self) -> Mapping[str, str]:
        """By key: `image`, `continuous` or `discrete`."""

    def take(self, index: slice | Array) -> "OpenLoop":
        """Some of the windows, in memory."""

    def truth_rows(self, index: slice | Array) -> Mapping[str, Array]:
        """The truth of some windows, by key."""

    def only(self, keys: tuple[str, ...]) -> "Rollouts":
        """Some of the keys."""

    def blocks(self) -> Iterable[slice]:
        """All windows, in pieces that are measured one after the other."""

    def scalars(self) -> "OpenLoop":
        """All windows without observations: reward, terminal, heads, losses."""


@dataclass(frozen=True, repr=False)
class OpenLoop:
    """What the model predicted for B windows of T steps, beside what was recorded.

    Attributes:
      ids: The windows' ids.
      context: Context steps; the other T - context were imagined.
      truth: Observations as recorded, by key, (B, T, …).
      reward, terminal: As recorded, (B, T); None where nobody recorded them.
      model: The posterior while observing, the (first) imagined future after it, (B, T, …).
      futures: All imagined futures, when more than one was asked for.
      deterministic: With futures, the same with each latent's most likely class, (B, T, …).
      evaluation: When asked for.
      actions: As recorded, by key, (B, T, …): what was done after each observation.
      reconstructs: Whether `model` shows the context, too; else the truth stands there.
      episodes: The episode that each window is of; none takes all for independent.
      apart: How many windows share no step, at most; 0 where that is unknown.
    """

    ids: tuple[str, ...]
    context: int
    truth: Mapping[str, Array]
    reward: Array | None
    terminal: Array | None
    model: Trace
    futures: Futures | None = None
    deterministic: Trace | None = None
    evaluation: Evaluation | None = None
    actions: Mapping[str, Array] = field(default_factory=dict)
    reconstructs: bool = True
    episodes: tuple[int, ...] = ()
    apart: int = 0

    def __repr__(self) -> str:
        ahead = self.length - self.context
        return (
            f"<OpenLoop of {plural(len(self.ids), 'window')}:"
            f" {plural(self.context, 'context step')}, {ahead} imagined>"
        )

    @property
    def length(self) -> int:
        """T, the steps of a window."""
        first = next(iter(self.truth.values()), self.reward)
        assert first is not None, "a rollout of nothing"
        return int(first.shape[1])

    @property
    def kinds(self) -> dict[str, str]:
        """By key: `image` (uint8 pictures), `continuous` (floats) or `discrete`."""
        return {key: kind_of(x.dtype, x.shape[2:]) for key, x in self.truth.items()}

    @property
    def image_keys(self) -> tuple[str, ...]:
        """Keys whose truth is a picture."""
        return tuple(key for key, kind in self.kinds.items() if kind == "image")

    @property
    def vector_keys(self) -> tuple[str, ...]:
        """All other keys."""
        return tuple(key for key, kind in self.kinds.items() if kind != "image")

    def take(self, index: slice | Array) -> "OpenLoop":
        """Some of the windows."""
        if isinstance(index, slice) and index == slice(0, len(self.ids)):
            return self
        ids = tuple(np.asarray(self.ids, object)[index])
        taken = {x.name: _rows(getattr(self, x.name), index) for x in fields(self)[2:]}
        if self.episodes:
            taken["episodes"] = tuple(np.asarray(self.episodes)[index].tolist())
        return OpenLoop(ids, self.context, **taken)

    def truth_rows(self, index: slice | Array) -> Mapping[str, Array]:
        """The truth of some windows, by key."""
        return {key: x[index] for key, x in self.truth.items()}

    def only(self, keys: tuple[str, ...]) -> "OpenLoop":
        """Some of the keys."""
        return replace(self, truth={key: x for key, x in self.truth.items() if key in keys})

    def blocks(self) -> tuple[slice, ...]:
        """All of them at once."""
        return (slice(0, len(self.ids)),)

    def scalars(self) -> "OpenLoop":
        """Itself: all of it is in memory anyway."""
        return self


def kind_of(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    """What an observation is by the truth's dtype and the shape of a step."""
    if dtype == np.uint8 and len(shape) == 3:
        return "image"
    return "continuous" if dtype.kind == "f" else "discrete"


def _rows(value: Any, index: slice | Array, axis: int = 0) -> Any:
    """The same windows of everything below, which stand on this axis."""
    if isinstance(value, np.ndarray):
        return value[index] if axis == 0 else value[:, index]
    if isinstance(value, Mapping):
        return {key: _rows(x, index, axis) for key, x in value.items()}
    if isinstance(value, (Trace, Futures, Evaluation)):
        second = ("kept", "reward", "cont", "losses") if isinstance(value, Futures) else ()
        names = [x.name for x in fields(value)]
        return replace(value, **{n: _rows(getattr(value, n), index, n in second) for n in names})
    return value
