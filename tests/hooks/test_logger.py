"""`OpenloopLogger`: a TorchRL training in our outputs, read back; a report beside it."""

import json
import logging
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torchrl", reason="the extra `torchrl` is not installed")

import torch

from openloop_cli.errors import OutputError
from openloop_cli.hooks import OpenloopLogger, OpenLoopReportHook, to_numpy
from openloop_cli.loggers import FPS, Agg, Clock, VideoFile
from tests.conftest import ROOT
from tests.hooks.training import PPO, Recorder, cartpole, evaluations, hook_set
from tests.serve.harness import serving
from tests.videos import decoded

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Memory:
    """An output that keeps what it gets, and each video's frames."""

    def __init__(self):
        self.writes, self.videos = [], {}

    def write(self, entries):
        self.writes.append(list(entries))
        for _, name, value in entries:
            if isinstance(value, VideoFile):
                self.videos[name] = decoded(value.path)

    def close(self):
        self.closed = True


def lines(folder):
    return [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_training_in_our_outputs(tmp_path):
    """One row for each iteration, in files and at a server; the video is whole."""
    pytest.importorskip("msgpack", reason="the extra `serve` is not installed")
    memory = Memory()
    with serving(tmp_path / "server") as running:
        host, port = running.address
        outputs = [f"jsonl:{tmp_path}", f"serve://{host}:{port}", memory]
        logger = OpenloopLogger(outputs, video_fps=5)
        ppo = PPO(logger=logger)
        hooks = hook_set(evaluations(ppo.policy, cartpole(render=True), 400, render=True))
        hooks.register(ppo.trainer)
        hooks.run_pre_eval()
        ppo.trainer.train()
        logger.close()
        hooks.close()
        running.flush()
        served = running.values("counters/iter")
    rows = lines(tmp_path)
    assert [x["step"] for x in rows] == [0, 150, 300, 450, 600]
    assert [x.get("counters/iter") for x in rows] == [None, 1, 2, 3, 4]
    assert ["eval/deterministic/reward/episode_len_mean" in x for x in rows] == [1, 0, 0, 1, 1]
    assert all(len(x) > 30 for x in rows[1:])
    assert [(step, float(x)) for step, x in served] == [(150, 1), (300, 2), (450, 3), (600, 4)]
    assert memory.closed
    meta, frames = memory.videos["eval/deterministic/video"]
    assert len(frames) == 41
    assert meta["fps"] == 30


def test_all_that_torchrl_logs():
    memory = Memory()
    logger = OpenloopLogger([memory], keep="^(?!hidden)")
    video = torch.zeros(2, 3, 1, 8, 8, dtype=torch.uint8, device=DEVICE)
    video[1] = 255
    logger.log_scalar("a", torch.tensor(1.5, device=DEVICE, requires_grad=True), step=3)
    logger.log_scalar("half", torch.tensor([0.5], dtype=torch.bfloat16), step=3)
    logger.log_scalar("hidden", 1.0, step=3)
    logger.log_histogram("h", torch.arange(6, device=DEVICE).reshape(2, 3), step=3, bins="auto")
    logger.log_metrics({"b": torch.tensor(2), "c": 3, "v": torch.tensor([1.0, 2.0])}, step=3)
    logger.log_video("clip", video, step=4, fps=7)
    logger.log_str("words", "so", step=4)
    logger.log_hparams({"lr": 1e-3, "net": {"sizes": [64, 64]}})
    folder = logger._folder
    assert folder.is_dir()
    logger.flush()
    logger.close()
    logger.close()
    assert not folder.exists()
    first, second = memory.writes
    assert {step for step, _, _ in first} == {3}
    found = {name: np.asarray(x).tolist() for _, name, x in first}
    assert found == {
        "a": 1.5, "half": [0.5], "h": [0, 1, 2, 3, 4, 5], "b": 2, "c": 3, "v": [1.0, 2.0]
    }  # fmt: skip
    assert [(step, name) for step, name, _ in second] == [(4, "clip"), (4, "words"), (4, "hparams")]
    assert json.loads(second[2][2]) == {"lr": 1e-3, "net": {"sizes": [64, 64]}}
    meta, frames = memory.videos["clip"]
    assert (frames.shape, meta["fps"]) == ((3, 8, 16, 3), 7)
    assert frames[:, :, :8].max() < 5
    assert frames[:, :, 8:].min() > 250
    with pytest.raises(OutputError, match=r"clip: a video of float32 \(3, 8, 8\)"):
        logger.log_video("clip", torch.zeros(3, 8, 8))


def test_our_aggregates_rates_and_clocks_in_a_training(tmp_path):
    logger = OpenloopLogger([f"jsonl:{tmp_path}"])
    ppo = PPO(logger=logger)
    agg, clock, now = Agg(), Clock(10, clock=lambda: now[0]), [0.0]
    fps = FPS(clock=lambda: now[0])

    def log(batch):
        now[0] += 6
        fps.step(batch.numel())
        agg.add("speed", to_numpy(batch["observation"][..., 1].abs().max()), agg=("max", "mean"))
        return {**agg.result(prefix="mine"), "fps": fps.result()} if clock() else {}

    ppo.trainer.register_op("post_steps_log", log)
    ppo.trainer.train()
    logger.close()
    speeds = [float(x["observation"][..., 1].abs().max()) for x in ppo.batches]
    found = [x for x in lines(tmp_path) if "fps" in x]
    assert [(x["step"], x["fps"]) for x in found] == [(450, 25.0)]
    assert found[0]["mine/speed/max"] == pytest.approx(max(speeds[:3]))
    assert found[0]["mine/speed/mean"] == pytest.approx(np.mean(speeds[:3]))


def test_the_python_of_the_docs_runs(tmp_path, monkeypatch):
    """In a trainer of ours, with fewer steps and without TensorBoard."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "torchrl.md").read_text()
    hooks, own, report = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    ppo = PPO()

    def trainer(*arguments, logger, log_interval):
        ppo.trainer.logger, ppo.trainer._log_interval = logger, log_interval
        return ppo.trainer

    names = {
        "Trainer": trainer, "policy": ppo.policy, "make_env": lambda: cartpole(render=True),
        "trainer": ppo.trainer, "Agg": Agg, "FPS": FPS, "Clock": Clock, "to_numpy": to_numpy,
    }  # fmt: skip
    exec(own.replace("Clock(60)", "Clock(-1)"), names)  # our own text, not a stranger's
    stages = []
    none = SimpleNamespace(
        register_op=lambda stage, op: stages.append(stage), register_module=lambda *a: None
    )
    exec(report, {"trainer": none})  # there is no such run
    assert "post_steps_log" in stages
    hooks = hooks.replace("max_steps=500", "max_steps=9").replace(', "tensorboard:logs"', "")
    exec(hooks, names)
    names["logger"].close()
    found = lines(tmp_path / "logs")
    assert [x["step"] for x in found] == [0, 150, 300, 450, 600]
    assert "eval/deterministic/reward/episode_len_mean" in found[0]
    assert {"counters/iter", "speed/max", "fps"} <= set(found[-1])


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A training beside which two checkpoints are reported, the second a copy that came later."""
    top = tmp_path_factory.mktemp("reports")
    run = top / "run"
    shutil.copytree(ROOT / "sample_data" / "dmc_cheetah_run", run)
    memory = Memory()
    logger = OpenloopLogger([memory])
    ppo = PPO(logger=logger)
    options = ["--length", "6", "--num-windows", "1", "--no-report", "--keys", "image"]
    hook = OpenLoopReportHook(run, run, 400, folder=top / "reports", options=options)
    hook.register(ppo.trainer)
    ppo.trainer.train()
    logger.close()
    return hook, memory, top


def test_a_report_beside_a_training(reported):
    _, memory, top = reported
    entries = [x for write in memory.writes for x in write]
    found = [(step, value) for step, name, value in entries if name == "report/psnr/imagined/image"]
    trees = [json.loads(x.read_text()) for x in (top / "reports").glob("*.metrics.json")]
    trees.sort(key=lambda x: x["checkpoint"]["step"])
    # Those of sample_data, each once, at the step of the checkpoint.
    assert len(trees) == 2
    assert found == [
        (
            x["checkpoint"]["step"] * x["config"]["action_repeat"],
            x["headline"]["image"]["imagined"],
        )
        for x in trees
    ]
    assert any(name.startswith("report/openloop/") for name in memory.videos)


def test_reports_that_are_logged_are_not_again(reported, caplog):
    """A restored training knows them; TorchRL's own loggers get the numbers."""
    hook, _, _ = reported
    again = OpenLoopReportHook(hook.run, hook.replay, 400, folder=hook.folder, logger=Recorder())
    again._log_new()
    assert {name: x for name, x, _ in again.logger.scalars}["report/psnr/imagined/image"] > 0
    restored = OpenLoopReportHook(hook.run, hook.replay, 400, folder=hook.folder, logger=Recorder())
    restored.load_state_dict(hook.state_dict())
    restored._log_new()
    assert restored.logger.scalars == []


def test_a_report_that_fails_is_told(tmp_path, caplog):
    """And training goes on; one that raises ends it."""
    ppo = PPO()
    hook = OpenLoopReportHook(tmp_path / "none", tmp_path, 400, folder=tmp_path / "reports")
    hook.register(ppo.trainer)
    with caplog.at_level(logging.WARNING):
        ppo.trainer.train()
    assert "no such folder" in caplog.text
    assert hook._process is None
    hook._begin()
    process = hook._process
    hook.close()
    assert process.returncode is not None
