"""What was learned: the losses, averaged over an iteration."""

from collections.abc import Mapping
from typing import Any

import torch
from tensordict import TensorDictBase
from torchrl.trainers import TrainerHookBase

from openloop_cli.hooks.tensors import as_float, fetched


class LoggingTrainingMetricsHook(TrainerHookBase):
    """`train/<group>/<key>`, the mean of each loss, at `post_optim_complete_log`.

    The losses themselves stay as they are: the trainer logs them under their bare names.

    Args:
      group: The group of agents.
    """

    def __init__(self, group: str = "agents") -> None:
        self.group = group

    def __call__(self, optim_steps: int, average_losses: TensorDictBase | None) -> dict[str, float]:
        """The means of top-level tensors; none of no losses."""
        if average_losses is None:
            return {}
        means = {
            f"train/{self.group}/{key}": as_float(value).mean()
            for key, value in average_losses.items()
            if isinstance(value, torch.Tensor)
        }
        return fetched(means)

    def register(self, trainer: Any, name: str = "logging_training_metrics") -> None:
        """Adds it to a trainer."""
        trainer.register_op("post_optim_complete_log", self)
        trainer.register_module(name, self)

    def state_dict(self) -> dict[str, Any]:
        """The group."""
        return {"group": self.group}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes the group."""
        self.group = state_dict["group"]
