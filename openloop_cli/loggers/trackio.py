"""`trackio:PROJECT[/RUN]`: trackio's local database. Steps may come in any order."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from openloop_cli.errors import NotInstalledError, OutputError
from openloop_cli.loggers.outputs import Tell
from openloop_cli.loggers.pictures import Pictures
from openloop_cli.loggers.values import Attachment, Entry, Kind, VideoFile, kind_of, rows
from openloop_cli.text import clean


class Trackio:
    """One run.

    Args:
      target: `PROJECT`, or `PROJECT/RUN` with a run's name; one that exists is resumed.
      tell: Takes a line for the person who watches.
      fps: Of videos that come as arrays.

    Raises:
      NotInstalledError: trackio is missing.
      OutputError: The run cannot be begun.
    """

    def __init__(self, target: str, tell: Tell, *, fps: float = 10) -> None:
        try:
            import trackio
        except ImportError:
            raise NotInstalledError("--log trackio", "trackio", "trackio") from None
        self._trackio: Any = trackio
        self._pictures = Pictures("trackio", tell, fps)
        project, _, run = target.partition("/")
        try:
            with redirect_stdout(sys.stderr):  # it greets on stdout
                self._run: Any = trackio.init(
                    project=project,
                    name=run or None,
                    resume="allow" if run else "never",
                    auto_log_gpu=False,
                )
        except (OSError, RuntimeError, ValueError) as error:
            raise OutputError(f"trackio cannot begin a run: {clean(error)}") from error
        # Or it would end the run once more when the process does, and say so on stdout.
        with suppress(AttributeError):
            trackio.context_vars.current_run.set(None)

    def write(self, entries: Sequence[Entry]) -> None:
        """Logs a row for each step."""
        for step, row in rows(entries):
            found = {name: self._value(name, value) for name, value in row.items()}
            kept = {name: value for name, value in found.items() if value is not None}
            if kept:
                self._run.log(kept, step=step)

    def close(self) -> None:
        """Ends the run."""
        with redirect_stdout(sys.stderr):
            self._run.finish()
        self._pictures.close()

    def _value(self, name: str, value: Any) -> Any:
        kind = kind_of(value)
        if kind is Kind.scalar:
            return float(value)
        if kind is Kind.text:
            return value
        if isinstance(value, VideoFile):
            return self._video(value.path)
        if kind is Kind.vector or isinstance(value, Attachment):
            return None
        frames = self._pictures.frames(name, value)
        if frames is None:
            return None
        if kind is Kind.image:
            return self._trackio.Image(frames)
        return self._video(self._pictures.mp4(frames))

    def _video(self, path: Path) -> Any:
        return self._trackio.Video(str(path), format=path.suffix[1:].lower())
