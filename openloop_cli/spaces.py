"""Observation and action spaces, which config.yaml does not say: from parameters and replay keys.

An image is `uint8` of rank 3 (H, W, C); everything else is a vector. `classes` is 0 for a
continuous space.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from openloop_cli.errors import ParamsError, ReplayError

NOT_OBSERVED = ("is_first", "is_last", "is_terminal", "reward", "stepid", "consec")
NOT_OBSERVED_BELOW = ("enc/", "dyn/", "dec/", "log/")
POLICY_HEAD = re.compile(r"pol/head/(.+)/(logits|logit|mean|pred)/kernel")
_VECTOR_HEAD = re.compile(r"dec/vec/(.+)/(logits|pred)/kernel")


class StepInfo(Protocol):
    """What one step of a replay key looks like."""

    @property
    def dtype(self) -> np.dtype:
        """Of the stored array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one step."""


@dataclass(frozen=True)
class Space:
    """One key's shape of a single step, its dtype, and its number of classes (0: continuous)."""

    shape: tuple[int, ...]
    dtype: str
    classes: int = 0

    @property
    def is_image(self) -> bool:
        """An image is uint8 of rank 3; the reference's rule."""
        return self.dtype == "uint8" and len(self.shape) == 3

    @property
    def width(self) -> int:
        """How many numbers the key is after one-hot encoding."""
        return math.prod(self.shape) * max(1, self.classes)


@dataclass(frozen=True)
class Spaces:
    """Keys and spaces as pairs, in the replay's own order; hashable, so jit can take it."""

    obs: tuple[tuple[str, Space], ...]
    act: tuple[tuple[str, Space], ...]

    @cached_property
    def images(self) -> dict[str, Space]:
        """Image observations in the order that the decoder splits its channels."""
        return {key: space for key, space in self.obs if space.is_image}

    @cached_property
    def vectors(self) -> dict[str, Space]:
        """All other observations."""
        return {key: space for key, space in self.obs if not space.is_image}

    @cached_property
    def actions(self) -> dict[str, Space]:
        """Action keys."""
        return dict(self.act)


def named_keys(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """The replay keys that parameters name: actions, vector observations; images stay unnamed."""
    found = (POLICY_HEAD.fullmatch(name) or _VECTOR_HEAD.fullmatch(name) for name in shapes)
    return tuple(dict.fromkeys(match[1] for match in found if match))


def infer_spaces(shapes: Mapping[str, tuple[int, ...]], keys: Mapping[str, StepInfo]) -> Spaces:
    """Spaces from parameter shapes and replay keys.

    Raises:
      ParamsError: A key in one that the other does not know: they are of different runs.
      ReplayError: A key that holds no numbers.
    """
    act_keys = {match[1]: name for name in shapes if (match := POLICY_HEAD.fullmatch(name))}
    if not act_keys:
        raise ParamsError(
            "no pol/head/<action>/… parameter: the action space cannot be told",
            hint="pass a checkpoint of the whole agent",
        )
    for key in act_keys:
        if key not in keys:
            raise ParamsError(
                f"{act_keys[key]}: the replay has no key {key!r} (its keys: {', '.join(keys)})",
                hint="pass the replay of the same run as the checkpoint",
            )
    obs, act = [], []
    for key, info in keys.items():
        if not _is_no_observation(key) and info.dtype.kind not in "biuf":
            raise ReplayError(
                f"{key!r} in the replay: expected numbers, found {info.dtype}",
                hint="pass the replay that the run wrote",
            )
        if key in act_keys:
            size = _outputs(shapes[act_keys[key]])
            classes = size if _is_discrete(info.dtype) else 0
            act.append((key, _space(key, act_keys[key], info, classes)))
        elif not _is_no_observation(key):
            obs.append((key, _observation(key, info, shapes)))
    return Spaces(tuple(obs), tuple(act))


def _outputs(kernel: tuple[int, ...]) -> int:
    """Of a layer; 0 where a hostile checkpoint has a shape that no layer has."""
    return kernel[-1] if kernel else 0


def _is_no_observation(key: str) -> bool:
    return key in NOT_OBSERVED or key.startswith(NOT_OBSERVED_BELOW)


def spaces_of_params(
    shapes: Mapping[str, tuple[int, ...]], *, channels: int, doublings: int
) -> Spaces | None:
    """Stand-ins for the spaces of a run whose replay is not there: right in their widths only.

    All images become one square image, since the parameters hold only their sum and their area.

    Args:
      channels: Of the decoder's last stage, where its convolutions start.
      doublings: How often the decoder doubles the resolution.

    Returns:
      None when the parameters fit no square image.
    """
    obs, act = [], []
    for name, shape in shapes.items():
        if match := POLICY_HEAD.fullmatch(name):
            act.append((match[1], _flat_space(match[2], _outputs(shape))))
        elif match := _VECTOR_HEAD.fullmatch(name):
            obs.append((match[1], _flat_space(match[2], _outputs(shape))))
    if "dec/imgout/bias" in shapes:
        start = _outputs(shapes.get("dec/sp0/bias", shapes.get("dec/space/bias", ())))
        side = math.isqrt(start // max(1, channels))
        if not side or side * side * channels != start:
            return None
        side *= 2**doublings
        obs.append(("images", Space((side, side, *shapes["dec/imgout/bias"]), "uint8")))
    return Spaces(tuple(obs), tuple(act))


def _flat_space(head: str, size: int) -> Space:
    return Space((), "int32", size) if head.startswith("logit") else Space((size,), "float32")


def _observation(key: str, info: StepInfo, shapes: Mapping[str, tuple[int, ...]]) -> Space:
    if info.dtype == np.uint8 and len(info.shape) == 3:
        return Space(info.shape, "uint8")
    if not _is_discrete(info.dtype):
        return Space(info.shape, str(info.dtype))
    name = f"dec/vec/{key}/logits/kernel"
    if name not in shapes:
        raise ParamsError(
            f"{name}: missing, though the replay has a discrete key {key!r}",
            hint="pass the replay of the same run as the checkpoint",
        )
    return _space(key, name, info, _outputs(shapes[name]))


def _space(key: str, name: str, info: StepInfo, size: int) -> Space:
    """`size` outputs over the key's own size are its classes; 0 for continuous keys."""
    count = max(1, math.prod(info.shape))
    if size % count:
        raise ParamsError(
            f"{name}: {size} outputs do not divide over the {count} values of {key!r}"
            f" {info.shape} in the replay",
            hint="pass the replay of the same run as the checkpoint",
        )
    return Space(info.shape, str(info.dtype), size // count)


def _is_discrete(dtype: "np.dtype") -> bool:
    return bool(np.issubdtype(dtype, np.integer) or dtype == np.bool_)
