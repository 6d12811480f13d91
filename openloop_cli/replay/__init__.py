"""Replay: chunks on disk -> windows of steps, linked across chunks and episode-safe.

    replay = open_replay(path)                                   # file names only
    choice = choose_windows(replay, length=64, ..., seed=0)      # opens what it draws from
    windows = read_windows(replay, choice.ids, length=64, ...)   # (B, K + T, …)

`choose_and_read` does the last two and works around chunks whose damage shows only on reading.
"""

from openloop_cli.replay.choose import Choice, choose_windows
from openloop_cli.replay.episodes import count_windows, episode_lengths
from openloop_cli.replay.index import KeyInfo, Replay, open_replay
from openloop_cli.replay.names import ChunkInfo
from openloop_cli.replay.scores import Scores, episode_scores
from openloop_cli.replay.summary import ReplaySummary, summarize
from openloop_cli.replay.windows import (
    LATENTS,
    Windows,
    choose_and_read,
    is_window_id,
    parse_window,
    read_windows,
)

__all__ = [
    "LATENTS",
    "Choice",
    "ChunkInfo",
    "KeyInfo",
    "Replay",
    "ReplaySummary",
    "Scores",
    "Windows",
    "choose_and_read",
    "choose_windows",
    "count_windows",
    "episode_lengths",
    "episode_scores",
    "is_window_id",
    "open_replay",
    "parse_window",
    "read_windows",
    "summarize",
]
