"""What every video writer asks of its frames: uint8, (height, width, 3), all of one size.

Encoders check nothing of this themselves: float frames, which are four times as many bytes,
would become four times as many frames of noise.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import OutputError


def checked(frames: Iterable[Array]) -> Iterator[Array]:
    """The same frames one by one, contiguous, each checked as it comes; at least one.

    Args:
      frames: (T, height, width, 3), or any iterable of (height, width, 3), all uint8.

    Raises:
      OutputError: A frame of another dtype or shape, or none at all.
    """
    if isinstance(frames, np.ndarray) and frames.ndim != 4:
        raise OutputError(f"frames: expected shape (T, height, width, 3), found {frames.shape}")
    shape = None
    for index, frame in enumerate(frames):
        if frame.dtype != np.uint8:
            raise OutputError(f"frame {index}: expected uint8, found {frame.dtype}")
        if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
            raise OutputError(
                f"frame {index}: expected shape (height, width, 3), found {frame.shape}"
            )
        shape = shape or frame.shape
        if frame.shape != shape:
            raise OutputError(f"frame {index}: expected shape {shape}, found {frame.shape}")
        yield np.ascontiguousarray(frame)
    if shape is None:
        raise OutputError("frames: expected at least one, found none")


def checked_fps(fps: float, *, most: float = 1000) -> float:
    """A number of frames per second that this kind of file can hold."""
    if not (math.isfinite(fps) and 0 < fps <= most):
        raise OutputError(
            f"frames per second: expected above 0 and at most {most:g}, found {fps:g}"
        )
    return float(fps)


def frames_sha256(frames: Array) -> str:
    """The SHA-256 of raw frames, the same on every machine, unlike an encoded file's.

    It is taken over the bytes of `uint8 T,height,width,3` and a newline, then the pixels in C
    order. The dtype and the shape belong to it, or a transposed video might pass as the same.
    """
    digest = hashlib.sha256()
    digest.update(f"{frames.dtype.name} {','.join(map(str, frames.shape))}\n".encode())
    for frame in frames:
        digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()
