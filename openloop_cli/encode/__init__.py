"""Report -> file, one writer for each kind; each file is written whole or not at all.

A writer takes a path and what shall stand in it, returns nothing, and raises `OutputError`.
"""

from collections.abc import Iterable
from pathlib import Path

from openloop_cli.arrays import Array
from openloop_cli.encode.apng import write_apng
from openloop_cli.encode.arrays import write_npz
from openloop_cli.encode.gif import write_gif
from openloop_cli.encode.video import write_mp4

__all__ = ["write_apng", "write_gif", "write_mp4", "write_npz", "write_video"]

_WRITERS = {".mp4": write_mp4, ".gif": write_gif, ".apng": write_apng}


def write_video(path: Path, frames: Iterable[Array], fps: float) -> None:
    """Write frames (T, height, width, 3) uint8 as the kind that the path's ending names."""
    _WRITERS[path.suffix.lower()](path, frames, fps)
