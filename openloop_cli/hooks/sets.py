"""The hooks together, in the order that they need, under one name in the trainer's checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

from tensordict import TensorDictBase
from torchrl.trainers import TrainerHookBase

from openloop_cli.hooks.collection import LoggingCollectionMetricsHook
from openloop_cli.hooks.counters import LoggingCountersHook
from openloop_cli.hooks.evaluation import LoggingEvaluationMetricsHook
from openloop_cli.hooks.progress import LoggingProgressMetricsHook
from openloop_cli.hooks.timers import IterationTimers
from openloop_cli.hooks.trainers import close_logger, close_on_failure
from openloop_cli.hooks.training import LoggingTrainingMetricsHook


class LoggingEvaluationHookSet(TrainerHookBase):
    """Up to two evaluations, of the subgroups `deterministic` and `non_deterministic`.

    Args:
      deterministic, non_deterministic: Which of them.

    The others are those of `LoggingEvaluationMetricsHook`.
    """

    def __init__(
        self,
        *,
        policy: Any,
        environment: Any,
        group: str,
        interval_frames: int,
        max_steps: int,
        deterministic: bool,
        non_deterministic: bool,
        render: bool,
        video_fps: int,
        render_kwargs: Mapping[str, Any] | None = None,
        reward_key: str | Sequence[str] | None = None,
        reduce_stats: bool | None = None,
        logger: Any = None,
        final: bool = True,
        original_numbers: bool = False,
    ) -> None:
        chosen = {"deterministic": deterministic, "non_deterministic": non_deterministic}
        self.hooks = [
            LoggingEvaluationMetricsHook(
                policy=policy,
                environment=environment,
                group=group,
                metric_subgroup=subgroup,
                interval_frames=interval_frames,
                max_steps=max_steps,
                deterministic=subgroup == "deterministic",
                render=render,
                video_fps=video_fps,
                render_kwargs=render_kwargs,
                reward_key=reward_key,
                reduce_stats=reduce_stats,
                logger=logger,
                final=final,
                original_numbers=original_numbers,
            )
            for subgroup, wanted in chosen.items()
            if wanted
        ]

    def run(self, step: int | None = None) -> dict[str, float]:
        """Evaluates now; the metrics of all."""
        found: dict[str, float] = {}
        for hook in self.hooks:
            found |= hook.run(step=step)
        return found

    def close(self) -> None:
        """Closes their environment."""
        for hook in self.hooks:
            hook.close()

    def attach(self, trainer: Any) -> None:
        """Adds them to a trainer without names."""
        for hook in self.hooks:
            hook.attach(trainer)

    def register(self, trainer: Any, name: str = "logging_evaluation_hooks") -> None:
        """Adds them to a trainer as `<name>_0` and `<name>_1`."""
        for number, hook in enumerate(self.hooks):
            hook.register(trainer, f"{name}_{number}")

    def state_dict(self) -> dict[str, Any]:
        """Of each hook, by its number."""
        return {str(number): hook.state_dict() for number, hook in enumerate(self.hooks)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Of each hook, by its number."""
        for number, hook in enumerate(self.hooks):
            hook.load_state_dict(state_dict[str(number)])


class LoggingHookSet(TrainerHookBase):
    """Timers, training, counters, collection, progress, and evaluation if there is one.

    Where training raises, evaluation's environment and the trainer's logger are closed.

    Args:
      group: The group of agents.
      frame_skip: Frames that each step stands for.
      reward_key, done_key, episode_reward_key, episode_reward_weights, reduce_stats: See
        `LoggingCollectionMetricsHook`.
      eval_hook_set: `LoggingEvaluationHookSet`.
      original_numbers: `done_rate` and `collection_time` as the original has them; evaluation has
        an argument of its own.
    """

    def __init__(
        self,
        *,
        group: str,
        frame_skip: int,
        reward_key: str | Sequence[str] | None,
        done_key: str | Sequence[str],
        episode_reward_key: str | Sequence[str] | None,
        episode_reward_weights: Sequence[float] | None,
        reduce_stats: bool | None,
        eval_hook_set: LoggingEvaluationHookSet | None = None,
        original_numbers: bool = False,
    ) -> None:
        self.training_hook = LoggingTrainingMetricsHook(group)
        self.counters_hook = LoggingCountersHook(frame_skip)
        self.collection_hook = LoggingCollectionMetricsHook(
            group,
            reward_key,
            done_key,
            episode_reward_key,
            episode_reward_weights,
            reduce_stats,
            original_numbers=original_numbers,
        )
        self.progress_hook = LoggingProgressMetricsHook(
            group=group, counters_hook=self.counters_hook, reward_key=reward_key
        )
        self.eval_hook_set = eval_hook_set
        self.timers = IterationTimers(with_pauses=original_numbers)
        self._trainer: Any = None

    def run_pre_eval(self) -> dict[str, float]:
        """Evaluates at step 0, before the training."""
        return {} if self.eval_hook_set is None else self.eval_hook_set.run(step=0)

    def close(self) -> None:
        """Closes evaluation's environment."""
        if self.eval_hook_set is not None:
            self.eval_hook_set.close()

    def register(self, trainer: Any, name: str = "logging_hooks") -> None:
        """Adds all of them to a trainer, under one name."""
        self._trainer = trainer
        for part in (self.timers, self.counters_hook, self.progress_hook):
            part.attach(trainer)
        trainer.register_op("batch_process", self._start)
        trainer.register_op("post_optim_complete_log", self.training_hook)
        trainer.register_op("pre_steps_log", self._count)
        trainer.register_op("pre_steps_log", self.collection_hook)
        trainer.register_op("pre_steps_log", self.progress_hook)
        trainer.register_op("post_steps_log", self._end)
        if self.eval_hook_set is not None:
            self.eval_hook_set.attach(trainer)
        trainer.register_op("setup", self.timers.begin)
        trainer.register_op("shutdown", self._flush)
        trainer.register_module(name, self)
        close_on_failure(trainer, self._close_logger, last=True)

    def _start(self, batch: TensorDictBase) -> None:
        self.timers.start()

    def _count(self, batch: TensorDictBase | None) -> dict[str, float]:
        # Asynchronous collection has no batch to be processed, so time begins here.
        self.timers.start_without_batch()
        return self.counters_hook(batch)

    def _end(self, batch: TensorDictBase | None) -> dict[str, float]:
        return self.timers.end()

    def _flush(self) -> None:
        flush = getattr(self._trainer.logger, "flush", None)
        if callable(flush):
            flush()

    def _close_logger(self) -> None:
        if self._trainer.logger is not None:
            close_logger(self._trainer.logger)

    def state_dict(self) -> dict[str, Any]:
        """Of the four hooks and of evaluation, and the sums of the timers."""
        evaluation = self.eval_hook_set
        return {
            "training": self.training_hook.state_dict(),
            "counters": self.counters_hook.state_dict(),
            "collection": self.collection_hook.state_dict(),
            "progress": self.progress_hook.state_dict(),
            "evaluation": {} if evaluation is None else evaluation.state_dict(),
            **self.timers.state_dict(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on from there."""
        self.training_hook.load_state_dict(state_dict["training"])
        self.counters_hook.load_state_dict(state_dict["counters"])
        self.collection_hook.load_state_dict(state_dict["collection"])
        self.progress_hook.load_state_dict(state_dict["progress"])
        if self.eval_hook_set is not None and state_dict.get("evaluation"):
            self.eval_hook_set.load_state_dict(state_dict["evaluation"])
        self.timers.load_state_dict(state_dict)
