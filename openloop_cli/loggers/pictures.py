"""Arrays as outputs show them, and videos that are encoded already as arrays."""

from pathlib import Path
from typing import Any

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import OutputError
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


def decoded(path: Path) -> tuple[Array, float]:
    """A video file as uint8 (T, H, W, 3), and its frames per second.

    Raises:
      OutputError: It cannot be read.
    """
    import imageio.v3

    plugin = "FFMPEG" if path.suffix.lower() == ".mp4" else "pillow"
    try:
        frames = np.asarray(imageio.v3.imread(path, plugin=plugin))
        about = imageio.v3.immeta(path, plugin=plugin)
    except (OSError, ValueError, IndexError) as error:
        raise OutputError(f"{path}: cannot be read: {clean(error)}") from error
    # A GIF says how many milliseconds a frame lasts.
    fps = about.get("fps") or 1000 / (about.get("duration") or 100)
    return frames[..., :3], float(fps)
