"""A path -> everything that can be known of it before it is described: the parts, opened."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from openloop_cli.checkpoints import Checkpoint, find_checkpoints, read_checkpoint
from openloop_cli.checkpoints.pickle.array_ref import disk_errors
from openloop_cli.config import RunConfig, find_config, infer_config, read_config
from openloop_cli.errors import CheckpointError, ConfigError, OpenloopError, ReplayError
from openloop_cli.keys import infer_spaces, named_keys
from openloop_cli.models.dreamerv3.shapes import disagreements, expected_shapes, heads_of
from openloop_cli.replay import Replay, open_replay
from openloop_cli.run import put_together
from openloop_cli.spaces import Spaces, spaces_of_params

# A checkpoint lies up to three folders below its run (`ckpt/agent/<time>`).
_NEAR = 4
_HINT = "give a run folder, a checkpoint folder, agent.pkl, a replay folder or a chunk"


@dataclass
class Known:
    """What was found; `problems` and `notes` are lines for the user.

    Attributes:
      saves: All checkpoint folders, oldest first, each read or the reason why not.
      expected: Shape by name of all parameters that settings and spaces ask for.
    """

    checkpoint: Checkpoint | None = None
    saves: list[tuple[Path, Checkpoint | CheckpointError]] = field(default_factory=list)
    replay: Replay | None = None
    config: RunConfig | None = None
    spaces: Spaces | None = None
    spaces_from: str = ""
    expected: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape by name of every array of the checkpoint."""
        assert self.checkpoint is not None
        return {name: ref.shape for name, ref in self.checkpoint.params.items()}


def open_path(path: Path) -> Known:
    """Opens a checkpoint, a replay or both, and finds the settings and spaces that go with them.

    Raises:
      OpenloopError: There is nothing known at `path`, or nothing of it can be read.
    """
    known = Known()
    with disk_errors(path):
        if not path.exists():
            raise OpenloopError(f"{path}: no such file or folder", hint=_HINT)
    _open(path, known)
    if known.checkpoint:
        _settle(known)
    elif config := find_config(path):
        _read_config(known, config)
    return known


def _open(path: Path, known: Known) -> None:
    """Fills in the checkpoint, the replay, or both."""
    failures: dict[type, OpenloopError] = {}
    if path.suffix != ".npz" or path.is_dir():
        try:
            _read_checkpoints(path, known)
        except CheckpointError as error:
            failures[CheckpointError] = error
    if path.suffix == ".npz" or path.is_dir():
        try:
            known.replay = open_replay(path)
        except ReplayError as error:
            failures[ReplayError] = error
    if not (known.checkpoint or known.replay):
        raise _nothing(path, failures)
    for kind, folder in ((CheckpointError, "ckpt"), (ReplayError, "replay")):
        if kind in failures and (path / folder).is_dir() and path.name != "ckpt":
            known.problems.append(failures[kind].message)


def _nothing(path: Path, failures: Mapping[type, OpenloopError]) -> OpenloopError:
    """The error that fits best: the only one, or that of what the folder seems to be."""
    if not path.is_dir() or any(path.glob("agent*.pkl")) or any(path.glob("*/agent*.pkl")):
        return next(iter(failures.values()))
    if (path / "ckpt").is_dir():
        return failures[CheckpointError]
    return OpenloopError(
        f"{path}: neither a checkpoint nor a replay in it",
        hint=_HINT,
    )


def _read_checkpoints(path: Path, known: Known) -> None:
    """Fills in the checkpoint that `path` means, or the newest that can be read."""
    failure: CheckpointError | None = None
    try:
        known.checkpoint = read_checkpoint(path)
    except CheckpointError as error:
        failure = error
    for folder in find_checkpoints(path):
        chosen = known.checkpoint
        is_chosen = chosen is not None and folder.resolve() == chosen.path.resolve()
        known.saves.append((folder, chosen if chosen and is_chosen else _try(folder)))
    if failure:
        readable = [x for _, x in known.saves if isinstance(x, Checkpoint)]
        if not readable:
            raise failure
        known.checkpoint = readable[-1]
        known.problems.append(f"{failure.message}; described {readable[-1].path.name} instead")


def _try(folder: Path) -> Checkpoint | CheckpointError:
    try:
        return read_checkpoint(folder)
    except CheckpointError as error:
        return error


def _settle(known: Known) -> None:
    """Settings, spaces and expected shapes of the checkpoint, as far as they can be told."""
    assert known.checkpoint is not None
    known.notes.extend(known.checkpoint.notes)
    replay = known.replay or _replay_beside(known.checkpoint.path)
    run = None
    try:
        if replay:
            replay.expect(named_keys(known.shapes))
            known.spaces, _ = infer_spaces(known.shapes, replay.keys)
            known.spaces_from = str(replay.chunks[0].path.parent)
            run = put_together(known.checkpoint, replay)
            known.config = run.config
        else:
            _settle_alone(known)
    except OpenloopError as error:
        known.problems.append(error.message)
    if known.config is None and (config := find_config(known.checkpoint.path)):
        _read_config(known, config)
    if known.config is None:
        return
    known.notes.extend(known.config.notes)
    if known.spaces is None:
        return
    try:
        known.expected = expected_shapes(known.config.model, known.spaces, heads_of(known.shapes))
    except OpenloopError as error:
        known.problems.append(error.message)
    wrong = disagreements(known.shapes, dict(known.expected))
    if wrong and run and (told := run.settings_problem()):
        known.problems.append(told)
    known.problems.extend(wrong)


def _replay_beside(folder: Path) -> Replay | None:
    """The replay of the run that a checkpoint lies in."""
    folder = folder.resolve()
    for parent in (folder, *folder.parents[: _NEAR - 1]):
        if (parent / "replay").is_dir():
            try:
                return open_replay(parent / "replay")
            except ReplayError:
                continue  # `ckpt/replay` of the script `parallel` holds no chunks
    return None


def _settle_alone(known: Known) -> None:
    """Settings and stand-ins for the spaces, without any replay."""
    assert known.checkpoint is not None
    path = find_config(known.checkpoint.path)
    known.config = read_config(path) if path else infer_config(known.shapes)
    for outer in (known.config.model.dec.outer,) if path else (False, True):
        dec = known.config.model.dec
        spaces = spaces_of_params(
            known.shapes, channels=dec.depth * dec.mults[-1], doublings=len(dec.mults) - outer
        )
        if spaces is None:
            break
        if not path:
            area = math.prod(next(iter(spaces.images.values())).shape[:2]) if spaces.images else 0
            known.config = infer_config(known.shapes, image_area=area)
        if path or not disagreements(
            known.shapes, expected_shapes(known.config.model, spaces, heads_of(known.shapes))
        ):
            known.spaces = spaces
            known.spaces_from = "the parameters alone: no replay beside them, shapes are flat"
            return
    known.notes.append("no replay beside the checkpoint: the shapes of images cannot be told")


def _read_config(known: Known, path: Path) -> None:
    try:
        known.config = read_config(path)
    except ConfigError as error:
        if error.message not in known.problems:
            known.problems.append(error.message)
