"""How many frames and iterations there were."""

from collections.abc import Mapping
from typing import Any

from tensordict import TensorDictBase
from torchrl.trainers import TrainerHookBase

from openloop_cli.hooks.tensors import count_steps


class LoggingCountersHook(TrainerHookBase):
    """`counters/{current_frames,total_frames,iter}`, at `pre_steps_log`.

    Asynchronous collection hands out no batches; then the trainer's own count is taken.

    Args:
      frame_skip: Frames that each step stands for.
    """

    def __init__(self, frame_skip: int = 1) -> None:
        self.frame_skip = frame_skip
        self.total_frames = 0
        self.iteration = 0
        self._trainer: Any = None

    def __call__(self, batch: TensorDictBase | None) -> dict[str, float]:
        """Counts this iteration."""
        self.iteration += 1
        if batch is not None:
            current = count_steps(batch) * self.frame_skip
        elif self._trainer is not None:
            current = max(0, int(self._trainer.collected_frames) - self.total_frames)
        else:
            current = 0
        self.total_frames += current
        return {
            "counters/current_frames": current,
            "counters/total_frames": self.total_frames,
            "counters/iter": self.iteration,
        }

    def attach(self, trainer: Any) -> None:
        """Whose frames are counted where there is no batch."""
        self._trainer = trainer

    def register(self, trainer: Any, name: str = "logging_counters") -> None:
        """Adds it to a trainer."""
        self.attach(trainer)
        trainer.register_op("pre_steps_log", self)
        trainer.register_module(name, self)

    def state_dict(self) -> dict[str, Any]:
        """The counts."""
        return {
            "frame_skip": self.frame_skip,
            "total_frames": self.total_frames,
            "iteration": self.iteration,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on from these counts."""
        self.frame_skip = state_dict["frame_skip"]
        self.total_frames = state_dict["total_frames"]
        self.iteration = state_dict["iteration"]
