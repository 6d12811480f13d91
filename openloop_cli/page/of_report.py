"""Report -> what a page shows of it that moves: windows, videos, traces."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.measures.measure import imagined_error
from openloop_cli.page.media import Media, Trace, make_player, order_windows
from openloop_cli.reporting import image_rows

if TYPE_CHECKING:
    from openloop_cli.draw.grid import Row
    from openloop_cli.reporting import Report
    from openloop_cli.rollout.result import OpenLoop

MOST_DIMENSIONS = 12


def report_media(report: "Report", fps: float = 10) -> Media:
    """The windows, videos and traces of one report; does not wait for all its numbers."""
    error, metric = imagined_error(report.loop, next(iter(report.image_keys or report.loop.kinds)))
    known = np.isfinite(error)
    mean = np.where(known, error, 0).sum(1) / np.maximum(1, known.sum(1))
    windows = order_windows(mean, metric)
    loop = report.loop.take(np.array([window.index for window in windows]))
    shown = [x for key in loop.image_keys for x in _by_channel(key, image_rows(loop, key))]
    players = [
        make_player(title, rows, windows, loop.context, fps, len(shown)) for title, rows in shown
    ]
    traces = tuple(make_traces(loop))
    return Media(windows, loop.context, loop.length, fps, tuple(players), traces)


def _by_channel(key: str, rows: Sequence["Row"]) -> list[tuple[str, list["Row"]]]:
    """A picture's rows, and those of each channel that has its own: more beside each other would
    be too small to see."""
    channels = dict.fromkeys(row.channel for row in rows)
    return [
        (
            key if channel is None else f"{key}, channel {channel}",
            [row for row in rows if row.channel == channel],
        )
        for channel in channels
    ]


def make_traces(loop: "OpenLoop") -> list[Trace]:
    """Reward and each dimension of each vector key."""
    traces = []
    if loop.reward is not None:
        expected = loop.model.reward
        traces.append(
            Trace("reward", loop.reward, {} if expected is None else {"predicted": expected})
        )
    for key in loop.vector_keys:
        recorded = _flat(loop.truth[key]).astype(np.float32)
        recorded = np.where(np.isneginf(recorded), 0, recorded)
        predicted = _flat(loop.model.prediction[key]).astype(np.float32)
        spread = _spread(loop, key)
        # Those that move the most tell the most.
        moved = np.argsort(-recorded.std((0, 1)), kind="stable")[:MOST_DIMENSIONS]
        for d in sorted(int(i) for i in moved):
            title = f"{key}[{d}]" if recorded.shape[-1] > 1 else key
            low, high = (x[..., d] for x in spread) if spread else (None, None)
            said = {"predicted": predicted[..., d]}
            traces.append(Trace(title, recorded[..., d], said, low, high))
    return traces


def _spread(loop: "OpenLoop", key: str) -> tuple[Array, Array] | None:
    """One standard deviation of the futures around their mean, (W, T, D) twice; NaN before."""
    if not loop.futures or key not in loop.futures.std:
        return None
    mean, std = (_flat(x[key]) for x in (loop.futures.mean, loop.futures.std))
    seen = np.full((len(std), loop.context, std.shape[-1]), np.nan, np.float32)
    return np.concatenate([seen, mean - std], 1), np.concatenate([seen, mean + std], 1)


def _flat(x: Array) -> Array:
    """(B, T, …) -> (B, T, D)."""
    return x.reshape((*x.shape[:2], -1))
