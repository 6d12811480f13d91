"""Arrays as outputs show them."""

from typing import Any

import numpy as np

from openloop_cli.arrays import Array


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
