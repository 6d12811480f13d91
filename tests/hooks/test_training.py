"""The whole set in a real PPO on CartPole, against an independent calculation."""

import time

import numpy as np
import pytest

pytest.importorskip("torchrl", reason="the extra `torchrl` is not installed")

import torch

from tests.hooks.training import PPO, cartpole, evaluations, hook_set

STATS = (("min", np.min), ("mean", np.mean), ("max", np.max))


def expected(batch, losses, frames, number):
    """What an iteration is to log, by plain NumPy from what the trainer had in hand."""
    reward, done = (batch["next", x].numpy().reshape(-1) for x in ("reward", "done"))
    found = {
        "counters/current_frames": len(reward),
        "counters/total_frames": frames,
        "counters/iter": number,
        "collection/done_rate": done.mean(),
    }
    returns = batch["next", "episode_reward"].numpy().reshape(-1)[done]
    for prefix in ("collection/", "collection/agents/"):
        for stat, of in STATS:
            found[f"{prefix}reward/reward_{stat}"] = of(reward)
            if len(returns):
                found[f"{prefix}reward/episode_reward_{stat}"] = of(returns)
    found |= {f"train/agents/{name}": x.numpy().mean() for name, x in losses.items()}
    return found


@pytest.mark.parametrize("envs", [1, 3])
def test_every_metric_of_a_real_training(envs):
    ppo = PPO(envs, batch=150 * envs, total=600 * envs)
    evaluation = evaluations(ppo.policy, cartpole(envs), 400 * envs, non_deterministic=True)
    hooks = hook_set(evaluation)
    hooks.register(ppo.trainer)
    ppo.trainer.train()
    hooks.close()
    found = ppo.logger.by_name()
    for number, (batch, losses) in enumerate(zip(ppo.batches, ppo.losses, strict=True), 1):
        frames = sum(x.numel() for x in ppo.batches[:number])
        for name, value in expected(batch, losses, frames, number).items():
            logged = [x for step, x in found[name] if step == frames]
            assert logged == [pytest.approx(value, rel=1e-5)], (name, frames)
    timers = {x: dict(found[f"timers/{x}_time"]) for x in
              ("collection", "training", "iteration", "total")}  # fmt: skip
    total = 0.0
    for step, collection in timers["collection"].items():
        total += collection + timers["training"][step]
        assert timers["iteration"][step] == pytest.approx(collection + timers["training"][step])
        assert timers["total"][step] == pytest.approx(total)
    assert timers["collection"][150 * envs] == 0
    # Once where 400 was passed, once at the end.
    for sub in ("deterministic", "non_deterministic"):
        names = [f"eval/{sub}/{x}reward/episode_reward_{stat}" for x in ("", "agents/")
                 for stat, _ in STATS]  # fmt: skip
        names += [f"eval/{sub}/reward/episode_len_mean", f"timers/eval/{sub}/evaluation_time"]
        for name in names:
            assert [step for step, _ in found[name]] == [450 * envs, 600 * envs], name
    # CartPole's reward is 1: a return is a length, and no mean of anything else.
    returns = found["eval/deterministic/reward/episode_reward_mean"]
    assert returns == found["eval/deterministic/reward/episode_len_mean"]
    assert set(found) - {"optim_steps"} - set(ppo.losses[0]) == {
        *expected(ppo.batches[0], ppo.losses[0], 0, 0),
        *(f"collection/{x}reward/episode_reward_{s}" for x in ("", "agents/") for s, _ in STATS),
        *(f"timers/{x}_time" for x in timers),
        *(x for x in found if x.startswith(("eval/", "timers/eval/"))),
    }
    # The trainer logs losses itself, but no vectors; we log the mean of those too.
    assert {x for x in ppo.losses[0] if x in found} == {
        name for name, x in ppo.losses[0].items() if not x.ndim
    }
    assert len([x for x in found if x.startswith(("eval/", "timers/eval/"))]) == 2 * 8


