"""Pictures of an environment -> a video, uint8 (1, T, C, H, W).

Of several environments all are shown, beside and below each other.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchrl.envs import EnvBase

from openloop_cli.arrays import Array
from openloop_cli.hooks.tensors import to_numpy

_CANDIDATES = ("base_env", "_env", "envs")
_CHANNELS = (1, 3, 4)


class Camera:
    """Takes a picture of an environment at each step.

    Args:
      environment: Or what it wraps, whichever can `render` first.
      options: Of `render`.
    """

    def __init__(self, environment: Any, options: Mapping[str, Any]) -> None:
        self._environment, self._options = environment, dict(options)
        self.frames: list[Array] = []

    def shoot(self) -> None:
        """Takes one.

        Raises:
          RuntimeError: Nothing here can render, or it gave no picture.
        """
        self.frames.append(_picture(_renderer(self._environment)(**self._options)))

    @contextmanager
    def watching(self) -> Iterator[Callable[..., None]]:
        """Takes one of each step of a rollout within, whose callback it gives. The last step has no
        callback: it is taken by the caller, and so is what comes before the first."""
        environment = self._environment
        # A step that ends an episode is followed by a reset, before any callback: in between is
        # the only moment to see how the episode ended.
        native = getattr(environment, "__dict__", {}).get("_torchrl_native_autoreset", False)
        if not isinstance(environment, EnvBase) or native:
            yield lambda *arguments: self.shoot()
            return

        def step_and_maybe_reset(tensordict: Any) -> Any:
            if tensordict.device != environment.device:
                tensordict = tensordict.to(environment.device)
            tensordict = environment.step(tensordict)
            self.shoot()
            return tensordict, environment.maybe_reset(environment.step_mdp(tensordict))

        environment.__dict__["step_and_maybe_reset"] = step_and_maybe_reset
        try:
            yield lambda *arguments: None
        finally:
            del environment.__dict__["step_and_maybe_reset"]

    def video(self) -> Tensor:
        """All pictures, uint8 (1, T, C, H, W).

        Raises:
          RuntimeError: There are none.
        """
        if not self.frames:
            raise RuntimeError("render: no picture was taken")
        return torch.from_numpy(np.stack(self.frames)).permute(0, 3, 1, 2)[None].contiguous()


def _renderer(environment: Any) -> Callable[..., Any]:
    for place in (environment, *(getattr(environment, x, None) for x in _CANDIDATES)):
        places = place if isinstance(place, (list, tuple)) else [place]
        found: list[Any] = [getattr(x, "render", None) for x in places]
        if found and all(callable(x) for x in found):
            if len(found) == 1:
                render: Callable[..., Any] = found[0]
                return render
            return lambda found=found, **options: [x(**options) for x in found]
    raise RuntimeError(
        f"render: {type(environment).__name__} has no render(), nor has what it wraps"
    )


def _picture(rendered: Any) -> Array:
    """What `render` gave as one picture, uint8 (H, W, C)."""
    if isinstance(rendered, (list, tuple)):
        return tiled([_picture(x) for x in rendered if x is not None])
    if not isinstance(rendered, (np.ndarray, Tensor)):
        given = "None: make the environment with render_mode='rgb_array'"
        raise RuntimeError(
            f"render: expected a picture, got {given if rendered is None else type(rendered)}"
        )
    picture = to_numpy(rendered)
    if picture.ndim == 4:  # one for each of several environments
        return tiled([_picture(x) for x in picture])
    if picture.ndim == 2:
        picture = picture[..., None]
    if picture.ndim == 3 and picture.shape[-1] not in _CHANNELS and picture.shape[0] in _CHANNELS:
        picture = picture.transpose(1, 2, 0)
    if picture.ndim != 3 or picture.shape[-1] not in _CHANNELS:
        raise RuntimeError(f"render: expected (H, W, C), got {picture.shape}")
    if picture.dtype != np.uint8:
        scale = 255 if picture.dtype.kind in "fb" else 1
        picture = np.clip(np.rint(np.asarray(picture, np.float64) * scale), 0, 255)
    return np.ascontiguousarray(picture[..., :3], np.uint8)


def tiled(pictures: Sequence[Array]) -> Array:
    """Pictures (H, W, C) of one size in about a square; what is left of it is black.

    Raises:
      RuntimeError: There are none, or of several sizes.
    """
    if not pictures:
        raise RuntimeError("render: no picture was taken")
    if len({x.shape for x in pictures}) > 1:
        raise RuntimeError(f"render: pictures of several sizes: {[x.shape for x in pictures]}")
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    height, width, channels = pictures[0].shape
    whole = np.zeros((rows * height, columns * width, channels), np.uint8)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        whole[row * height :, column * width :][:height, :width] = picture
    return whole
