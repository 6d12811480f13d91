"""What the progress bar shows."""

from collections.abc import Mapping, Sequence
from typing import Any

from tensordict import TensorDictBase
from torchrl.trainers import TrainerHookBase

from openloop_cli.hooks.counters import LoggingCountersHook
from openloop_cli.hooks.tensors import as_float, nested_key, only_real, real_steps
from openloop_cli.hooks.trainers import logged_already


class LoggingProgressMetricsHook(TrainerHookBase):
    """Frames and the mean reward in the progress bar, at `pre_steps_log`, after the counters.

    Args:
      group: The group of agents.
      counters_hook: Whose frames it shows.
      reward_key: None means `("next", group, "reward")`.
    """

    def __init__(
        self,
        *,
        group: str,
        counters_hook: LoggingCountersHook,
        reward_key: str | Sequence[str] | None = None,
    ) -> None:
        self.group = group
        self.counters_hook = counters_hook
        self.reward_key = nested_key(reward_key, ("next", group, "reward"))
        self._trainer: Any = None

    def __call__(self, batch: TensorDictBase | None) -> dict[str, Any]:
        """The two, with `log_pbar`; the reward only where the batch has one."""
        found: dict[str, Any] = {"counters/total_frames": float(self.counters_hook.total_frames)}
        rewards = None if batch is None else batch.get(self.reward_key, None)
        if batch is not None and rewards is not None:
            rewards = only_real(rewards, real_steps(batch))
            if rewards.numel():
                found["collection/reward/reward_mean"] = as_float(rewards).mean().item()
        self._not_twice(found)
        return {**found, "log_pbar": True}

    def _not_twice(self, found: Mapping[str, Any]) -> None:
        last = getattr(self._trainer, "_last_log", None)
        if isinstance(last, dict):
            frames = self._trainer.collected_frames
            logged_already(self._trainer, [x for x in found if last.get(x) == frames])

    def attach(self, trainer: Any) -> None:
        """Whose logger has perhaps just got the same names."""
        self._trainer = trainer

    def register(self, trainer: Any, name: str = "logging_progress_metrics") -> None:
        """Adds it to a trainer."""
        self.attach(trainer)
        trainer.register_op("pre_steps_log", self)
        trainer.register_module(name, self)

    def state_dict(self) -> dict[str, Any]:
        """Its parameters."""
        return {"group": self.group, "reward_key": self.reward_key}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes its parameters."""
        self.group = state_dict["group"]
        self.reward_key = nested_key(state_dict["reward_key"], ("next", self.group, "reward"))