def test_evaluation_is_in_its_own_timer_alone():
    """Also where it is registered by itself, and before the set."""
    for alone in (False, True):
        ppo = PPO()
        environment = cartpole()
        rollout = environment.rollout

        def slow(rollout=rollout, **options):
            time.sleep(0.1)
            return rollout(**options)

        environment.rollout = slow
        evaluation = evaluations(ppo.policy, environment, 150)
        if alone:
            evaluation.register(ppo.trainer)
        hook_set(None if alone else evaluation).register(ppo.trainer)
        begin = time.perf_counter()
        ppo.trainer.train()
        passed = time.perf_counter() - begin
        found = ppo.logger.by_name()
        evaluated = sum(x for _, x in found["timers/eval/deterministic/evaluation_time"])
        assert evaluated > 4 * 0.1
        assert found["timers/total_time"][-1][1] + evaluated < passed
        assert set(ppo.logger.by_name()["timers/collection_time"][0]) == {150, 0.0}


def test_a_random_state_and_modes_stay_as_they_were():
    """Training with evaluation sees the very batches of one without."""
    seen = []
    for interval in (-1, 150):
        ppo = PPO()
        environment = cartpole()
        environment.set_seed(1)
        modes = []

        def rollout(rollout=environment.rollout, modes=modes, **options):
            modes.append([x.training for x in options["policy"].modules()])
            np.random.rand()
            return rollout(**options)

        environment.rollout = rollout
        ppo.policy.train()
        ppo.policy.module[0].module[0].eval()  # one of its own
        before = [x.training for x in ppo.policy.modules()]
        hook_set(evaluations(ppo.policy, environment, interval, non_deterministic=True)).register(
            ppo.trainer
        )
        np.random.seed(0)
        ppo.trainer.train()
        assert [x.training for x in ppo.policy.modules()] == before
        assert not any(any(x) for x in modes)
        assert len(modes) == (0 if interval < 0 else 8)
        seen.append((torch.cat([x["observation"] for x in ppo.batches]), np.random.rand()))
    assert torch.equal(seen[0][0], seen[1][0])
    assert seen[0][1] == seen[1][1]


def test_metrics_pass_the_log_interval_but_only_those_of_evaluation():
    """TorchRL's default of 10,000 frames shows nothing else of a short run."""
    ppo = PPO(log_interval=10_000)
    hook_set(evaluations(ppo.policy, cartpole(), 400)).register(ppo.trainer)
    ppo.trainer.train()
    names = [name for name, _, _ in ppo.logger.scalars]
    assert all(x.startswith(("eval/", "timers/eval/")) for x in names)
    assert len(names) == 2 * 8
    # And the trainer's own history has them, which its EarlyStopping reads.
    assert len(ppo.trainer._log_dict["eval/deterministic/reward/episode_reward_mean"]) == 2


def test_no_name_comes_twice_even_where_the_trainer_logs_all():
    ppo = PPO(log_interval=-1)
    hook_set(evaluations(ppo.policy, cartpole(), 150)).register(ppo.trainer)
    ppo.trainer.train()
    keys = [(name, step) for name, _, step in ppo.logger.scalars]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_a_training_that_raises_closes_logger_and_environment(kind):
    ppo = PPO()
    environment = cartpole()
    hook_set(evaluations(ppo.policy, environment, 150)).register(ppo.trainer)

    def fail(batch):
        if ppo.trainer.collected_frames == 300:
            raise kind("here")

    ppo.trainer.register_op("post_steps_log", fail)
    with pytest.raises(kind, match="here"):
        ppo.trainer.train()
    assert ppo.logger.closed
    assert environment.is_closed


def test_an_end_before_the_last_frame_is_evaluated_too():
    """By `request_stop`, and where collection just ends."""
    for stopped in (True, False):
        ppo = PPO(total=600)
        ppo.trainer.total_frames = 10_000
        hook_set(evaluations(ppo.policy, cartpole(), 400)).register(ppo.trainer)
        if stopped:
            ppo.trainer.register_op(
                "post_steps", lambda t=ppo.trainer: t.collected_frames == 150 and t.request_stop()
            )
        ppo.trainer.train()
        steps = [x for x, _ in ppo.logger.by_name()["timers/eval/deterministic/evaluation_time"]]
        assert steps == ([150] if stopped else [450, 600])


def test_before_training():
    """At step 0, by itself, and without a trainer to the hook's own logger."""
    ppo = PPO()
    hooks = hook_set(evaluations(ppo.policy, cartpole(), 400, logger=ppo.logger))
    metrics = hooks.run_pre_eval()
    assert {(name, step) for name, _, step in ppo.logger.scalars} == {(x, 0) for x in metrics}
    assert len(metrics) == 8
    assert hook_set().run_pre_eval() == {}
    hooks.close()
    assert hooks.eval_hook_set.hooks[0].environment.is_closed
