"""What a batch remembers: what became of each item, and which windows were chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DONE, SKIPPED, FAILED, WAITING = "done", "skipped", "failed", "waiting"


@dataclass(frozen=True)
class Outcome:
    """What became of one item.

    Attributes:
      status: `done`; `skipped`, because its results were there; `failed`; or `waiting`, as
        another shard's may be.
      error: Why it failed or waits, in one line.
      seconds: That its stages took; those of several items overlap.
      files: By what they are, as `run_job` gives them.
      sha256: Of the parameters.
      group: The same for items that may be compared: equal windows and draws.
    """

    name: str
    checkpoint: Path
    status: str
    error: str = ""
    hint: str = ""
    seconds: float = 0
    run: str = ""
    step: int | None = None
    headline: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sha256: str = ""
    group: str = ""


@dataclass(frozen=True)
class Chosen:
    """What is remembered of a choice of windows.

    Attributes:
      replay: Where they were chosen.
      notes: What there was to say about it, once for all jobs.
    """

    ids: tuple[str, ...]
    replay: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
