"""APNG: frames uint8 (T, height, width, 3) -> every pixel of every frame, looping for ever.

The lossless choice. A single frame becomes a plain PNG.
"""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image, PngImagePlugin

from openloop_cli.arrays import Array
from openloop_cli.encode.frames import checked, checked_fps
from openloop_cli.encode.gif import durations
from openloop_cli.storage.atomic import atomic_path

_SOURCE, _OVER = PngImagePlugin.Blend.OP_SOURCE, PngImagePlugin.Blend.OP_OVER


def write_apng(path: Path, frames: Iterable[Array], fps: float) -> None:
    """Write an APNG, whole or not at all.

    Args:
      path: The file, ending in `.apng` or `.png`.
      frames: (T, height, width, 3) or an iterable of (height, width, 3), uint8.
      fps: Frames per second.

    Raises:
      OutputError: Frames of a wrong kind, or a place that cannot be written.
    """
    checked_fps(fps)
    images = [Image.fromarray(frame) for frame in checked(frames)]
    # Pillow merges identical neighbours unless their blending differs, and then a reader
    # would find fewer frames than steps. For opaque pixels both ways of blending are the same.
    blend = [_OVER if index % 2 else _SOURCE for index in range(len(images))]
    with atomic_path(path) as partial:
        images[0].save(
            partial,
            format="PNG",
            save_all=True,
            append_images=images[1:],
            duration=durations(len(images), fps, unit=1),
            loop=0,
            disposal=PngImagePlugin.Disposal.OP_NONE,
            blend=blend,
        )
