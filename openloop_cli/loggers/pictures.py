"""Arrays as outputs show them."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.encode.video import write_mp4
from openloop_cli.loggers.outputs import Tell
from openloop_cli.text import clean


def pixels(value: Any) -> Array | None:
    """An image or a video as uint8 with three channels, or None for what is no picture.

    Args:
      value: (H, W), (H, W, C) or (T, H, W, C) with one or three channels; uint8, or floats all of
        which are from 0 to 1.
    """
    found = value[..., None] if value.ndim == 2 else value
    if found.shape[-1] not in (1, 3) or not found.size:
        return None
    if found.dtype.kind == "f" and ((found >= 0) & (found <= 1)).all():
        found = np.rint(255 * found).astype(np.uint8)
    if found.dtype != np.uint8:
        return None
    return np.ascontiguousarray(np.broadcast_to(found, (*found.shape[:-1], 3)))


class Pictures:
    """Arrays on their way to an output that takes images as arrays and videos as files.

    Args:
      output: What it is called.
      tell: Takes a line about a name whose arrays are no pictures, once.
      fps: Of the videos.
    """

    def __init__(self, output: str, tell: Tell, fps: float) -> None:
        self._output, self._tell, self._fps = output, tell, fps
        self._told: set[str] = set()
        self._count = 0
        # Outputs read a video when they get to it.
        self._folder = tempfile.TemporaryDirectory()

    def frames(self, name: str, value: Array) -> Array | None:
        """As `pixels`."""
        found = pixels(value)
        if found is None and name not in self._told:
            self._told.add(name)
            why = "no picture: expected uint8 or floats from 0 to 1, with one or three channels"
            self._tell(f"left out of {self._output}: {clean(name)!r}: {why}")
        return found

    def mp4(self, frames: Array) -> Path:
        """A file that lasts until `close`."""
        self._count += 1
        path = Path(self._folder.name) / f"{self._count}.mp4"
        write_mp4(path, frames, self._fps)
        return path

    def close(self) -> None:
        """Removes the files."""
        self._folder.cleanup()
