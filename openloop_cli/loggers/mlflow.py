"""`mlflow:URI`: an MLflow tracking server or database, such as `mlflow:sqlite:///m.db`.

Scalars are metrics, in any order of steps; videos, images, texts, pages and metrics.json files are
artifacts under the metric's name. MLFLOW_EXPERIMENT_NAME names the experiment (`openloop` else),
MLFLOW_RUN_ID a run to go on with.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openloop_cli.encode.still import png_bytes
from openloop_cli.errors import NotInstalledError, OutputError
from openloop_cli.loggers.outputs import Tell
from openloop_cli.loggers.pictures import Pictures
from openloop_cli.loggers.values import Attachment, Entry, Kind, VideoFile, kind_of
from openloop_cli.text import clean

_MOST = 1000  # metrics of one request, MLflow's own bound


@contextmanager
def _impatient() -> Iterator[None]:
    """A server that is not there is told soon: MLflow would ask it again for minutes."""
    wanted = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
    ours = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


class Mlflow:
    """One run.

    Args:
      target: The tracking URI.
      tell: Takes a line for the person who watches.
      fps: Of videos that come as arrays.

    Raises:
      NotInstalledError: mlflow is missing.
      OutputError: The run cannot be begun.
    """

    def __init__(self, target: str, tell: Tell, *, fps: float = 10) -> None:
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError:
            raise NotInstalledError("--log mlflow", "mlflow", "mlflow") from None
        self._pictures = Pictures("MLflow", tell, fps)
        try:
            with _impatient():
                self._client: Any = MlflowClient(target)
                self._run = os.environ.get("MLFLOW_RUN_ID") or self._begin()
                self._client.get_run(self._run)
        except (MlflowException, OSError) as error:
            raise OutputError(f"--log mlflow:{target}: {clean(error)}") from error

    def _begin(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "openloop")
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        return str(self._client.create_run(experiment).info.run_id)

    def write(self, entries: Sequence[Entry]) -> None:
        """Logs the scalars together, then each artifact."""
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        scalars = [
            Metric(_name(name), float(value), now, step)
            for step, name, value in entries
            if kind_of(value) is Kind.scalar
        ]
        for start in range(0, len(scalars), _MOST):
            self._client.log_batch(self._run, metrics=scalars[start : start + _MOST])
        with tempfile.TemporaryDirectory() as folder:
            for step, name, value in entries:
                if path := self._artifact(Path(folder), step, name, value):
                    self._client.log_artifact(self._run, str(path), _name(name))

    def close(self) -> None:
        """Ends the run."""
        self._client.set_terminated(self._run)
        self._pictures.close()

    def _artifact(self, folder: Path, step: int, name: str, value: Any) -> Path | None:
        """A file for what is no number, named by its step."""
        kind = kind_of(value)
        if kind in (Kind.scalar, Kind.vector):
            return None
        stem = folder / f"{step:012d}"
        if isinstance(value, (VideoFile, Attachment)):
            path = stem.with_suffix(value.path.suffix)
            path.write_bytes(value.path.read_bytes())
            return path
        if isinstance(value, str):
            (path := stem.with_suffix(".txt")).write_text(value)
            return path
        frames = self._pictures.frames(name, value)
        if frames is None:
            return None
        if kind is Kind.image:
            (path := stem.with_suffix(".png")).write_bytes(png_bytes(frames))
            return path
        return self._pictures.mp4(frames).rename(stem.with_suffix(".mp4"))


def _name(name: str) -> str:
    """With the characters that MLflow takes."""
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII).strip("/ ") or "_"
