"""What a run recorded of itself, for logs: the episodes of its replay, what its trainer logged
last before the checkpoint, and how large model and replay are.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from openloop_cli.arrays import Params
from openloop_cli.jobs.sources import above
from openloop_cli.replay import episode_scores
from openloop_cli.run import Run
from openloop_cli.storage import remote

TRAIN_LOG = "metrics.jsonl"
# Of a stranger's log: more than any trainer writes.
_MOST_BYTES, _LONGEST_LINE, _MOST_NAMES, _LONGEST_NAME = 1 << 32, 1 << 20, 1000, 200
_STEP = re.compile(rb'\{"step": ?(\d{1,18})[,}]')


def recorded(run: Run, params: Params) -> dict[str, Any]:
    """The part `recorded` of a metrics tree.

    Args:
      params: Those that a rollout uses.
    """
    replay = run.replay
    lengths = [chunk.length for chunk in replay.chunks]
    items = run.config.item_length
    found: dict[str, Any] = {
        "episodes": asdict(_scores(replay)),
        "replay": {
            "chunks": len(lengths),
            "steps": sum(lengths),
            "streams": len(replay.links.streams()),
            "items": int(replay.links.starts(items).sum()) if items else None,
            "bytes": sum(_size(chunk.path) for chunk in replay.chunks),
            "bytes_in_memory": sum(lengths)
            * sum(math.prod(x.shape) * x.dtype.itemsize for x in replay.keys.values()),
        },
        "modules": _modules(params),
    }
    step = run.checkpoint.step
    if step is not None and (log := _train_log(run.checkpoint.path)) is not None:
        with log.open("rb") as file:
            train = _last_before(file, step * (run.config.action_repeat or 1))
        if train is not None:
            found["train"] = train
    return found


_scores = lru_cache(maxsize=1)(episode_scores)  # for all checkpoints of a batch


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # it is gone, which reading tells where it matters


def _modules(params: Params) -> dict[str, int]:
    """Parameters by the first part of their names."""
    count: Counter[str] = Counter()
    for name, array in params.items():
        count[name.partition("/")[0]] += array.size
    return dict(count)


def _train_log(checkpoint: Path) -> Path | None:
    """The trainer's own JSON lines, in the run folder above a checkpoint. Not over a network."""
    if remote(checkpoint):
        return None
    for folder in above(checkpoint):
        path = folder / TRAIN_LOG
        try:
            if path.is_file() and path.stat().st_size <= _MOST_BYTES:
                return path
        except OSError:
            return None
    return None


def _last_before(file: BinaryIO, step: int) -> dict[str, Any] | None:
    """The last line with the trainer's metrics at this step or before: its step, and the numbers.

    A run that went back to an older checkpoint wrote steps again: the later lines count.
    """
    last = b""
    for line in _lines(file):
        match = _STEP.match(line)
        if match and int(match[1]) <= step and b'"train/' in line:
            last = line
    try:
        tree = json.loads(last)
    except (ValueError, RecursionError):
        return None
    numbers = {
        name: float(value)
        for name, value in tree.items()
        if name.startswith("train/") and len(name) <= _LONGEST_NAME
        if type(value) in (int, float) and math.isfinite(value)
    }
    return {"step": tree["step"], "metrics": dict(list(numbers.items())[:_MOST_NAMES])}


def _lines(file: BinaryIO) -> Iterable[bytes]:
    """Whole lines; one that is too long, or that is still being written, is none."""
    while line := file.readline(_LONGEST_LINE):
        whole = line.endswith(b"\n")
        if whole:
            yield line
        while line and not whole:  # the rest of a long one
            line = file.readline(_LONGEST_LINE)
            whole = line.endswith(b"\n")
