"""The facts about a path. Plain values only: `dataclasses.asdict` makes JSON of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Module:
    """The parameters whose names begin with `name`; `read` are the bytes that a report reads."""

    name: str
    arrays: int
    parameters: int
    bytes: int
    share: float
    dtypes: tuple[str, ...]
    read: int


@dataclass(frozen=True)
class CheckpointFacts:
    """One checkpoint; `bytes` are those of its files, `read` those that a report reads."""

    path: str
    format: str
    files: tuple[str, ...]
    bytes: int
    read: int
    step: int | None
    time: str
    counters: Mapping[str, int]
    complete: bool
    parameters: int
    world_model_parameters: int
    modules: tuple[Module, ...]


@dataclass(frozen=True)
class Save:
    """One checkpoint among several; `problem` says why it cannot be read."""

    name: str
    step: int | None
    time: str
    complete: bool
    bytes: int
    problem: str = ""


@dataclass(frozen=True)
class RunFacts:
    """Settings, where they come from, and the reference's size that they are nearest to."""

    source: str | None
    name: str
    task: str
    report_length: int
    replay_context: int
    preset: str
    preset_differs: tuple[str, ...]
    model: Mapping[str, Any]


@dataclass(frozen=True)
class SpaceFacts:
    """One key; `kind` is image, continuous or discrete."""

    kind: str
    shape: tuple[int, ...]
    dtype: str
    classes: int


@dataclass(frozen=True)
class SpacesFacts:
    """Where the spaces were learnt, and both kinds by key."""

    source: str
    observations: Mapping[str, SpaceFacts]
    actions: Mapping[str, SpaceFacts]


@dataclass(frozen=True)
class EpisodeFacts:
    """Starts, and the lengths of those episodes whose end is known as well."""

    starts: int
    complete: int
    shortest: int | None
    mean: float | None
    longest: int | None


@dataclass(frozen=True)
class WindowFacts:
    """Windows of the run's length: all, and those without a start in the imagined half."""

    length: int
    replay_context: int
    fit: int
    without_resets: int


@dataclass(frozen=True)
class ReplayFacts:
    """The readable chunks; `damaged` has the others by file name, each with the reason."""

    chunks: int
    steps: int
    streams: int
    bytes: int
    oldest: str
    newest: str
    episodes: EpisodeFacts
    windows: WindowFacts | None
    keys: Mapping[str, Mapping[str, Any]]
    damaged: Mapping[str, str]
    duplicates: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """What a path holds. `kind` is run folder, checkpoint, replay or chunk."""

    path: str
    kind: str
    checkpoint: CheckpointFacts | None = None
    checkpoints: tuple[Save, ...] = ()
    run: RunFacts | None = None
    spaces: SpacesFacts | None = None
    replay: ReplayFacts | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
