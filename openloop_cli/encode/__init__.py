"""Frames, arrays and curves -> files, each written whole or not at all.

`video` writes MP4, `animation` GIF and APNG, `still` a PNG of chosen steps, `plots` curves;
`frames` checks what the writers of videos are given; arrays are `storage.npz`'s. A writer takes a
path and its content, returns nothing, and raises `OutputError`. A new format of videos is such a
function, named in `_WRITERS`.
"""

from collections.abc import Iterable
from pathlib import Path

from openloop_cli.arrays import Array
from openloop_cli.encode.animation import write_apng, write_gif
from openloop_cli.encode.video import write_mp4
from openloop_cli.storage.npz import write_npz

__all__ = ["write_apng", "write_gif", "write_mp4", "write_npz", "write_video"]

_WRITERS = {".mp4": write_mp4, ".gif": write_gif, ".apng": write_apng}


def write_video(path: Path, frames: Iterable[Array], fps: float) -> None:
    """Write frames (T, height, width, 3) uint8 in the format that the path's extension names."""
    _WRITERS[path.suffix.lower()](path, frames, fps)
