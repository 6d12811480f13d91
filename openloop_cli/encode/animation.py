"""GIF and APNG: frames uint8 (T, height, width, 3) -> an animation that loops for ever.

Both go through imageio to Pillow.

GIF holds 256 colours. All frames share one palette and none is dithered: a palette for each frame
measured between 1.7 dB worse and 2.6 dB better at up to five times the size, and its colours
flicker; dithering never gained more than 0.1 dB, lost up to 3 dB, and took up to four times the
bytes. Octree and median cut each win on some pictures, so both are tried and the better PSNR is
kept. GIF counts in hundredths of a second: each frame ends at the nearest one, so that rounding
does not add up. Identical frames merge, with their durations.

APNG is lossless and keeps every frame, also those that repeat the one before. A single frame
becomes a plain PNG.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from openloop_cli.arrays import Array, Frames
from openloop_cli.encode.frames import checked, checked_fps
from openloop_cli.storage.atomic import write_bytes

# Browsers slow down frames of less than two hundredths of a second to ten frames per second.
MOST_FPS = 50
# One less than 256: the writer needs a colour for "unchanged since the last frame".
_COLOURS = 255
_JUDGED = 8


def write_gif(path: Path, frames: Iterable[Array], fps: float) -> None:
    """Write a GIF, whole or not at all.

    Args:
      path: The file, ending in `.gif`.
      frames: (T, height, width, 3) or an iterable of (height, width, 3), uint8.
      fps: Frames per second, at most 50.

    Raises:
      OutputError: Frames of the wrong kind, a rate that is too high, or a path that cannot be
        written.
    """
    checked_fps(fps, most=MOST_FPS)
    video = _whole(frames)
    palette = _best_palette(video)
    # As grey levels with a palette: of images that bring their own (mode P), Pillow matches the
    # two palettes colour by colour, 30 ms for each frame.
    levels = np.stack([np.asarray(_indexed(frame, palette)) for frame in video])
    _write(
        path,
        levels,
        ".gif",
        duration=durations(len(video), fps, unit=10),
        disposal=1,
        optimize=True,
        palette=bytes(palette.getpalette() or ()),
    )


def write_apng(path: Path, frames: Iterable[Array], fps: float) -> None:
    """Write an APNG, whole or not at all.

    Args:
      path: The file, ending in `.apng` or `.png`.
      frames: (T, height, width, 3) or an iterable of (height, width, 3), uint8.
      fps: Frames per second.

    Raises:
      OutputError: Frames of the wrong kind, or a path that cannot be written.
    """
    checked_fps(fps)
    video = _whole(frames)
    _write(
        path,
        video,
        ".png",
        duration=durations(len(video), fps, unit=1),
        disposal=0,
        # Pillow merges identical neighbours unless their blending differs, and a reader would
        # then find fewer frames than steps. For opaque pixels both kinds of blending are the same.
        blend=[index % 2 for index in range(len(video))],
    )


def durations(count: int, fps: float, *, unit: int) -> list[int]:
    """Milliseconds of each frame, multiples of `unit`, adding up to the right total."""
    ends = [round(index * 1000 / fps / unit) * unit for index in range(count + 1)]
    return [end - start for start, end in pairwise(ends)]


def _whole(frames: Iterable[Array]) -> Frames:
    """All frames, checked; an array is checked where it lies and not copied."""
    if isinstance(frames, np.ndarray):
        for _ in checked(frames):
            pass
        return frames
    return np.stack(list(checked(frames)))


def _write(path: Path, video: Array, kind: str, **options: Any) -> None:
    # Imported here: it takes 0.1 s, and most reports write an MP4.
    from imageio.v3 import imwrite

    options |= {"is_batch": True, "loop": 0}
    # In memory first: on a disk that is full, imageio's writer would try again when it is deleted.
    # It sets save_all only for several frames, but one frame has a duration as well.
    data = imwrite("<bytes>", video, plugin="pillow", extension=kind, save_all=True, **options)
    write_bytes(path, data)


def _best_palette(video: Frames) -> Image.Image:
    """The palette with the better PSNR over a few frames, spread over the video."""
    chosen = np.linspace(0, len(video) - 1, min(_JUDGED, len(video))).round().astype(int)
    sheet = video[chosen].reshape(-1, *video.shape[2:])
    methods = (Image.Quantize.FASTOCTREE, Image.Quantize.MEDIANCUT)
    image = Image.fromarray(sheet)
    palettes = [
        image.quantize(_COLOURS, method=method, dither=Image.Dither.NONE) for method in methods
    ]
    return min(palettes, key=lambda palette: _error(sheet, palette))


def _error(pixels: Array, palette: Image.Image) -> float:
    found = np.asarray(_indexed(pixels, palette).convert("RGB"), np.float32)
    return float(np.square(found - pixels).mean())


def _indexed(pixels: Array, palette: Image.Image) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return image.quantize(palette=palette, dither=Image.Dither.NONE)
