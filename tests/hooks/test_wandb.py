"""W&B offline, read back: one row for each iteration; a training that goes on in another process;
errors of W&B that are told."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("torchrl", reason="the extra `torchrl` is not installed")

import torch

from openloop_cli.hooks import WandbFinishHook, WandbFlushHook
from tests.conftest import ROOT
from tests.hooks.training import PPO, cartpole, evaluations, hook_set
from tests.loggers.test_trackers import records


def train(folder, total, logger=None, keep=True):
    """PPO until so many frames, from its checkpoint if there is one."""
    file = folder / "trainer.pt"
    saved = {"save_trainer_file": str(file)} if keep else {}
    ppo = PPO(total=total, logger=logger, log_interval=0, **saved)
    ppo.hooks = hook_set(evaluations(ppo.policy, cartpole(), 400, non_deterministic=True))
    ppo.hooks.register(ppo.trainer)
    WandbFlushHook().register(ppo.trainer)
    WandbFinishHook().register(ppo.trainer)
    if keep and file.exists():
        ppo.trainer.load_from_file(str(file))
    ppo.trainer.train()
    return ppo


def train_with_wandb(folder, total):
    from torchrl.record.loggers.wandb import WandbLogger

    logger = WandbLogger(
        "test", offline=True, project="p", id="one", save_dir=str(folder), log_env_packages=False
    )
    return train(folder, total, logger)


def rows(folder):
    """What each row of the newest run's history holds, without what W&B adds by itself."""
    [file] = (folder / "wandb").glob("offline-run-*/*.wandb")
    found = []
    for record in records(file):
        if record.WhichOneof("record_type") == "history":
            keys = {x.key or "/".join(x.nested_key): x.value_json for x in record.history.item}
            found.append({k: v for k, v in keys.items() if not k.startswith("_")})
    return found


def test_a_training_goes_on_in_another_process(tmp_path):
    """Counters, timers, schedule and W&B's rows as if it had never stopped."""
    pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    code = "import sys, pathlib; from tests.hooks.test_wandb import train_with_wandb as t;"
    code += "print(t(pathlib.Path(sys.argv[1]), 450).hooks.timers.total_time)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    before = float(done.stdout.split()[-1])
    first = rows(tmp_path)
    (tmp_path / "wandb").rename(tmp_path / "earlier")
    ppo = train_with_wandb(tmp_path, 900)
    second = rows(tmp_path)
    assert [len(x) for x in (first, second)] == [3, 3]
    assert all(len(row) > 30 for row in first + second)
    both = first + second
    assert [float(x["counters/iter"]) for x in both] == [1, 2, 3, 4, 5, 6]
    assert [float(x["counters/total_frames"]) for x in both] == [150, 300, 450, 600, 750, 900]
    assert [float(x["counters/step"]) for x in both] == [150, 300, 450, 600, 750, 900]
    # 400 was passed at 450, where it also ended; 800 at 900. Not at 600.
    evaluated = ["eval/deterministic/reward/episode_len_mean" in x for x in both]
    assert evaluated == [False, False, True, False, False, True]
    times = [float(x["timers/total_time"]) for x in both]
    assert times == sorted(times)
    assert times[2] == pytest.approx(before, abs=1e-3)
    assert all(0 < float(x["timers/iteration_time"]) < 60 for x in both)
    assert float(both[3]["timers/collection_time"]) > 0
    assert ppo.hooks.counters_hook.total_frames == ppo.trainer.collected_frames == 900
    # The same as one that was never saved.
    whole = train(tmp_path, 900, keep=False).logger.by_name()
    assert [x for x, _ in whole["eval/non_deterministic/reward/episode_len_mean"]] == [450, 900]


class Run:
    """A W&B run that refuses."""

    def log(self, *arguments, **options):
        raise OSError("no such place")


class Quiet:
    """What `WandbFlushHook` looks at, of a logger that makes rows by itself."""

    def __init__(self):
        self.rows, self._step_registry = [], {}
        self.experiment = SimpleNamespace(log=lambda *a, **o: self.rows.append((a, o)))


def flush_hook(logger, enabled=True):
    ops = []
    trainer = SimpleNamespace(
        logger=logger,
        register_op=lambda stage, op: ops.append((stage, op)),
        register_module=lambda name, module: ops.append((name, module)),
    )
    hook = WandbFlushHook(enabled)
    hook.register(trainer)
    return hook, ops


def test_a_row_is_closed_once_and_never_empty():
    logger = Quiet()
    hook, ops = flush_hook(logger)
    assert [x for x, _ in ops] == ["wandb_flush", "setup", "post_steps_log", "shutdown"]
    hook(None)
    assert logger.rows == []
    logger._step_registry["a/step"] = 1
    hook(None)
    hook(None)
    assert logger.rows == [(({},), {"commit": True})]
    again, _ = flush_hook(logger)
    again.load_state_dict(hook.state_dict())
    again(None)
    assert len(logger.rows) == 1
    assert hook.state_dict() == {"enabled": True, "last_flushed_steps": [("a/step", 1)]}


def test_disabled_and_other_loggers_are_left_alone():
    logger = Quiet()
    hook, ops = flush_hook(logger, enabled=False)
    assert [x for x, _ in ops] == ["wandb_flush"]
    logger._step_registry["a/step"] = 1
    hook(None)
    assert logger.rows == []
    for other in (None, PPO().logger):
        hook, _ = flush_hook(other)
        hook(None)


def test_errors_of_wandb_are_told(monkeypatch, caplog):
    """Fault 10: neither swallowed nor the end of a training."""
    logger = Quiet()
    logger.experiment = Run()
    hook, _ = flush_hook(logger)
    logger._step_registry["a/step"] = 1
    hook(None)
    assert "a row was not closed: no such place" in caplog.text

    def finish(**options):
        raise OSError("no disk left")

    fake = SimpleNamespace(run=object(), finish=finish)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    WandbFinishHook()()
    assert "the run was not ended: no disk left" in caplog.text


@pytest.mark.parametrize("fails", [False, True])
def test_the_run_is_ended_when_training_raised_too(fails, monkeypatch):
    ended = []
    fake = SimpleNamespace(run=object(), finish=lambda **options: ended.append(options))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    ppo = PPO(total=150)
    WandbFinishHook().register(ppo.trainer)
    WandbFinishHook(enabled=False).register(ppo.trainer, "other")
    if fails:
        ppo.trainer.register_op("post_steps", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ppo.trainer.train()
    else:
        ppo.trainer.train()
    assert ended == ([{"exit_code": 1}] if fails else [{}])
    fake.run = None
    WandbFinishHook()()
    assert len(ended) == 1


def test_the_state_is_one_that_torch_loads_without_trust(tmp_path):
    ppo = train(tmp_path, 150)
    state = torch.load(tmp_path / "trainer.pt", weights_only=True)
    assert state["logging_hooks"] == ppo.hooks.state_dict()
    assert state["wandb_finish"] == {"enabled": True}
