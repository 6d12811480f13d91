"""Our `Logger` as TorchRL's: a training logs to every output that `openloop_cli.loggers` has."""

import atexit
import json
import shutil
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchrl.record.loggers import Logger as TorchrlLogger

from openloop_cli.encode.video import write_mp4
from openloop_cli.errors import OutputError
from openloop_cli.hooks.rendering import tiled
from openloop_cli.hooks.tensors import to_numpy
from openloop_cli.loggers import Logger, Output, VideoFile


class OpenloopLogger(TorchrlLogger):
    """A TorchRL logger that writes to our outputs. Safe in threads.

    What is logged at one step is one row; it is written when the next step begins, by `flush`, and
    at the end. Videos are encoded as MP4 at once, by what every install of openloop has.

    Args:
      outputs: As `--log` names them (`jsonl:FOLDER`, `serve://HOST:PORT`), or objects with the
        methods of `Output`.
      exp_name: What TorchRL calls the experiment.
      log_dir: Where TorchRL's own parts, such as checkpoints, put theirs.
      video_fps: Of videos that are logged without `fps`.
      options: Of `Logger`, such as `keep` and `multiplier`.

    Attributes:
      experiment: Our `Logger`.

    Raises:
      OptionError: An output that is unknown or not installed.
      OutputError: An output that cannot be written.
    """

    def __init__(
        self,
        outputs: Iterable[str | Output],
        *,
        exp_name: str = "openloop",
        log_dir: str = ".",
        video_fps: float = 30,
        **options: Any,
    ) -> None:
        self._outputs, self._options = list(outputs), options
        self.video_fps = video_fps
        self._lock = threading.RLock()
        self._step = 0
        self._folder: Path | None = None
        self._videos = 0
        super().__init__(exp_name=exp_name, log_dir=log_dir)

    def _create_experiment(self) -> Logger:
        return Logger(self._outputs, step=lambda: self._step, **self._options)

    def log_scalar(self, name: str, value: Any, step: int | None = None, **options: Any) -> None:
        """Logs a number; a tensor of several is a vector.

        Raises:
          OutputError: A value that cannot be logged.
        """
        self.add({name: value}, step)

    def log_video(
        self,
        name: str,
        video: Tensor | np.ndarray[Any, Any],
        step: int | None = None,
        *,
        fps: float | None = None,
        **options: Any,
    ) -> None:
        """Logs a video.

        Args:
          video: uint8 ([N,] T, C, H, W) with 1, 3 or 4 channels; N videos are one, side by side.
          fps: Frames per second.

        Raises:
          OutputError: Another shape or type, or it cannot be written.
        """
        path = self._video_path()
        write_mp4(path, _frames(name, video), fps or self.video_fps)
        self.add({name: VideoFile(path)}, step)

    def log_hparams(self, cfg: Any) -> None:
        """Logs settings, a dict or OmegaConf's, as the text `hparams`, JSON."""
        if not isinstance(cfg, Mapping):
            from omegaconf import OmegaConf

            cfg = OmegaConf.to_container(cfg, resolve=True)
        self.add({"hparams": json.dumps(cfg, indent=2, default=str)})

    def log_histogram(
        self, name: str, data: Sequence[Any], step: int | None = None, **_: Any
    ) -> None:
        """Logs values, of which outputs make histograms, as a vector."""
        self.add({name: np.ravel(to_numpy(data))}, step)

    def log_str(self, name: str, value: str, step: int | None = None, **options: Any) -> None:
        """Logs a text."""
        self.add({name: str(value)}, step)

    def add(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Logs all that `Logger.add` takes, and tensors.

        Args:
          step: None is that of what was logged last.

        Raises:
          OutputError: A name or a value that cannot be logged.
        """
        found = {
            name: to_numpy(value) if isinstance(value, torch.Tensor) else value
            for name, value in metrics.items()
        }
        with self._lock:
            if step is not None and step != self._step:
                self.experiment.write()
                self._step = int(step)
            self.experiment.add(found)

    def flush(self, timeout: float | None = None) -> None:
        """Hands what was logged to the outputs, as a row of its own."""
        with self._lock:
            self.experiment.write()

    def close(self, timeout: float | None = None) -> None:
        """Writes what is left and waits until it is there.

        Raises:
          OutputError: Which outputs failed, and of each how first.
        """
        self._service_shutdown = True
        try:
            self.experiment.close()
        finally:
            folder, self._folder = self._folder, None
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    shutdown = close

    def _video_path(self) -> Path:
        with self._lock:
            if self._folder is None:
                # Outputs read it until the end, in their own threads.
                self._folder = Path(tempfile.mkdtemp(prefix="openloop-videos-"))
                atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
            self._videos += 1
            return self._folder / f"{self._videos}.mp4"

    def __repr__(self) -> str:
        return f"OpenloopLogger({', '.join(map(str, self._outputs))})"


def _frames(name: str, video: Any) -> np.ndarray[Any, Any]:
    """A video as (T, H, W, 3)."""
    found = to_numpy(video)
    found = found[None] if found.ndim == 4 else found
    if found.ndim != 5 or found.dtype != np.uint8 or found.shape[2] not in (1, 3, 4):
        raise OutputError(
            f"{name}: a video of {found.dtype} {tuple(video.shape)}",
            hint="uint8, ([N,] T, C, H, W), with 1, 3 or 4 channels",
        )
    found = found.transpose(1, 0, 3, 4, 2)[..., :3]
    found = np.broadcast_to(found, (*found.shape[:-1], 3))
    return np.stack([tiled(list(frame)) for frame in found])
