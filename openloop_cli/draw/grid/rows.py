"""What a picture is made of: labelled rows of videos, uint8 (B, T, H, W, 3).

The error row is coloured: blue where the prediction is too dark, orange where it is too bright,
black where it is right. These two hues differ for every common kind of colour blindness. Each
pixel shows the channel that is farthest off, with its sign: a mean over channels would hide a
wrong hue of the right brightness. The colours are linear in the error and full at ±64 levels of
255, in every picture, so that two pictures can be compared by eye.
"""

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from openloop_cli.arrays import Array

_FULL = 64
_COLOURS = 3
# Of one image; no picture has rows for more.
MOST_CHANNELS = 16
_TOO_DARK = (77, 166, 255)
_RIGHT = (0, 0, 0)
_TOO_BRIGHT = (255, 159, 46)


@dataclass(frozen=True)
class Legend:
    """A colour scale, (N, 3) uint8 from low to high, with its numbers and what its ends mean."""

    ramp: Array
    ticks: tuple[str, str, str]
    ends: tuple[str, str]


@dataclass(frozen=True)
class Row:
    """One video of each window, (B, T, H, W, 3) uint8, and what it is called.

    Attributes:
      channel: From 1, of a row that shows it alone, beside those of the picture.
    """

    label: str
    video: Array
    note: str = ""
    legend: Legend | None = None
    channel: int | None = None


def prediction_rows(truth: Array, prediction: Array) -> list[Row]:
    """Truth, prediction and error: (B, T, H, W, C) uint8 twice -> three rows, and two more for each
    channel that the first ones do not show."""
    return [
        image_row("truth", truth, note="what happened"),
        image_row("prediction", prediction, note="what the model shows"),
        *_channel_rows(truth, prediction),
        error_row(truth, prediction),
    ]


def future_rows(truth: Array, futures: Array, spread: Array) -> list[Row]:
    """Truth, several imagined futures, their spread, and the error of the first.

    Args:
      truth: (B, T, H, W, C) uint8.
      futures: (F, B, T, H, W, C) uint8; while observing they are all the same.
      spread: Standard deviation over all futures in levels, (B, T, H, W, C).
    """
    return [
        image_row("truth", truth, note="what happened"),
        *(
            image_row(f"future {i + 1}", future, note="" if i else "what the model shows")
            for i, future in enumerate(futures)
        ),
        *_channel_rows(truth, futures[0], of="future 1"),
        spread_row(spread),
        error_row(truth, futures[0], label="error of future 1"),
    ]


def _channel_rows(truth: Array, prediction: Array, of: str = "prediction") -> list[Row]:
    """Further channels in gray, the model's under the truth: (B, T, H, W, C) uint8 twice."""
    return [
        replace(
            image_row(f"{label}, channel {channel + 1}", video[..., channel : channel + 1]),
            channel=channel + 1,
        )
        for channel in further_channels(truth.shape[-1])
        for label, video in (("truth", truth), (of, prediction))
    ]


def spread_row(spread: Array, *, label: str = "spread") -> Row:
    """How much the futures differ, as heat: (B, T, H, W, C) in levels; the largest channel.

    A NaN counts as 0: futures of nothing but NaN are all the same black.
    """
    ramp = _heat()
    levels = np.nan_to_num(np.clip(spread.max(-1), 0, _FULL)).round().astype(np.intp)
    legend = Legend(ramp, ("0", f"{_FULL // 2}", f"{_FULL}+"), ("agree", "differ"))
    return Row(label, ramp[levels], "of all futures", legend)


def image_row(label: str, video: Array, *, note: str = "") -> Row:
    """A row of pictures as they are: (B, T, H, W, C) uint8; of many channels, which are shown."""
    channels = video.shape[-1]
    if channels == 2:
        note = "channel 1 of 2"
    elif channels > _COLOURS:
        note = f"channels 1 to 3 of {channels}"
    return Row(label, as_rgb(video), note)


def further_channels(channels: int) -> range:
    """Those, from 0, that have gray rows of their own, since a picture has one or three."""
    drawn = _COLOURS if channels >= _COLOURS else 1
    return range(drawn, min(channels, MOST_CHANNELS))


def channels_note(key: str, channels: int, style: str) -> str:
    """Which channels of an image key a picture shows; empty where it shows all as they are."""
    if channels in (1, _COLOURS):
        return ""
    gray = further_channels(channels) if style != "reference" else range(0)
    parts = ["channel 1 in gray" if channels == 2 else "channels 1 to 3 as red, green, blue"]
    if len(gray) > 1:
        parts.append(f"{gray.start + 1} to {gray.stop} in gray rows of their own")
    elif gray:
        parts.append(f"{gray.stop} in a gray row of its own")
    drawn = gray.stop if gray else (1 if channels == 2 else _COLOURS)
    rest = f"; {channels - drawn} more are not drawn" if drawn < channels else ""
    return f"{key} has {channels} channels: drawn are {', '.join(parts)}{rest}"


def error_row(truth: Array, prediction: Array, *, label: str = "error") -> Row:
    """Prediction less truth, coloured: (B, T, H, W, C) uint8 twice. All channels count."""
    difference = np.moveaxis(prediction.astype(np.int16) - truth, -1, 0)
    highest, lowest = reduce(np.maximum, difference), reduce(np.minimum, difference)
    farthest = np.where(highest >= -lowest, highest, lowest)
    ramp = _diverging()
    shown = ramp[255 - _FULL : 255 + _FULL + 1]
    legend = Legend(shown, (f"-{_FULL}", "0", f"+{_FULL}"), ("too dark", "too bright"))
    return Row(label, ramp[farthest + 255], legend=legend)


def as_rgb(video: Array) -> Array:
    """(…, C) -> (…, 3): one channel as gray, of two the first, of more the first three."""
    if video.shape[-1] < _COLOURS:
        return np.broadcast_to(video[..., :1], (*video.shape[:-1], _COLOURS))
    return video[..., :_COLOURS]


def _heat() -> Array:
    """The colour of a spread of 0 to _FULL levels, dark to light: (_FULL + 1, 3)."""
    points = np.array([(0, 0, 0), (120, 28, 109), (237, 105, 37), (252, 255, 164)], np.float64)
    levels = np.linspace(0, _FULL, len(points))
    channels = [np.interp(np.arange(_FULL + 1), levels, points[:, i]) for i in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)


def _diverging() -> Array:
    """The colour of every error from -255 to 255: (511, 3)."""
    levels = [-_FULL, 0, _FULL]
    points = np.array([_TOO_DARK, _RIGHT, _TOO_BRIGHT], np.float64)
    errors = np.arange(-255, 256)
    channels = [np.interp(errors, levels, points[:, i]) for i in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)
