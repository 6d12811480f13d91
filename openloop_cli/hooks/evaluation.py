"""How well the policy does: a rollout of its own, now and then.

A trajectory counts until its first done: its return is the sum over time, then the mean over
agents.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.trainers import TrainerHookBase

from openloop_cli.hooks.rendering import Camera
from openloop_cli.hooks.tensors import as_float, fetched, nested_key, statistics, without_last
from openloop_cli.hooks.trainers import (
    LOG,
    Schedule,
    close_on_failure,
    is_last,
    logged_already,
    pause,
)


class LoggingEvaluationMetricsHook(TrainerHookBase):
    """`eval/<metric_subgroup>/*`, at `post_steps_log`, and at `shutdown` where the end was missed.

    Each metric goes to the logger once, whatever the trainer's `log_interval`. The rollout leaves
    random numbers, modes of modules and the training's timers as they were.

    - `eval/<sub>/[<group>/]reward/episode_reward*`, one value for each trajectory and objective.
    - `eval/<sub>/reward/episode_len_mean`: steps to the first done of each trajectory, else all.
    - `eval/<sub>/video`, with `render`: every frame, that of the reset too.
    - `timers/eval/<sub>/evaluation_time`: seconds.

    Args:
      policy: None acts at random.
      environment: Its own, not the collector's.
      group: The group of agents.
      metric_subgroup: In the metrics' names.
      interval_frames: Runs once when a multiple is reached or passed, and at the end; zero and
        negative numbers are never.
      max_steps: Of the rollout.
      deterministic: The exploration: `ExplorationType.DETERMINISTIC`, else `RANDOM`.
      render: Take a video, with `render_kwargs` for the environment's `render`.
      video_fps: Frames per second of the video.
      reward_key: None means `("next", group, "reward")`.
      reduce_stats: See `tensors.statistics`.
      logger: A TorchRL logger, where the trainer has none.
      final: Whether it runs at the end.
      original_numbers: Episode rewards as the original has them: over all steps of the rollout,
        whichever dimensions its tensor has.

    Raises:
      RuntimeError: When it runs: `render`, and there is no picture.
    """

    def __init__(
        self,
        *,
        policy: Any,
        environment: Any,
        group: str,
        metric_subgroup: str,
        interval_frames: int,
        max_steps: int,
        deterministic: bool,
        render: bool,
        video_fps: int,
        render_kwargs: Mapping[str, Any] | None = None,
        reward_key: str | Sequence[str] | None = None,
        reduce_stats: bool | None = None,
        logger: Any = None,
        final: bool = True,
        original_numbers: bool = False,
    ) -> None:
        self.policy = policy
        self.environment = environment
        self.group = group
        self.metric_subgroup = metric_subgroup
        self.max_steps = max_steps
        self.deterministic = deterministic
        self.render = render
        self.video_fps = video_fps
        self.render_kwargs = dict(render_kwargs or {})
        self.reward_key = nested_key(reward_key, ("next", group, "reward"))
        self.reduce_stats = reduce_stats
        self.logger = logger
        self.original_numbers = original_numbers
        self._schedule = Schedule(interval_frames, final)
        self._trainer: Any = None

    @property
    def interval_frames(self) -> int:
        """Frames between two evaluations."""
        return self._schedule.every

    def __call__(self, batch: TensorDictBase | None = None) -> dict[str, float]:
        """Evaluates if it is due; the metrics, which are logged by then."""
        trainer = self._trainer
        if trainer is None or not self._schedule.due(trainer.collected_frames, is_last(trainer)):
            return {}
        metrics = self.run(step=trainer.collected_frames)
        logged_already(trainer, metrics)
        return metrics

    def run(self, step: int | None = None) -> dict[str, float]:
        """Evaluates now and logs it, before the training too.

        Args:
          step: To log at; None for the trainer's frames.
        """
        if step is None:
            step = 0 if self._trainer is None else int(self._trainer.collected_frames)
        begin = time.perf_counter()
        try:
            rollout, video = self._roll_out()
            metrics = self._metrics(rollout)
            seconds = time.perf_counter() - begin
            metrics = {f"timers/eval/{self.metric_subgroup}/evaluation_time": seconds, **metrics}
            self._log(metrics, video, step)
        finally:
            pause(self._trainer, time.perf_counter() - begin)
        return metrics

    def _roll_out(self) -> tuple[TensorDictBase, Tensor | None]:
        kind = ExplorationType.DETERMINISTIC if self.deterministic else ExplorationType.RANDOM
        with (
            torch.no_grad(),
            set_exploration_type(kind),
            _own_random_numbers(_cuda(self.policy, self.environment)),
            _eval_mode(self.policy, self.environment),
        ):
            if not self.render:
                return self._rollout(None), None
            camera = Camera(self.environment, self.render_kwargs)
            reset = getattr(self.environment, "reset", None)
            begin = reset() if callable(reset) else None
            if begin is not None:
                camera.shoot()
            with camera.watching() as callback:
                rollout = self._rollout(callback, begin)
            camera.shoot()
            return rollout, camera.video()

    def _rollout(self, callback: Any, begin: TensorDictBase | None = None) -> TensorDictBase:
        begun = {} if begin is None else {"auto_reset": False, "tensordict": begin}
        return self.environment.rollout(
            max_steps=self.max_steps,
            policy=self.policy,
            callback=callback,
            auto_cast_to_device=True,
            break_when_any_done=False,
            **begun,
        )

    def _metrics(self, rollout: TensorDictBase) -> dict[str, float]:
        counted = _until_first_done(self._done(rollout))
        top = f"eval/{self.metric_subgroup}"
        lengths = counted.sum(-1)
        found = {f"{top}/reward/episode_len_mean": as_float(lengths).mean()}
        rewards = rollout.get(self.reward_key)
        returns = (
            _original_returns(rewards) if self.original_numbers else _returns(rewards, counted)
        )
        stats = statistics("episode_reward", returns, self.reduce_stats)
        for prefix in (f"{self.group}/", ""):
            found |= {f"{top}/{prefix}reward/{name}": value for name, value in stats.items()}
        return fetched(found)

    def _done(self, rollout: TensorDictBase) -> Tensor:
        """Where a trajectory is done, bool (*B, T): where all agents are, if only they say so."""
        done = rollout.get(("next", "done"), None)
        if done is None:
            done = rollout.get(("next", self.group, "done"))
        done = without_last(done, rollout.ndim).bool()
        return done.flatten(rollout.ndim).all(-1) if done.ndim > rollout.ndim else done

    def _log(self, metrics: Mapping[str, float], video: Tensor | None, step: int) -> None:
        logger = getattr(self._trainer, "logger", None)
        logger = self.logger if logger is None else logger
        if logger is None:
            return
        for name, value in metrics.items():
            logger.log_scalar(name, value, step=step)
        if video is not None:
            name = f"eval/{self.metric_subgroup}/video"
            try:
                logger.log_video(name, video, step=step, fps=self.video_fps)
            except ImportError as error:  # moviepy, torchcodec: no reason for a training to end
                LOG.warning("%s: not logged: %s; OpenloopLogger needs nothing more", name, error)

    def close(self) -> None:
        """Closes the environment, if it is open."""
        if not getattr(self.environment, "is_closed", False):
            self.environment.close()

    def attach(self, trainer: Any) -> None:
        """Whose frames, logger and timers these are; without registering it under a name."""
        self._trainer = trainer
        trainer.register_op("post_steps_log", self)
        trainer.register_op("setup", self._begin)
        trainer.register_op("shutdown", self._end)
        close_on_failure(trainer, self.close)

    def register(self, trainer: Any, name: str = "logging_evaluation_metrics") -> None:
        """Adds it to a trainer."""
        self.attach(trainer)
        trainer.register_module(name, self)

    def _begin(self) -> None:
        self._schedule.begin(self._trainer.collected_frames)

    def _end(self) -> None:
        """Collection may end without an iteration that knew to be the last."""
        if self._schedule.due(self._trainer.collected_frames, ended=True):
            self.run(step=self._trainer.collected_frames)

    def state_dict(self) -> dict[str, Any]:
        """Its parameters, and how far its schedule is."""
        return {
            "group": self.group,
            "metric_subgroup": self.metric_subgroup,
            "interval_frames": self.interval_frames,
            "max_steps": self.max_steps,
            "deterministic": self.deterministic,
            "render": self.render,
            "video_fps": self.video_fps,
            "render_kwargs": self.render_kwargs,
            "reward_key": self.reward_key,
            "reduce_stats": self.reduce_stats,
            **self._schedule.state_dict(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes its parameters, of the original's state too, and goes on with its schedule."""
        self.group = state_dict["group"]
        self.metric_subgroup = state_dict["metric_subgroup"]
        self._schedule.every = state_dict["interval_frames"]
        self.max_steps = state_dict["max_steps"]
        self.deterministic = state_dict["deterministic"]
        self.render = state_dict["render"]
        self.video_fps = state_dict["video_fps"]
        self.render_kwargs = dict(state_dict["render_kwargs"] or {})
        self.reward_key = nested_key(state_dict["reward_key"], ("next", self.group, "reward"))
        self.reduce_stats = state_dict["reduce_stats"]
        self._schedule.load_state_dict(state_dict)


