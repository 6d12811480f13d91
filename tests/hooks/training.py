"""A real PPO on CartPole that ends in a moment, and a logger that keeps what it gets."""

from collections import defaultdict

import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torch.distributions import Categorical
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer, SamplerWithoutReplacement
from torchrl.envs import GymEnv, RewardSum, SerialEnv, StepCounter, TransformedEnv
from torchrl.modules import ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE
from torchrl.record.loggers import Logger
from torchrl.trainers import ReplayBufferTrainer, Trainer

from openloop_cli.hooks import LoggingEvaluationHookSet, LoggingHookSet

torch.set_num_threads(1)  # of such small tensors more threads only wait for each other

REWARD, EPISODE = ("next", "reward"), ("next", "episode_reward")


class Recorder(Logger):
    """Keeps (name, value, step), in order."""

    def __init__(self):
        super().__init__("recorder", ".")
        self.scalars, self.videos, self.closed = [], [], False

    def _create_experiment(self):
        return None

    def log_scalar(self, name, value, step=None):
        self.scalars.append((name, float(value), step))

    def log_video(self, name, video, step=None, **options):
        self.videos.append((name, video, step, options))

    def log_hparams(self, cfg):
        raise NotImplementedError

    def log_histogram(self, name, data, **options):
        raise NotImplementedError

    def close(self, timeout=None):
        self.closed = True

    def __repr__(self):
        return "Recorder()"

    def by_name(self):
        found = defaultdict(list)
        for name, value, step in self.scalars:
            found[name].append((step, value))
        return dict(found)


def cartpole(count=1, render=False):
    options = {"render_mode": "rgb_array"} if render else {}

    def make():
        return GymEnv("CartPole-v1", device="cpu", categorical_action_encoding=True, **options)

    env = make() if count == 1 else SerialEnv(count, make)
    return TransformedEnv(TransformedEnv(env, RewardSum()), StepCounter(200))


class PPO:
    """A trainer, its policy, and what an independent calculation needs: batches and losses."""

    def __init__(self, envs=1, batch=150, total=600, logger=None, log_interval=0, **options):
        torch.manual_seed(0)
        hidden = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 2))
        self.policy = ProbabilisticActor(
            TensorDictModule(hidden, ["observation"], ["logits"]),
            in_keys=["logits"],
            distribution_class=Categorical,
            return_log_prob=True,
        )
        value = ValueOperator(nn.Linear(4, 1), in_keys=["observation"])
        self.env = cartpole(envs)
        self.env.set_seed(0)
        collector = Collector(self.env, self.policy, frames_per_batch=batch, total_frames=total)
        loss = ClipPPOLoss(self.policy, value)
        self.logger = Recorder() if logger is None else logger
        self.trainer = Trainer(
            collector=collector,
            total_frames=total,
            frame_skip=1,
            optim_steps_per_batch=2,
            loss_module=loss,
            optimizer=torch.optim.Adam(loss.parameters(), 1e-3),
            logger=self.logger,
            log_interval=log_interval,
            progress_bar=False,
            **options,
        )
        buffer = ReplayBuffer(
            storage=LazyTensorStorage(batch),
            sampler=SamplerWithoutReplacement(),
            batch_size=batch // 2,
        )
        replay = ReplayBufferTrainer(buffer, flatten_tensordicts=True)
        advantage = GAE(gamma=0.99, lmbda=0.95, value_network=value)
        self.batches, self.losses = [], []
        self.trainer.register_op("batch_process", self._keep)
        self.trainer.register_op("pre_epoch", advantage)
        self.trainer.register_op("pre_epoch", replay.extend)
        self.trainer.register_op("process_optim_batch", replay.sample)
        self.trainer.register_op("post_optim_complete_log", self._keep_losses)

    def _keep(self, batch):
        self.batches.append(batch.clone())

    def _keep_losses(self, optim_steps, losses):
        self.losses.append({k: v.detach().clone() for k, v in losses.items()})


def hook_set(evaluation=None, reduce_stats=True, **options):
    return LoggingHookSet(
        group="agents",
        frame_skip=1,
        reward_key=REWARD,
        done_key=("next", "done"),
        episode_reward_key=EPISODE,
        episode_reward_weights=None,
        reduce_stats=reduce_stats,
        eval_hook_set=evaluation,
        **options,
    )


def evaluations(policy, environment, interval_frames=400, **options):
    options = {
        "max_steps": 40, "deterministic": True, "non_deterministic": False, "render": False,
        "video_fps": 30, "reward_key": REWARD, "reduce_stats": True, **options,
    }  # fmt: skip
    return LoggingEvaluationHookSet(
        policy=policy,
        environment=environment,
        group="agents",
        interval_frames=interval_frames,
        **options,
    )
