"""What was collected: rewards, ends of episodes, episode rewards."""

from collections.abc import Mapping, Sequence
from typing import Any

from tensordict import TensorDictBase
from torch import Tensor
from torchrl.trainers import TrainerHookBase

from openloop_cli.hooks.tensors import (
    Key,
    as_float,
    fetched,
    nested_key,
    only_real,
    real_steps,
    scalarised,
    statistics,
    without_last,
)
from openloop_cli.hooks.trainers import LOG


class LoggingCollectionMetricsHook(TrainerHookBase):
    """`collection/*` of each batch, at `pre_steps_log`.

    - `collection/[<group>/]reward/reward*`: of the steps that were really taken.
    - `collection/done_rate`: the share of those steps that ended an episode.
    - `collection/[<group>/]reward/episode_reward*`: of the episodes that ended.

    Args:
      group: The group of agents.
      reward_key, episode_reward_key: None means `("next", group, "reward")` and
        `("next", group, "episode_reward")`. What a batch does not hold is left out.
      done_key: Ends of episodes.
      episode_reward_weights: Of the objectives in an episode reward; None adds them up.
      reduce_stats: See `tensors.statistics`. True keeps names the same from batch to batch.
      original_numbers: `done_rate` as the original has it, over padding too.

    Raises:
      ValueError: When called: an episode reward of another shape than done, or of another number
        of objectives than there are weights.
    """

    def __init__(
        self,
        group: str = "agents",
        reward_key: str | Sequence[str] | None = None,
        done_key: str | Sequence[str] = ("next", "done"),
        episode_reward_key: str | Sequence[str] | None = None,
        episode_reward_weights: Sequence[float] | None = None,
        reduce_stats: bool | None = None,
        *,
        original_numbers: bool = False,
    ) -> None:
        self.group = group
        self.reward_key = nested_key(reward_key, ("next", group, "reward"))
        self.done_key = nested_key(done_key, ("next", "done"))
        self.episode_reward_key = nested_key(episode_reward_key, ("next", group, "episode_reward"))
        self.episode_reward_weights = _weights(episode_reward_weights)
        self.reduce_stats = reduce_stats
        self.original_numbers = original_numbers
        self._told = False

    def __call__(self, batch: TensorDictBase | None) -> dict[str, float]:
        """The metrics; none of a batch that is None or holds no reward."""
        rewards = None if batch is None else batch.get(self.reward_key, None)
        if batch is None or rewards is None:
            if batch is not None:
                self._tell()
            return {}
        real = real_steps(batch)
        found = self._named("reward", only_real(rewards, real))
        done = batch.get(self.done_key, None)
        if done is not None:
            done = without_last(done, batch.ndim).bool()
            if self.original_numbers:
                found |= statistics("collection/done_rate", _rate(_ended(done, real)), False)
            else:
                found |= statistics("collection/done_rate", _rate(only_real(done, real)), False)
            found |= self._episodes(batch, _ended(done, real))
        return fetched(found)

    def _episodes(self, batch: TensorDictBase, ended: Tensor) -> dict[str, Tensor]:
        values = batch.get(self.episode_reward_key, None)
        if values is None or not ended.any():
            return {}
        if values.shape[: ended.ndim] != ended.shape:
            raise ValueError(
                f"{_text(self.episode_reward_key)}: shape {tuple(values.shape)}, expected one that "
                f"begins with that of {_text(self.done_key)}, {tuple(ended.shape)}"
            )
        values = scalarised(values[ended.to(values.device)], self.episode_reward_weights)
        return self._named("episode_reward", values)

    def _named(self, name: str, values: Tensor) -> dict[str, Tensor]:
        found = statistics(name, values, self.reduce_stats)
        return {
            f"collection/{prefix}reward/{key}": value
            for prefix in (f"{self.group}/", "")
            for key, value in found.items()
        }

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            LOG.warning(
                "collection metrics: batches hold no %s, so none are logged; set reward_key",
                _text(self.reward_key),
            )

    def register(self, trainer: Any, name: str = "logging_collection_metrics") -> None:
        """Adds it to a trainer."""
        trainer.register_op("pre_steps_log", self)
        trainer.register_module(name, self)

    def state_dict(self) -> dict[str, Any]:
        """The six parameters."""
        return {
            "group": self.group,
            "reward_key": self.reward_key,
            "done_key": self.done_key,
            "episode_reward_key": self.episode_reward_key,
            "episode_reward_weights": self.episode_reward_weights,
            "reduce_stats": self.reduce_stats,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes the six parameters, of the original's state too."""
        self.group = state_dict["group"]
        self.reward_key = nested_key(state_dict["reward_key"], ("next", self.group, "reward"))
        self.done_key = nested_key(state_dict["done_key"], ("next", "done"))
        self.episode_reward_key = nested_key(
            state_dict["episode_reward_key"], ("next", self.group, "episode_reward")
        )
        self.episode_reward_weights = _weights(state_dict["episode_reward_weights"])
        self.reduce_stats = state_dict["reduce_stats"]


def _weights(weights: Sequence[float] | None) -> list[float] | None:
    return None if weights is None else [float(x) for x in weights]


def _ended(done: Tensor, real: Tensor | None) -> Tensor:
    """Done of the real steps, in its own shape."""
    if real is None:
        return done
    return done & real.to(done.device).reshape(real.shape + (1,) * (done.ndim - real.ndim))


def _rate(done: Tensor) -> Tensor:
    return as_float(done).mean() if done.numel() else as_float(done)


def _text(key: Key) -> str:
    return key if isinstance(key, str) else "/".join(key)
