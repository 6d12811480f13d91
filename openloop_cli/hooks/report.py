"""A DreamerV3 checkpoint reported beside a TorchRL training, through the training's own logger.

`openloop watch --once` runs as a process of its own, at low priority: what it computes with never
meets torch. Its reports are logged when it has ended, at the checkpoint's step.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from tensordict import TensorDictBase
from torchrl.trainers import TrainerHookBase

from openloop_cli.errors import OpenloopError
from openloop_cli.hooks.logger import OpenloopLogger
from openloop_cli.hooks.trainers import LOG, Schedule, close_on_failure, is_last
from openloop_cli.loggers.report import report_metrics
from openloop_cli.loggers.values import Attachment, VideoFile
from openloop_cli.results.entries import part
from openloop_cli.results.metrics_file import read_metrics
from openloop_cli.text import message

_ENDING = ".metrics.json"


class OpenLoopReportHook(TrainerHookBase):
    """Reports the checkpoints of a run that are new, at `post_steps_log`; the last at `shutdown`.

    One report at a time: what comes due meanwhile begins when it has ended. One that fails is told,
    and training goes on. `OpenloopLogger` gets all of a report, TorchRL's own loggers its
    numbers.

    Args:
      run: The run's folder; its checkpoints may come and go.
      replay: Where its windows are taken from.
      interval_frames: Looks for checkpoints when a multiple is reached or passed, and at the end;
        zero and negative numbers are never.
      folder: Where reports are written, and windows are remembered.
      options: More of `openloop watch`, such as `["--length", "50"]`.
      logger: Where the trainer has none.
      patience: Seconds that the end of training waits for the last report.
    """

    def __init__(
        self,
        run: str | Path,
        replay: str | Path,
        interval_frames: int,
        *,
        folder: str | Path = "openloop-reports",
        options: Sequence[str] = (),
        logger: Any = None,
        patience: float = 600,
    ) -> None:
        self.run, self.replay, self.folder = Path(run), Path(replay), Path(folder)
        self.options = tuple(options)
        self.logger = logger
        self.patience = patience
        self._schedule = Schedule(interval_frames)
        self._trainer: Any = None
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None
        self._waiting = False
        self._logged: dict[str, int] = {}

    def __call__(self, batch: TensorDictBase | None = None) -> None:
        """Logs what has ended, begins what is due."""
        self._waiting |= self._schedule.due(self._trainer.collected_frames, is_last(self._trainer))
        self._collect()
        if self._waiting and self._process is None:
            self._begin()

    def finish(self) -> None:
        """Waits for the report that is under way and for the one that is still due; logs them."""
        while self._process is not None or self._waiting:
            if self._process is None:
                self._begin()
                continue
            try:
                self._process.wait(self.patience)
            except subprocess.TimeoutExpired:
                LOG.warning("report of %s: not done after %g s, left out", self.run, self.patience)
                self.close()
                return
            self._collect()

    def close(self) -> None:
        """Ends the report that is under way."""
        self._waiting = False
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._process = None

    def register(self, trainer: Any, name: str = "openloop_report") -> None:
        """Adds it to a trainer."""
        self._trainer = trainer
        trainer.register_op("setup", self._setup)
        trainer.register_op("post_steps_log", self)
        trainer.register_op("shutdown", self._end)
        trainer.register_module(name, self)
        close_on_failure(trainer, self.close)

    def _setup(self) -> None:
        self._schedule.begin(self._trainer.collected_frames)

    def _end(self) -> None:
        self._waiting |= self._schedule.due(self._trainer.collected_frames, ended=True)
        self.finish()

    def _begin(self) -> None:
        self._waiting = False
        command = [sys.executable, "-m", "openloop_cli", "watch", str(self.run), "--once"]
        command += ["--replay", str(self.replay), "--out-dir", str(self.folder), "--quiet"]
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  it is read when the process ended
        try:
            self._process = subprocess.Popen(
                [*command, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._words,
            )
        except OSError as error:
            LOG.warning("report of %s: cannot be started: %s", self.run, error)

    def _collect(self) -> None:
        if self._process is None or self._process.poll() is None:
            return
        if self._process.returncode:
            LOG.warning("report of %s: %s", self.run, self._why())
        self._process = None
        self._log_new()

    def _why(self) -> str:
        assert self._words is not None
        assert self._process is not None
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        # An error and its hint.
        return message("; ".join(lines[-2:]) or f"exit code {self._process.returncode}")

    def _log_new(self) -> None:
        found = []
        for path in self.folder.glob(f"*{_ENDING}"):
            try:
                tree = read_metrics(path)
            except OpenloopError as error:
                LOG.warning("report of %s: not logged: %s", self.run, error)
                continue
            step = part(tree, "checkpoint").get("step")
            if type(step) is int and self._logged.get(path.name) != step:
                found.append((step, path, tree))
        for step, path, tree in sorted(found, key=lambda x: x[0]):
            self._logged[path.name] = step
            try:
                self._log(tree, path, step)
            except OpenloopError as error:
                LOG.warning("report of %s: not logged: %s", self.run, error)

    def _log(self, tree: Mapping[str, Any], path: Path, step: int) -> None:
        logger = getattr(self._trainer, "logger", None)
        logger = self.logger if logger is None else logger
        repeat = part(tree, "config").get("action_repeat")
        repeat = repeat if type(repeat) is int else 1
        metrics = report_metrics(tree, path.parent, multiplier=repeat, tell=LOG.warning)
        if isinstance(logger, OpenloopLogger):
            logger.add({**metrics, "report/metrics": Attachment(path)}, step * repeat)
            logger.flush()
        elif logger is not None:
            for name, value in _numbers(metrics):
                logger.log_scalar(name, value, step=step * repeat)

    def state_dict(self) -> dict[str, Any]:
        """How far its schedule is, and which reports are logged."""
        return {"logged": dict(self._logged), **self._schedule.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on from there."""
        self._logged = dict(state_dict["logged"])
        self._schedule.load_state_dict(state_dict)


def _numbers(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in metrics.items():
        if not isinstance(value, (str, VideoFile, Attachment)) and np.ndim(value) == 0:
            yield name, float(value)
