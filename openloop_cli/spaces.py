"""Observation and action spaces, which config.yaml does not say; `keys` finds out what is seen.

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

NOT_OBSERVED = ("is_first", "is_last", "is_terminal", "reward", "stepid", "consec")
NOT_OBSERVED_BELOW = ("enc/", "dyn/", "dec/", "log/")
POLICY_HEAD = re.compile(r"pol/head/(.+)/(logits|logit|mean|pred)/kernel")
VECTOR_HEAD = re.compile(r"dec/vec/(.+)/(logits|pred)/kernel")


def is_no_observation(key: str) -> bool:
    """Whether a replay key is the trainer's own bookkeeping."""
    return key in NOT_OBSERVED or key.startswith(NOT_OBSERVED_BELOW)


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
    """Keys and spaces as pairs, in the replay's own order; hashable, so jit can take it.

    Attributes:
      obs: Observations that the encoder or the decoder sees.
      only_encoded, only_decoded: Those of them that one of the two sees alone.
    """

    obs: tuple[tuple[str, Space], ...]
    act: tuple[tuple[str, Space], ...]
    only_encoded: tuple[str, ...] = ()
    only_decoded: tuple[str, ...] = ()

    @cached_property
    def decoded(self) -> dict[str, Space]:
        """What is predicted, and so drawn and measured."""
        return {key: space for key, space in self.obs if key not in self.only_encoded}

    @cached_property
    def images(self) -> dict[str, Space]:
        """Decoded images in the order that the decoder splits its channels."""
        return {key: space for key, space in self.decoded.items() if space.is_image}

    @cached_property
    def vectors(self) -> dict[str, Space]:
        """All else that is decoded."""
        return {key: space for key, space in self.decoded.items() if not space.is_image}

    @cached_property
    def encoded(self) -> dict[str, Space]:
        """What the encoder sees."""
        return {key: space for key, space in self.obs if key not in self.only_decoded}

    @cached_property
    def encoded_images(self) -> dict[str, Space]:
        """The images of these."""
        return {key: space for key, space in self.encoded.items() if space.is_image}

    @cached_property
    def encoded_vectors(self) -> dict[str, Space]:
        """All else of these."""
        return {key: space for key, space in self.encoded.items() if not space.is_image}

    @cached_property
    def actions(self) -> dict[str, Space]:
        """Action keys."""
        return dict(self.act)


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
            act.append((match[1], _flat_space(match[2], (shape[-1] if shape else 0))))
        elif match := VECTOR_HEAD.fullmatch(name):
            obs.append((match[1], _flat_space(match[2], (shape[-1] if shape else 0))))
    if "dec/imgout/bias" in shapes:
        start = sum(shapes.get("dec/sp0/bias", shapes.get("dec/space/bias", ()))[-1:])
        side = math.isqrt(start // max(1, channels))
        if not side or side * side * channels != start:
            return None
        side *= 2**doublings
        obs.append(("images", Space((side, side, *shapes["dec/imgout/bias"]), "uint8")))
    if not act and len(shape := shapes.get("dyn/dynin2/kernel", ())) == 2:  # no policy
        act.append(("action", Space(shape[:1], "float32")))
    return Spaces(tuple(obs), tuple(act))


def _flat_space(head: str, size: int) -> Space:
    return Space((), "int32", size) if head.startswith("logit") else Space((size,), "float32")
