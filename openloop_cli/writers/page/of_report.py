"""Report -> what a page shows of it that moves: windows, videos, traces."""

from collections.abc import Sequence

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.grid import prediction_rows, to_levels
from openloop_cli.openloop import OpenLoop
from openloop_cli.report import Report
from openloop_cli.writers.page.media import Media, Trace, make_player, order_windows

MOST_DIMENSIONS = 12


def report_media(report: Report, fps: float = 10) -> Media:
    """The windows, videos and traces of one report."""
    loop = report.loop
    windows = order_windows(*leading_errors(report))
    players = []
    for key in loop.image_keys:
        rows = prediction_rows(loop.truth[key], to_levels(loop.model.prediction[key]))
        players.append(
            make_player(key, rows, windows, loop.context, fps, share=len(loop.image_keys))
        )
    return Media(
        windows, loop.context, loop.reward.shape[1], fps, tuple(players),
        tuple(make_traces(report, [w.index for w in windows])),
    )  # fmt: skip


def leading_errors(report: Report) -> tuple[Array, str]:
    """The error of each window, (B,), by which they are ordered, and its metric."""
    keys = [*report.loop.image_keys, *report.loop.vector_keys]
    tree = report.observations[keys[0]]
    metric = {"image": "psnr", "continuous": "symlog_mse", "discrete": "mistakes"}[tree["kind"]]
    errors = np.asarray(tree["per_window"]["model"], np.float64)
    known = np.isfinite(errors)
    means = np.where(known, errors, 0).sum(1) / np.maximum(known.sum(1), 1)
    return means, metric


def make_traces(report: Report, order: Sequence[int]) -> list[Trace]:
    """Reward and each dimension of each vector key, of these windows."""
    loop = report.loop
    traces = [Trace("reward", loop.reward[order], {"predicted": loop.model.reward[order]})]
    for key in loop.vector_keys:
        recorded = _flat(loop.truth[key])[order].astype(np.float32)
        recorded = np.where(np.isneginf(recorded), 0, recorded)
        predicted = _flat(loop.model.prediction[key])[order].astype(np.float32)
        spread = _spread(loop, key, order)
        # Those that move the most tell the most.
        moved = np.argsort(-recorded.std((0, 1)), kind="stable")[:MOST_DIMENSIONS]
        for d in sorted(int(i) for i in moved):
            title = f"{key} {d}" if recorded.shape[-1] > 1 else key
            low = high = None
            if spread is not None:
                low, high = predicted[..., d] - spread[..., d], predicted[..., d] + spread[..., d]
            traces.append(
                Trace(title, recorded[..., d], {"predicted": predicted[..., d]}, low, high)
            )
    return traces


def _spread(loop: OpenLoop, key: str, order: Sequence[int]) -> Array | None:
    """Two standard deviations of the futures, (W, T, D); NaN while observing."""
    if not loop.futures or key not in loop.futures.std:
        return None
    std = _flat(loop.futures.std[key])[order]
    seen = np.full((len(std), loop.context, std.shape[-1]), np.nan, np.float32)
    return np.concatenate([seen, 2 * std], 1)


def _flat(x: Array) -> Array:
    """(B, T, …) -> (B, T, D)."""
    return x.reshape((*x.shape[:2], -1))
