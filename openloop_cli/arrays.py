"""The glossary: one letter for each dimension, one name for each kind of array.

    B  windows                        H  image height
    T  steps of a window              W  image width
    K  replay-context steps before T  C  image channels
    D  deterministic state (deter)    S  categorical latents (stoch)
    L  classes of each latent         E  encoder output (tokens)
    M  imagined futures (samples)     A  concatenated action

Shapes are written (B, T, H, W, C). Images are `uint8` in [0, 255] where they come from the
replay and float32 in [0, 1] everywhere after that.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Params: TypeAlias = Mapping[str, Array]
"""Checkpoint names, flat and verbatim (`dyn/dynin0/kernel`), to arrays."""

Video: TypeAlias = NDArray[np.floating[Any]]
"""(B, T, H, W, C), float, in [0, 1]."""

Frames: TypeAlias = NDArray[np.uint8]
"""(T, height, width, 3), what a video file holds."""

PerFrame: TypeAlias = NDArray[np.floating[Any]]
"""(B, T), one number for each frame."""
