"""`wandb:PROJECT[/RUN]`: Weights & Biases, offline unless WANDB_MODE says otherwise.

All entries of one step that come together are one row on an axis of our own, `openloop/step`: W&B
drops rows for steps before its own counter, which a run that has been trained is far beyond. RUN is
a run's id: one that exists is resumed, so that videos land beside its training curves. A page is
attached as HTML.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from openloop_cli.errors import NotInstalledError, OutputError
from openloop_cli.loggers.outputs import Tell
from openloop_cli.loggers.pictures import Pictures
from openloop_cli.loggers.values import Attachment, Entry, Kind, VideoFile, kind_of, rows
from openloop_cli.text import clean

AXIS = "openloop/step"

_PATIENCE = 30
"""Seconds until a server that does not answer is told."""


class Wandb:
    """One run.

    Args:
      target: `PROJECT`, or `PROJECT/RUN` with the id of a run.
      tell: Takes a line for the person who watches.
      fps: Of videos that come as arrays.

    Raises:
      NotInstalledError: wandb is missing.
      OutputError: The run cannot be begun.
    """

    def __init__(self, target: str, tell: Tell, *, fps: float = 10) -> None:
        try:
            import wandb
        except ImportError:
            raise NotInstalledError("--log wandb", "wandb", "wandb") from None
        self._wandb: Any = wandb
        self._pictures = Pictures("W&B", tell, fps)
        project, _, run = target.partition("/")
        try:
            self._run = wandb.init(
                project=project,
                id=run or None,
                resume="allow" if run else None,
                mode=os.environ.get("WANDB_MODE", "offline"),
                settings=wandb.Settings(silent=True, console="off", init_timeout=_PATIENCE),
            )
        except (wandb.errors.Error, OSError, ValueError) as error:
            raise OutputError(f"W&B cannot begin a run: {clean(error)}") from error
        self._run.define_metric(AXIS, hidden=True)
        self._run.define_metric("*", step_metric=AXIS)

    def write(self, entries: Sequence[Entry]) -> None:
        """Logs a row for each step."""
        for step, row in rows(entries):
            found = {name: self._value(name, value) for name, value in row.items()}
            kept = {name: value for name, value in found.items() if value is not None}
            if kept:
                self._run.log({AXIS: step, **kept})

    def close(self) -> None:
        """Ends the run."""
        self._run.finish()
        self._pictures.close()

    def _value(self, name: str, value: Any) -> Any:
        kind = kind_of(value)
        if kind is Kind.scalar:
            return float(value)
        if kind is Kind.text:
            return value
        if kind is Kind.vector:
            finite = value[np.isfinite(value)].astype(np.float64)
            return self._wandb.Histogram(finite) if finite.size else None
        if isinstance(value, Attachment):
            html = value.path.suffix.lower() == ".html"
            return self._wandb.Html(str(value.path)) if html else None
        if isinstance(value, VideoFile):
            return self._video(value.path)
        frames = self._pictures.frames(name, value)
        if frames is None:
            return None
        if kind is Kind.image:
            return self._wandb.Image(frames)
        return self._video(self._pictures.mp4(frames))

    def _video(self, path: Path) -> Any:
        return self._wandb.Video(str(path), format=path.suffix[1:].lower())
