"""Each hook by itself: what it gives of tensors whose numbers are known, and its state.

The eleven faults of the originals that docs/torchrl.md lists are tested here and in
test_training.py, test_wandb.py."""

import pickle

import numpy as np
import pytest

pytest.importorskip("torchrl", reason="the extra `torchrl` is not installed")

import torch
from tensordict import TensorDict

from openloop_cli import hooks as h
from openloop_cli.hooks.timers import IterationTimers
from openloop_cli.hooks.trainers import Schedule
from tests.hooks.training import EPISODE, PPO, REWARD, cartpole, evaluations, hook_set

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def batch(shape, agents=0, objectives=1, mask=None, seed=0):
    """Random rewards and dones, as collectors lay them out."""
    draw = np.random.default_rng(seed)
    inner = (agents, objectives) if agents else (objectives,)
    group = ("next", "agents") if agents else ("next",)
    found = TensorDict(batch_size=shape)
    found.set((*group, "reward"), torch.tensor(draw.normal(size=(*shape, *inner))))
    found.set((*group, "episode_reward"), torch.tensor(draw.normal(size=(*shape, *inner))))
    found.set(("next", "done"), torch.tensor(draw.random((*shape, 1)) < 0.3))
    if mask is not None:
        found.set(("collector", "mask"), torch.tensor(mask))
    return found


def single(**options):
    keys = {"reward_key": REWARD, "episode_reward_key": EPISODE, "reduce_stats": True}
    return h.LoggingCollectionMetricsHook(**{**keys, **options})


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [(20,), (3, 8)])
@pytest.mark.parametrize(("agents", "objectives"), [(0, 1), (0, 3), (2, 1), (2, 3)])
@pytest.mark.parametrize("masked", [False, True])
def test_collection(shape, agents, objectives, masked, device):
    mask = np.random.default_rng(1).random(shape) < 0.7
    found = batch(shape, agents, objectives, mask if masked else None)
    weights = [1.0, -2.0, 0.5] if objectives == 3 else [7.0]  # one objective has no use for it
    options = {"episode_reward_weights": weights, "reduce_stats": True}
    hook = h.LoggingCollectionMetricsHook(**options) if agents else single(**options)
    metrics = hook(found.to(device))
    if masked and device != "cpu":  # each tensor where it happens to lie
        mixed = found.clone().clear_device_()
        mixed.set(hook.reward_key, mixed.get(hook.reward_key).to(device))
        assert hook(mixed)["collection/reward/reward_mean"] == pytest.approx(
            metrics["collection/reward/reward_mean"]
        )
    real = mask if masked else np.ones(shape, bool)
    reward = found.get(hook.reward_key).numpy()[real]
    done = found["next", "done"].numpy()[..., 0]
    episodes = found.get(hook.episode_reward_key).numpy()[done & real]
    if agents:
        episodes = episodes.mean(1)
    episodes = episodes @ np.array(weights) if objectives == 3 else episodes[:, 0]
    for prefix in ("collection/", "collection/agents/"):
        for name, values in (("reward", reward), ("episode_reward", episodes)):
            for stat in ("min", "mean", "max"):
                value = metrics[f"{prefix}reward/{name}_{stat}"]
                assert value == pytest.approx(getattr(np, stat)(values))
    # Fault 7: padding is no step.
    assert metrics["collection/done_rate"] == pytest.approx(done[real].mean())
    assert len(metrics) == 13
    hook.original_numbers = True
    original = hook(found.to(device))["collection/done_rate"]
    assert original == pytest.approx((done & real).mean())


def test_names_of_reductions():
    """None names a metric by how many there were."""
    two, one = batch((2,)), batch((1,))
    assert single(reduce_stats=False)(two)["collection/reward/reward"] == two[REWARD][0].item()
    assert "collection/reward/reward_mean" in single(reduce_stats=None)(two)
    assert "collection/reward/reward" in single(reduce_stats=None)(one)
    assert "collection/reward/reward_mean" in single(reduce_stats=True)(one)
    two[REWARD][0] = torch.nan
    metrics = single()(two)
    assert all(np.isnan(metrics[f"collection/reward/reward_{x}"]) for x in ("min", "mean", "max"))


