"""GIF: frames uint8 (T, height, width, 3) -> 256 colours, looping for ever.

All frames share one palette and none is dithered. A palette for each frame measured between
1.7 dB further off and 2.6 dB closer at up to five times the size, and its colours flicker;
dithering never gained more than 0.1 dB, lost up to 3 dB, and took up to four times the bytes.
Octree and median cut each win on some pictures, so both are tried and the closer one is kept.

GIF counts in hundredths of a second. Each frame ends at the nearest one, so that rounding does
not add up. Identical frames are merged, with their durations.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from openloop_cli.arrays import Array, Frames
from openloop_cli.encode.frames import checked, checked_fps
from openloop_cli.storage.atomic import atomic_path

# Browsers slow frames of less than two hundredths of a second down to ten a second.
MOST_FPS = 50
# One less than 256: the writer needs a colour for "as in the frame before".
_COLOURS = 255
_JUDGED = 8


def write_gif(path: Path, frames: Iterable[Array], fps: float) -> None:
    """Write a GIF, whole or not at all.

    Args:
      path: The file, ending in `.gif`.
      frames: (T, height, width, 3) or an iterable of (height, width, 3), uint8.
      fps: Frames per second, at most 50.

    Raises:
      OutputError: Frames of a wrong kind, too many in a second, or a place that cannot be
        written.
    """
    checked_fps(fps, most=MOST_FPS)
    video = np.stack(list(checked(frames)))
    palette = _best_palette(video)
    images = [_indexed(frame, palette) for frame in video]
    with atomic_path(path) as partial:
        images[0].save(
            partial,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=durations(len(images), fps, unit=10),
            loop=0,
            disposal=1,
            optimize=True,
        )


def durations(count: int, fps: float, *, unit: int) -> list[int]:
    """Milliseconds of each frame, multiples of `unit`, adding up to the right total."""
    ends = [round(index * 1000 / fps / unit) * unit for index in range(count + 1)]
    return [end - start for start, end in pairwise(ends)]


def _best_palette(video: Frames) -> Image.Image:
    """The palette under which a few frames, spread over the video, come out closest."""
    chosen = np.linspace(0, len(video) - 1, min(_JUDGED, len(video))).round().astype(int)
    sheet = video[chosen].reshape(-1, *video.shape[2:])
    methods = (Image.Quantize.FASTOCTREE, Image.Quantize.MEDIANCUT)
    image = Image.fromarray(sheet)
    palettes = [
        image.quantize(_COLOURS, method=method, dither=Image.Dither.NONE) for method in methods
    ]
    return min(palettes, key=lambda palette: _distance(sheet, palette))


def _distance(pixels: Array, palette: Image.Image) -> float:
    found = np.asarray(_indexed(pixels, palette).convert("RGB"), np.float32)
    return float(np.square(found - pixels).mean())


def _indexed(pixels: Array, palette: Image.Image) -> Image.Image:
    return Image.fromarray(pixels).quantize(palette=palette, dither=Image.Dither.NONE)
