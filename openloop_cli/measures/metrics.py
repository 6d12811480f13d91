"""Image metrics. Videos float in [0, 1], (B, T, H, W, C); one value per frame, (B, T).

- **MSE**, **MAE**: mean of the squared or absolute difference over H, W, C.
- **PSNR**: `-10 log10(MSE)` of each frame, data range 1, in dB. The MSE is floored at 1e-10,
  so that a perfect frame reads 100 dB instead of infinity, which strict JSON cannot hold.
- **SSIM**: Wang et al. 2004. Gaussian window of 11 × 11 pixels with σ = 1.5, K1 = 0.01,
  K2 = 0.03, data range 1, population covariance; the mean over all positions where the whole
  window lies inside the image, for each channel, then over channels. scikit-image computes
  the same with `gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1,
  channel_axis=-1`. Where an image is less than 11 pixels wide or high, the window shrinks on
  that side to the largest odd number that fits, its weights again summing to one.

Averages of PSNR come in two kinds that differ by Jensen's inequality: the mean of the frames'
PSNR, and the PSNR of their mean MSE, which reports show. The second is lower, and less swayed by a
few near-perfect frames.
"""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np

from openloop_cli.arrays import Array, PerFrame, Video

MSE_FLOOR = 1e-10
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
SSIM_K1 = 0.01
SSIM_K2 = 0.03

# How many pixels are worked on at once: a few arrays of this size fit a core's cache.
_BLOCK = 1 << 16
# Blurring is a product with a banded matrix. In pieces of this many outputs, the zeros that
# are multiplied cost less than a call for each of the eleven taps.
_BAND = 32


def mse(truth: Video, prediction: Video) -> PerFrame:
    """Mean squared error: (B, T, H, W, C) twice -> (B, T)."""
    return _per_frame(lambda x, y: _per_image(np.square(x - y)), truth, prediction)


def mae(truth: Video, prediction: Video) -> PerFrame:
    """Mean absolute error: (B, T, H, W, C) twice -> (B, T)."""
    return _per_frame(lambda x, y: _per_image(np.abs(x - y)), truth, prediction)


def psnr_of(error: PerFrame) -> PerFrame:
    """The PSNR in dB of a mean squared error of any shape, at most 100."""
    return np.asarray(-10 * np.log10(np.maximum(error, MSE_FLOOR)))


def ssim(truth: Video, prediction: Video) -> PerFrame:
    """Structural similarity, 1 for equal frames: (B, T, H, W, C) twice -> (B, T)."""
    return _per_frame(_ssim, truth, prediction)


def _per_frame(
    measure: Callable[[Array, Array], Array], truth: Video, prediction: Video
) -> PerFrame:
    """Measure block by block, in float32, so that memory does not grow with the video."""
    assert truth.shape == prediction.shape, f"{truth.shape} against {prediction.shape}"
    assert truth.ndim == 5, f"expected (B, T, H, W, C), found {truth.shape}"
    # Integers would wrap around in the difference, and be 255 times too large.
    assert truth.dtype.kind != "u", f"expected floats in [0, 1], found {truth.dtype}"
    assert prediction.dtype.kind != "u", f"expected floats in [0, 1], found {prediction.dtype}"
    x = truth.reshape(-1, *truth.shape[2:])
    y = prediction.reshape(-1, *prediction.shape[2:])
    result = np.empty(len(x), np.float64)
    for block in _blocks(len(x), x[0].size if len(x) else 1):
        result[block] = measure(*(z[block].astype(np.float32, copy=False) for z in (x, y)))
    return result.reshape(truth.shape[:2])


def _blocks(frames: int, pixels: int) -> Iterator[slice]:
    step = max(1, _BLOCK // max(1, pixels))
    for start in range(0, frames, step):
        yield slice(start, start + step)


def _per_image(x: Array) -> Array:
    """The mean over all but the first axis: (N, …) -> (N,)."""
    return np.asarray(x.reshape(len(x), -1).mean(1))


def _ssim(x: Array, y: Array) -> Array:
    """(N, H, W, C) float32 twice -> (N,).

    Variances do not change when a constant is taken off, but lose fewer digits: E[x²] - E[x]²
    is a small difference of numbers near 1 otherwise. And only their sum is needed, so four
    blurs do instead of five.
    """
    frames, half = len(x), np.float32(0.5)
    c1, c2 = np.float32(SSIM_K1**2), np.float32(SSIM_K2**2)
    x, y = _planes(x - half), _planes(y - half)
    mean_x, mean_y = _blur(x), _blur(y)
    covariance = _blur(x * y) - mean_x * mean_y
    variances = _blur(x * x + y * y) - mean_x * mean_x - mean_y * mean_y
    mean_x += half
    mean_y += half
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x * mean_x + mean_y * mean_y + c1) * (variances + c2)
    return _per_image((above / below).reshape(frames, -1))


def _planes(images: Array) -> Array:
    """(N, H, W, C) -> (N · C, H, W), contiguous."""
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return planes.reshape(-1, *images.shape[1:3])


def _blur(planes: Array) -> Array:
    """The Gaussian window at every place where it fits: (N, H, W) -> (N, H', W')."""
    count, height, width = planes.shape
    high, wide = _window_size(height), _window_size(width)
    # All rows at once: one large product is faster than one for each plane.
    rows = planes.reshape(-1, width)
    across = np.empty((len(rows), width - wide + 1), np.float32)
    for start, band in _bands(width, wide):
        outputs, inputs = band.shape
        into = across[:, start : start + outputs]
        np.matmul(rows[:, start : start + inputs], band.T, out=into)
    across = across.reshape(count, height, -1)
    blurred = np.empty((count, height - high + 1, across.shape[2]), np.float32)
    for start, band in _bands(height, high):
        outputs, inputs = band.shape
        into = blurred[:, start : start + outputs]
        np.matmul(band, across[:, start : start + inputs], out=into)
    return blurred


def _window_size(size: int) -> int:
    return min(SSIM_WINDOW, size if size % 2 else size - 1)


def _bands(size: int, taps: int) -> Iterator[tuple[int, Array]]:
    """Where each piece of the outputs starts, and the matrix that makes it."""
    outputs = size - taps + 1
    for start in range(0, outputs, _BAND):
        yield start, _band(min(_BAND, outputs - start), taps)


@cache
def _band(outputs: int, taps: int) -> Array:
    """(outputs, outputs + taps - 1): the window's weights, one place further in each row."""
    offsets = np.arange(taps) - taps // 2
    weights = np.exp(-0.5 * np.square(offsets / SSIM_SIGMA))
    weights /= weights.sum()
    band = np.zeros((outputs, outputs + taps - 1), np.float32)
    for row in range(outputs):
        band[row, row : row + taps] = weights
    return band