def test_a_batch_without_what_is_asked_for(caplog):
    """No reward: nothing, told once; with nothing real or no episode's end: what there is."""
    hook = h.LoggingCollectionMetricsHook()
    assert hook(batch((4,))) == hook(batch((4,))) == {}
    assert len(caplog.records) == 1
    assert "next/agents/reward" in caplog.text
    assert single()(batch((3,), mask=np.zeros(3, bool))) == {}
    found = batch((3,))
    found["next", "done"][:] = False
    assert "collection/reward/episode_reward_mean" not in single()(found)
    found["next", "done"][:] = True
    del found["next", "episode_reward"]
    assert len(single()(found)) == 7


def test_episode_rewards_that_do_not_fit():
    found = batch((4, 5), objectives=2)
    found["next", "done"][:] = True
    with pytest.raises(ValueError, match="3 weights for 2 objectives"):
        single(episode_reward_weights=[1, 2, 3])(found)
    wrong = TensorDict({"episode": torch.ones(4, 1)}, batch_size=[4])
    found = TensorDict({"next": found["next"], "other": wrong}, batch_size=[4])
    with pytest.raises(ValueError, match=r"other/episode: shape \(4, 1\).*next/done, \(4, 5\)"):
        single(episode_reward_key=("other", "episode"))(found)


def test_ends_of_agents_of_their_own():
    found = batch((3, 4), agents=2)
    found["next", "agents", "done"] = torch.rand(3, 4, 2, 1) < 0.5
    hook = h.LoggingCollectionMetricsHook(done_key=("next", "agents", "done"), reduce_stats=True)
    ended = found["next", "agents", "done"][..., 0].numpy()
    episodes = found["next", "agents", "episode_reward"].numpy()[ended]
    metrics = hook(found)
    assert metrics["collection/agents/reward/episode_reward_mean"] == pytest.approx(episodes.mean())
    assert metrics["collection/done_rate"] == pytest.approx(ended.mean())


def test_training_leaves_losses_as_they_are():
    """Fault 11: a second call gives the same, and losses with a batch size work."""
    losses = TensorDict(
        {
            "a": torch.arange(6.0).reshape(2, 3),
            "n": torch.tensor([1, 2]),
            "in": {"b": torch.ones(2)},
        },
        batch_size=[2],
    )
    before = losses.clone()
    hook = h.LoggingTrainingMetricsHook("g")
    assert hook(1, losses) == hook(2, losses) == {"train/g/a": 2.5, "train/g/n": 1.5}
    assert (losses == before).all()
    assert set(losses.keys()) == {"a", "n", "in"}
    assert hook(3, None) == {}


def test_counters_and_progress():
    counters = h.LoggingCountersHook(frame_skip=4)
    progress = h.LoggingProgressMetricsHook(group="a", counters_hook=counters, reward_key=REWARD)
    mask = np.array([[1, 1, 0], [1, 0, 0]], bool)
    found = batch((2, 3), mask=mask)
    assert counters(found) == {
        "counters/current_frames": 12, "counters/total_frames": 12, "counters/iter": 1
    }  # fmt: skip
    assert counters(batch((2, 3)))["counters/total_frames"] == 36
    reward = found[REWARD].numpy()[mask].mean()
    assert progress(found) == {
        "counters/total_frames": 36.0,
        "collection/reward/reward_mean": pytest.approx(reward),
        "log_pbar": True,
    }


def test_none_batches_of_asynchronous_collection():
    """Fault 6: frames come from the trainer, and time is taken all the same."""
    ppo = PPO()
    hooks = hook_set(evaluations(ppo.policy, cartpole(), 400))
    hooks.register(ppo.trainer)
    trainer = ppo.trainer
    trainer._setup_hook()
    for frames in (100, 250, 450):
        trainer.collected_frames = frames
        trainer._pre_steps_log_hook(None)
        trainer._post_steps_log_hook(None)
    found = ppo.logger.by_name()
    assert found["counters/current_frames"] == [(100, 100), (250, 150), (450, 200)]
    assert found["counters/total_frames"] == [(100, 100), (250, 250), (450, 450)]
    assert "collection/done_rate" not in found
    assert all(x > 0 for _, x in found["timers/training_time"])
    assert [x for x, _ in found["eval/deterministic/reward/episode_len_mean"]] == [450]


class Played:
    """An environment whose rollout is known beforehand."""

    device, is_closed = None, False

    def __init__(self, rollout):
        self.found = rollout

    def rollout(self, **options):
        assert options["break_when_any_done"] is False
        assert options["auto_cast_to_device"] is True
        return self.found


