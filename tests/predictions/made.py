"""Predictions made up: a ball on a grey ground, B windows of T steps, and files of them."""

import numpy as np

B, T, C, SIDE = 4, 8, 3, 12


def truth(windows=B, steps=T, seed=0):
    """(B, T, H, W, 3) uint8: a square that wanders over noise."""
    rng = np.random.default_rng(seed)
    video = rng.integers(60, 100, (windows, 1, SIDE, SIDE, 3)).repeat(steps, 1).astype(np.uint8)
    for window in range(windows):
        for step in range(steps):
            y, x = (int(v) for v in (window + step, 2 * step) % np.array(SIDE - 3))
            video[window, step, y : y + 3, x : x + 3] = 230
    return video


def predicted(video, error=0.05, seed=1):
    """(B, T, H, W, 3) float32 in [0, 1]: the truth, blurred by noise."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, error, video.shape)
    return np.clip(video / 255 + noise, 0, 1).astype(np.float32)


def arrays(**more):
    """The least that a file needs."""
    video = truth()
    return {"truth/image": video, "prediction/image": predicted(video), "context": C} | more


def save(path, **found):
    np.savez(path, **found)
    return path
