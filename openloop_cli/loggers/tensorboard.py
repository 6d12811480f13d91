"""Event files for TensorBoard, through tensorboardX: no TensorFlow, moviepy or system ffmpeg.

Scalars, texts, images; vectors as histograms; videos as GIF, which TensorBoard plays where it shows
images. The events are written in the logger's own thread: tensorboardX's asynchronous writer waits
for ever once its thread has died of a full disk.
"""

import errno
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.encode.animation import MOST_FPS, write_gif
from openloop_cli.encode.still import png_bytes
from openloop_cli.encode.video import gif_bytes
from openloop_cli.errors import NotInstalledError, OutputError
from openloop_cli.loggers.outputs import Tell
from openloop_cli.loggers.pictures import Pictures
from openloop_cli.loggers.values import Entry, Kind, VideoFile, kind_of, rows
from openloop_cli.storage.atomic import unwritable


class TensorBoard:
    """One event file in a folder.

    Args:
      folder: The run's.
      tell: Takes a line for the person who watches.
      fps: Of videos that come as arrays.

    Raises:
      NotInstalledError: tensorboardX is missing.
      OutputError: The folder cannot be written.
    """

    def __init__(self, folder: Path, tell: Tell, *, fps: float = 15) -> None:
        if find_spec("tensorboardX") is None:
            raise NotInstalledError("--log tensorboard", "tensorboardX", "tensorboard")
        self._pictures = Pictures("TensorBoard", tell, fps)
        self._fps = fps
        self._folder = folder
        self._writer: Any = None
        self._expected: dict[Path, Future[bytes]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="GIF for TensorBoard")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise unwritable(error, folder) from error
        # It takes longer than writing a report: beside the rollout, say, it costs less.
        threading.Thread(target=_import, name="import tensorboardX", daemon=True).start()

    def expect(self, video: Path) -> None:
        """Makes the GIF of a video that is going to be written, beside whatever comes between."""
        self._expected[video] = self._pool.submit(_gif_of, video)

    def write(self, entries: Sequence[Entry]) -> None:
        """Adds an event for the scalars of each step, and one for every other entry; flushes."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        now = time.time()
        try:
            events = self._events()
            for step, row in rows([x for x in entries if kind_of(x[2]) is Kind.scalar]):
                values = [Summary.Value(tag=k, simple_value=float(x)) for k, x in row.items()]
                events.write_event(Event(wall_time=now, step=step, summary=Summary(value=values)))
            for step, name, value in entries:
                for summary in self._summaries(name, value):
                    events.write_event(Event(wall_time=now, step=step, summary=summary))
            events.flush()
        except OSError as error:
            raise unwritable(error, self._folder) from error

    def close(self) -> None:
        """Closes the file."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pictures.close()
        if self._writer is not None:
            try:
                self._writer.close()
            except OSError as error:  # what was told before could still not be written
                raise unwritable(error, self._folder) from error

    def _events(self) -> Any:
        """The file, which is begun when there is something to write."""
        if self._writer is None:
            from tensorboardX.event_file_writer import EventsWriter

            self._writer = EventsWriter(str(self._folder / "events"))
        return self._writer

    def _summaries(self, name: str, value: Any) -> Iterator[Any]:
        from tensorboardX import summary
        from tensorboardX.proto.summary_pb2 import Summary

        kind = kind_of(value)
        if kind is Kind.text:
            yield summary.text(name, value)
        elif kind is Kind.vector:
            finite = value[np.isfinite(value)].astype(np.float64)
            if finite.size:
                yield summary.histogram(name, finite, bins="auto")
        elif kind in (Kind.scalar, Kind.file):
            return
        elif (picture := self._picture(name, kind, value)) is not None:
            yield Summary(value=[Summary.Value(tag=name, image=Summary.Image(**picture))])

    def _picture(self, name: str, kind: Kind, value: Any) -> dict[str, Any] | None:
        """Its size, and its bytes as PNG or GIF."""
        if isinstance(value, VideoFile):
            expected = self._expected.pop(value.path, None)
            data = expected.result() if expected else _gif_of(value.path)
            width, height = (int.from_bytes(data[at : at + 2], "little") for at in (6, 8))
        elif (found := self._pictures.frames(name, value)) is not None:
            height, width = found.shape[-3:-1]
            data = png_bytes(found) if kind is Kind.image else _gif(found, self._fps)
        else:
            return None
        return {"height": height, "width": width, "colorspace": 3, "encoded_image_string": data}


def _import() -> None:
    with suppress(Exception):  # whatever it is, it comes again when it is needed
        import tensorboardX.event_file_writer  # noqa: F401


def _gif_of(path: Path) -> bytes:
    if path.suffix.lower() != ".gif":
        return gif_bytes(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror}") from error


def _gif(frames: Array, fps: float) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.gif"
        write_gif(path, frames, min(fps, MOST_FPS))
        return path.read_bytes()