def evaluated(rollout, **options):
    options = {"reduce_stats": True, "render": False, **options}
    hook = h.LoggingEvaluationMetricsHook(
        policy=None, environment=Played(rollout), group="agents", metric_subgroup="s",
        interval_frames=1, max_steps=9, deterministic=True, video_fps=9, **options,
    )  # fmt: skip
    return hook.run(step=0)


@pytest.mark.parametrize("shape", [(12,), (3, 12), (2, 3, 12)])
@pytest.mark.parametrize(("agents", "objectives"), [(0, 1), (0, 2), (2, 1), (3, 2)])
def test_a_return_ends_with_the_first_episode(shape, agents, objectives):
    """Fault 1: over time until the first done, then the mean over agents; each objective."""
    rollout = batch(shape, agents, objectives, seed=3)
    key = ("next", "agents", "reward") if agents else REWARD
    rollout["next", "done"][..., 0, :] = False
    metrics = evaluated(rollout, reward_key=key)
    rewards = rollout[key].numpy().reshape(-1, 12, max(agents, 1), objectives)
    done = rollout["next", "done"].numpy().reshape(-1, 12)
    lengths = [int(np.argmax(x)) + 1 if x.any() else 12 for x in done]
    returns = [x[:n].sum(0).mean(0) for x, n in zip(rewards, lengths, strict=True)]
    assert metrics["eval/s/reward/episode_len_mean"] == pytest.approx(np.mean(lengths))
    for stat in ("min", "mean", "max"):
        value = pytest.approx(getattr(np, stat)(returns))
        assert metrics[f"eval/s/reward/episode_reward_{stat}"] == value
        assert metrics[f"eval/s/agents/reward/episode_reward_{stat}"] == value


def test_the_originals_return_by_an_argument():
    """It gave 1.0 of one CartPole of 30 steps, and 3.0 of three in a batch."""
    for shape, original, ours in (((30,), 1.0, 30.0), ((3, 30), 3.0, 30.0)):
        rollout = batch(shape)
        rollout[REWARD][:] = 1
        rollout["next", "done"][:] = False
        name = "eval/s/reward/episode_reward_mean"
        assert evaluated(rollout, reward_key=REWARD, original_numbers=True)[name] == original
        assert evaluated(rollout, reward_key=REWARD)[name] == ours


def test_done_of_agents_alone():
    rollout = batch((6,), agents=2)
    del rollout["next", "done"]
    rollout["next", "agents", "done"] = torch.zeros(6, 2, 1, dtype=bool)
    rollout["next", "agents", "done"][1, 0] = rollout["next", "agents", "done"][3:] = True
    assert evaluated(rollout)["eval/s/reward/episode_len_mean"] == 4


def test_the_schedule():
    """Fault 2: 150 frames a batch and an interval of 400 fired never in 600."""
    fired = lambda schedule, frames: [x for x in frames if schedule.due(x, x == frames[-1])]  # noqa: E731
    assert fired(Schedule(400), range(150, 601, 150)) == [450, 600]
    assert fired(Schedule(400), range(100, 801, 100)) == [400, 800]
    assert fired(Schedule(400, final=False), range(150, 601, 150)) == [450]
    assert fired(Schedule(100), [950, 960, 1000]) == [950, 1000]
    assert fired(Schedule(0), [10, 20]) == fired(Schedule(-5), [10, 20]) == []
    first, second = Schedule(400), Schedule(400)
    assert fired(first, [150, 300]) == [300]
    second.load_state_dict(first.state_dict())
    assert fired(second, [450, 600, 750]) == [450, 750]
    # The state of an original says nothing: it goes on from the trainer's frames.
    third = Schedule(400)
    third.load_state_dict({"interval_frames": 400})
    third.begin(800)
    assert not third.due(900)


def test_timers_of_another_process():
    """Fault 5: its clock begins elsewhere."""
    now = [1e6]
    timers = IterationTimers(lambda: now[0])

    def iteration(timers, collection, training):
        now[0] += collection
        timers.start()
        now[0] += training
        return timers.end()

    timers.begin()
    assert iteration(timers, 5, 2)["timers/collection_time"] == 0
    assert iteration(timers, 3, 2)["timers/total_time"] == 7
    now[0] = 0.0
    other = IterationTimers(lambda: now[0])
    other.load_state_dict({**timers.state_dict(), "previous_iteration_end": 1e6})
    other.begin()
    assert iteration(other, 4, 1) == {
        "timers/collection_time": 4, "timers/training_time": 1,
        "timers/iteration_time": 5, "timers/total_time": 12,
    }  # fmt: skip


