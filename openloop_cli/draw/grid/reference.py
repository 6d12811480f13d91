"""The reference's report grid, pixel for pixel, less its ten black frames.

Truth over prediction over error, a border of two pixels, green while observing and red while
imagining, the windows side by side: (T, 3H + 4, B(W + 4), 3).
"""

import numpy as np

from openloop_cli.arrays import Array, Frames, Video
from openloop_cli.draw.grid.rows import as_rgb

_BORDER = 2
_OBSERVED = (0, 255, 0)
_IMAGINED = (255, 0, 0)


def reference_grid(truth: Array, prediction: Video, context: int) -> Frames:
    """Draw the reference's grid.

    Args:
      truth: (B, T, H, W, C) uint8.
      prediction: (B, T, H, W, C) float, in [0, 1].
      context: Context steps; the others were imagined.

    Returns:
      (T, 3H + 4, B(W + 4), 3). One channel becomes three, as the border has three. Other
      numbers of channels, on which the reference fails, are drawn as `as_rgb` says.
    """
    pixels = to_levels(prediction)
    error = (pixels.astype(np.int16) - truth + 255) // 2
    video = np.concatenate([truth, pixels, error.astype(np.uint8)], 2)
    windows, steps, height, width = video.shape[:4]
    grid = np.empty((steps, height + 2 * _BORDER, windows, width + 2 * _BORDER, 3), np.uint8)
    grid[:context] = _OBSERVED
    grid[context:] = _IMAGINED
    inside = slice(_BORDER, -_BORDER)
    grid[:, inside, :, inside] = as_rgb(video).transpose(1, 2, 0, 3, 4)
    return grid.reshape(steps, height + 2 * _BORDER, -1, 3)


def to_levels(video: Video) -> Array:
    """[0, 1] -> [0, 255] as the reference does it: times 255 in float32, clip, truncate.

    A NaN becomes 0, as it does there; it shows as black, and metrics tell it as what it is.
    """
    scaled = np.clip(video.astype(np.float32) * np.float32(255), 0, 255)
    return np.asarray(np.nan_to_num(scaled, copy=False).astype(np.uint8))