def _until_first_done(done: Tensor) -> Tensor:
    """Which steps belong to each trajectory's first episode, the one that ends it too; (*B, T)."""
    ends = done.long().cumsum(-1)
    return (ends - done.long()) == 0


def _returns(rewards: Tensor, counted: Tensor) -> Tensor:
    """Rewards (*B, T, [agents,] objectives), steps that count (*B, T) -> (*B, objectives)."""
    rewards, time = as_float(rewards), counted.ndim - 1
    if rewards.ndim == counted.ndim:
        rewards = rewards[..., None]
    counted = counted.to(rewards.device)
    counted = counted.reshape(counted.shape + (1,) * (rewards.ndim - counted.ndim))
    returns = torch.where(counted, rewards, torch.zeros_like(rewards)).sum(time)
    return returns.flatten(time, -2).mean(-2) if returns.ndim > time + 1 else returns


def _original_returns(rewards: Tensor) -> Tensor:
    """As the original has it: right for (environments, T, agents, 1) alone."""
    rewards = as_float(rewards)
    if rewards.ndim >= 3:
        rewards = rewards.sum(-3)
    return rewards.mean(-2) if rewards.ndim >= 2 else rewards


def _cuda(policy: Any, environment: Any) -> list[torch.device]:
    """The GPUs that an evaluation draws random numbers on."""
    found = {getattr(environment, "device", None)}
    if isinstance(policy, torch.nn.Module):
        found |= {x.device for x in (*policy.parameters(), *policy.buffers())}
    return [x for x in found if isinstance(x, torch.device) and x.type == "cuda"]


@contextmanager
def _own_random_numbers(devices: list[torch.device]) -> Iterator[None]:
    """What is drawn within changes nothing outside: torch's, NumPy's and Python's generators."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def _eval_mode(*owners: Any) -> Iterator[None]:
    """All modules in eval mode within, then each as it was."""
    modules = [x for owner in owners if isinstance(owner, torch.nn.Module) for x in owner.modules()]
    modes = [(module, module.training) for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, mode in modes:
            module.training = mode