@pytest.mark.parametrize("envs", [1, 3])
def test_every_frame_of_every_environment(envs, caplog):
    """Fault 8: T + 1 frames for T steps, an episode's end before its reset, all environments."""
    environment = cartpole(envs, render=True)
    environment.set_seed(0)
    shown = []
    ppo = PPO()
    hooks = evaluations(
        None, environment, 400, render=True, max_steps=40, logger=ppo.logger, video_fps=7
    )
    [hook] = hooks.hooks
    rollout = environment.rollout
    environment.rollout = lambda **options: shown.append(rollout(**options)) or shown[-1]
    hooks.run(step=5)
    [(name, video, step, options)] = ppo.logger.videos
    assert (name, step, options) == ("eval/deterministic/video", 5, {"fps": 7})
    size = (400, 600) if envs == 1 else (800, 1200)
    assert video.shape == (1, 41, 3, *size)
    assert video.dtype == torch.uint8
    done = shown[0]["next", "done"].reshape(envs, 40)
    assert done[:, :-1].any(), "an episode ended midway"
    # Each picture is that of its own state: CartPole draws the cart at its position.
    states = shown[0]["next", "observation"].reshape(envs, 40, 4)
    for number in range(envs):
        row, column = divmod(number, 2)
        for t in range(40):
            frame = video[0, t + 1, :, row * 400 :, column * 600 :][:, :400, :600].numpy()
            cart = np.flatnonzero((frame[:, 285:300] == 0).all(0).sum(0) > 10)
            middle = states[number, t, 0] * 600 / 4.8 + 300
            assert cart.mean() == pytest.approx(middle, abs=2), (number, t)
    hooks.close()
    assert hook.environment.is_closed


def test_pictures_that_are_none():
    class Dark(Played):
        def render(self, **options):
            return self.found.get("picture", None)

    rollout = batch((4,))
    dark = Dark(rollout)
    options = {
        "policy": None, "environment": dark, "group": "agents", "metric_subgroup": "s",
        "interval_frames": 1, "max_steps": 4, "deterministic": True, "render": True,
        "video_fps": 9, "reward_key": REWARD,
    }  # fmt: skip
    hook = h.LoggingEvaluationMetricsHook(**options)
    with pytest.raises(RuntimeError, match="rgb_array"):
        hook.run()
    hook.environment = Played(rollout)
    with pytest.raises(RuntimeError, match=r"Played has no render"):
        hook.run()
    dark.render = lambda **o: 1 / 0
    hook.environment = dark
    with pytest.raises(ZeroDivisionError):
        hook.run()


def test_keys_as_configurations_write_them():
    """Hydra and OmegaConf have no tuples."""
    hook = h.LoggingCollectionMetricsHook(
        reward_key=["next", "reward"], done_key=["next", "done"],
        episode_reward_key=["next", "episode_reward"],
    )  # fmt: skip
    assert len(hook(batch((4,)))) > 6
    hydra = pytest.importorskip("hydra.utils", reason="hydra is not installed")
    config = {
        "_target_": "openloop_cli.hooks.LoggingCollectionMetricsHook",
        "reward_key": ["next", "reward"],
    }
    assert hydra.instantiate(config).reward_key == REWARD


def test_states_are_plain_and_restore_all():
    ppo = PPO()

    def make(**options):
        evaluation = evaluations(ppo.policy, cartpole(), 400, non_deterministic=True)
        return hook_set(evaluation, **options)

    first, second = make(), make(reduce_stats=None)
    first.counters_hook.iteration = 7
    first.timers.total_time = 9.5
    first.eval_hook_set.hooks[1]._schedule.due(500)
    state = first.state_dict()
    assert pickle.loads(pickle.dumps(state)) == state  # our own, not a stranger's
    second.load_state_dict(state)
    assert second.state_dict() == state
    # One of the original, which has clock readings and no schedule, and its own names.
    old = {**state, "iteration_start": 1e6, "previous_iteration_end": 1e6}
    del old["evaluation"]
    make().load_state_dict(old)
