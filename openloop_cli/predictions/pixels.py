"""How pictures lie in arrays: their range and the place of their channels, never guessed.

As layouts have them, pictures are uint8, or floats in [0, 1], with their channels last. Options say
otherwise; what does not fit is an error that names the option that would.
"""

from dataclasses import dataclass

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import OptionError, PredictionsError

RANGES = {"0:1": (0.0, 1.0), "-1:1": (-1.0, 1.0), "0:255": (0.0, 255.0)}
# Beyond the ends by so much of the range a picture is rounding, or a decoder that overshoots.
_ROUNDING, _OVERSHOT = 1e-3, 0.75
_CHANNELS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Pixels:
    """What the options say of pictures.

    Attributes:
      range: Of floats, a name of `RANGES`.
      channels_first: (…, C, H, W) instead of (…, H, W, C).
    """

    range: str = "0:1"
    channels_first: bool = False

    def __post_init__(self) -> None:
        if self.range not in RANGES:
            raise OptionError(f"--range {self.range}: expected {', '.join(RANGES)}")

    def shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A picture's (H, W, C).

        Raises:
          PredictionsError: It has its channels elsewhere.
        """
        first, last = shape[0] in _CHANNELS, shape[2] in _CHANNELS
        if self.channels_first:
            if last and not first:
                raise PredictionsError(
                    f"{name}: pictures of {shape} have their channels last",
                    hint="leave --channels-first out",
                )
            return (*shape[1:], shape[0])
        if first and not last:
            raise PredictionsError(
                f"{name}: expected pictures of (H, W, C), found {shape}",
                hint="--channels-first reads (C, H, W)",
            )
        return shape

    def last(self, pictures: Array) -> Array:
        """(…, H, W, C)."""
        return np.moveaxis(pictures, -3, -1) if self.channels_first else pictures

    def levels(self, name: str, pictures: Array) -> tuple[Array, bool]:
        """The truth as uint8, and whether that lost anything."""
        if pictures.dtype == np.uint8:
            return pictures, False
        unit = self._unit(name, pictures, _ROUNDING)
        scaled = np.clip(unit, 0, 1) * np.float32(255)
        levels = np.rint(scaled)
        return levels.astype(np.uint8), bool((np.abs(scaled - levels) > 0.01).any())

    def unit(self, name: str, pictures: Array) -> Array:
        """A prediction as float32 in [0, 1], which it may leave a little."""
        if pictures.dtype == np.uint8:
            return pictures.astype(np.float32) / 255
        return self._unit(name, pictures, _OVERSHOT)

    def _unit(self, name: str, pictures: Array, beyond: float) -> Array:
        if pictures.dtype.kind != "f":
            raise PredictionsError(
                f"{name}: expected pictures as uint8 or floats, found {pictures.dtype}"
            )
        pictures = pictures.astype(np.float32, copy=False)
        low, high = RANGES[self.range]
        known = pictures[np.isfinite(pictures)] if not np.isfinite(pictures).all() else pictures
        if known.size:
            ends = float(known.min()), float(known.max())
            slack = beyond * (high - low)
            if ends[0] < low - slack or ends[1] > high + slack:
                raise self._outside(name, ends)
        if (low, high) == (0.0, 1.0):
            return pictures
        return np.asarray((pictures - np.float32(low)) / np.float32(high - low))

    def _outside(self, name: str, ends: tuple[float, float]) -> PredictionsError:
        fitting = next((x for x, (a, b) in RANGES.items() if a <= ends[0] and ends[1] <= b), None)
        hint = (
            f"--range {fitting} would fit"
            if fitting
            else f"no --range fits ({', '.join(RANGES)}): are they pictures? A vector has one axis"
        )
        found = f"{ends[0]:.4g} to {ends[1]:.4g}"
        return PredictionsError(
            f"{name}: expected pictures in {self.range}, found {found}", hint=hint
        )


def rows_where(bad: Array) -> str:
    """`window 3, step 7` of the first True of (B, T, …)."""
    window, step = (int(x[0]) for x in np.nonzero(bad.reshape(*bad.shape[:2], -1).any(-1)))
    return f"window {window + 1}, step {step + 1}"
