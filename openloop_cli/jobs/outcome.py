"""The outcome of an item, small enough to keep for hundreds, and its progress on the way."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openloop_cli.errors import OpenloopError, ReplayError
from openloop_cli.jobs.plan import Item
from openloop_cli.results.entries import DRAWN, PAIRED
from openloop_cli.results.outcome import DONE, FAILED, WAITING, Outcome

READING, ROLLING, ENCODING = "reading", "rolling out", "encoding"

# The stages of a job, as `run_job` names them, in the words of a batch.
STAGES = {
    "open": READING,
    "read": READING,
    "roll out": ROLLING,
    "draw": ENCODING,
    "encode": ENCODING,
    "measure": ENCODING,
    "write arrays": ENCODING,
    "write page": ENCODING,
    "write metrics": ENCODING,
}


@dataclass(frozen=True)
class Event:
    """An item has come to a stage, or has come to its end with an outcome."""

    name: str
    stage: str
    outcome: Outcome | None = None


class NotYetError(ReplayError):
    """The replay does not hold what was asked for, but may later."""


OnEvent = Callable[[Event], None]


def finished(
    item: Item, tree: Mapping[str, Any], files: Mapping[str, Path], status: str = DONE
) -> Outcome:
    """The outcome of an item whose metrics are there."""
    return Outcome(
        name=item.name,
        checkpoint=item.job.checkpoint,
        status=status,
        seconds=sum(tree["timings"].values()),
        run=str(tree["run"]["name"]),
        step=tree["checkpoint"]["step"],
        headline=tree["headline"],
        files=dict(files),
        notes=tuple(tree["notes"]),
        sha256=tree["checkpoint"]["sha256"],
        group=_group(tree["rollout"]),
    )


def _group(rollout: Mapping[str, Any]) -> str:
    text = json.dumps([rollout.get(name) for name in (*PAIRED, *DRAWN)])
    return hashlib.sha256(text.encode()).hexdigest()


def failed(item: Item, error: OpenloopError | OSError | MemoryError) -> Outcome:
    """The outcome of an item that raised; it waits where it may succeed later."""
    if isinstance(error, OpenloopError):
        message, hint = error.message, error.hint
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        message, hint = f"{where}{error.strerror or type(error).__name__}", ""
    else:
        message, hint = "out of memory", "use fewer --num-windows or --samples"
    status = WAITING if isinstance(error, NotYetError) else FAILED
    return Outcome(item.name, item.job.checkpoint, status, " ".join(message.split()), hint)
