"""The official DreamerV3 run folder: find its checkpoints, read one.

    ckpt/<time>/{agent,replay,step}.pkl + done, ckpt/latest     script `train`
    ckpt/agent/<time>/agent.pkl + done, ckpt/agent/latest       script `parallel`,
    ckpt/logger/<time>/step.pkl                                 which keeps the step elsewhere
    checkpoint.pkl                                          before elements 3.19,
                                                            December 2024

On the web, where folders cannot be listed, only the others are asked for, and of a run's
checkpoints only the one that `latest` names.

`agent.pkl` may be split into `agent-0000.pkl`, `agent-0001.pkl`, ... Its value is
`{'params': {name: array}, 'counters': {name: int}}`; other entries are passed over. The one file
of December 2024 holds that value as `agent`, beside `step`.
"""

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from openloop_cli.checkpoints.checkpoint import Checkpoint
from openloop_cli.checkpoints.names import without_prefix
from openloop_cli.checkpoints.others import other_hint, other_kind
from openloop_cli.checkpoints.pickle.array_ref import ArrayRef, disk_errors, file_version, open_file
from openloop_cli.checkpoints.pickle.reader import index_pickle
from openloop_cli.checkpoints.pickle.values import StoredArray, plain
from openloop_cli.errors import CheckpointError, RemoteError
from openloop_cli.storage import each, may_read, remote

_ONE_FILE = "checkpoint.pkl"
_AGENT_FILE = re.compile(r"agent(-\d{4,5})?\.pkl|checkpoint\.pkl")
_STEP = "step.pkl"
_PLAIN_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,200}")
_STEP_IN_NAME = re.compile(r".*-(\d{12})")


def find_checkpoint(path: Path) -> Path:
    """The checkpoint folder that `path` means.

    Args:
      path: A checkpoint folder, its `agent.pkl` or first shard, a `ckpt` folder (its latest),
        or a run folder.
    """
    return _locate(path)[0]


def find_checkpoints(path: Path) -> list[Path]:
    """All checkpoint folders of a run or `ckpt` folder, oldest first; at least one."""
    with disk_errors(path):
        own = _own_folder(path)
        if own is None and not _can_list(path):
            return [_named_by_latest(path)]
        folders = [own] if own else _candidates(_checkpoint_root(path))
    if not folders:
        raise _nothing_found(path)
    return folders


def read_checkpoint(path: Path) -> Checkpoint:
    """Index the checkpoint that `path` means; arrays are read later, by name."""
    folder, notes = _locate(path)
    with disk_errors(folder):
        files = _agent_files(folder)
        # The one file is renamed when it is whole.
        complete = may_read(folder / "done") or files == (folder / _ONE_FILE,)
    if not files:
        raise _nothing_found(folder)
    if not complete:
        notes.append("no `done` file: the copy may be incomplete")
    params: dict[str, ArrayRef] = {}
    counters: dict[str, int] = {}
    nbytes = 0
    own_step: int | None = None
    for file in files:
        size, own_step = _add_file(file, params, counters)
        nbytes += size
    if not params:
        raise CheckpointError(f"{files[0]}: no parameters in it")
    renamed, names_notes = without_prefix(params)
    if names_notes:
        params = {name: replace(ref, name=name) for name, ref in renamed.items()}
    one_file = files[0].name == _ONE_FILE
    step, step_notes = (own_step, []) if one_file else _find_step(folder)
    return Checkpoint(
        path=folder,
        files=files,
        step=step,
        counters=counters,
        params=params,
        complete=complete,
        notes=(*notes, *names_notes, *step_notes),
        nbytes=nbytes,
    )


def list_files(folder: Path) -> list[Path]:
    """The files of a checkpoint folder by which one save can be told from another.

    Raises:
      OSError, OpenloopError: The folder cannot be looked at.
    """
    if _can_list(folder):
        return [x for x in folder.iterdir() if _AGENT_FILE.fullmatch(x.name) or x.name == _STEP]
    steps = [folder / _STEP] if (folder / _STEP).exists() else []
    return [*_agent_files(folder), *steps]


def _locate(path: Path) -> tuple[Path, list[str]]:
    """The checkpoint folder and remarks on how it was chosen."""
    with disk_errors(path):
        own = _own_folder(path)
        if own:
            return own, []
        if not _can_list(path):
            return _named_by_latest(path), []
        root = _checkpoint_root(path)
        folders = _candidates(root)
    if not folders:
        raise _nothing_found(path)
    named = _read_latest(root)
    if named and root / named in folders:
        return root / named, []
    with disk_errors(root):
        done = each(lambda folder: (folder / "done").exists(), folders)
        whole = [folder for folder, there in zip(folders, done, strict=True) if there]
    folder = (whole or folders)[-1]
    reason = f"`latest` names {plain(named)}, which is no checkpoint" if named else "no `latest`"
    return folder, [f"{reason}: took {folder.name}, the newest"]


def _own_folder(path: Path) -> Path | None:
    """`path` when it is a checkpoint itself, or a file of one."""
    if not path.is_dir():
        path.stat()  # says why, when it is missing
        if not _AGENT_FILE.fullmatch(path.name):
            raise _of_another_kind(path) or CheckpointError(
                f"{path}: expected agent.pkl or a folder",
                hint="give the checkpoint folder, the run folder, or agent.pkl",
            )
        return path.parent
    return path if _agent_files(path) else None


def _of_another_kind(path: Path) -> CheckpointError | None:
    """The error that says whose checkpoint is there instead."""
    if remote(path) is not None or (found := other_kind(path)) is None:
        return None
    file, kind = found
    where = path if path.is_file() else f"{path}: {plain(file)}"
    return CheckpointError(f"{where}: a checkpoint of {kind}", hint=other_hint(kind))


def _agent_files(folder: Path) -> tuple[Path, ...]:
    """`agent.pkl`, else the shards, which must be numbered without a gap."""
    # The reference's loader prefers the whole file too.
    if (folder / "agent.pkl").exists():
        return (folder / "agent.pkl",)
    if not _can_list(folder):
        return _asked_shards(folder)
    # In a run folder with newer checkpoints as well, those count.
    if (folder / _ONE_FILE).is_file() and not (folder / "ckpt").is_dir():
        return (folder / _ONE_FILE,)
    shards = [file for file in folder.glob("agent-*.pkl") if _AGENT_FILE.fullmatch(file.name)]
    shards.sort(key=lambda file: int(file.stem[len("agent-") :]))
    for number, file in enumerate(shards):
        if file.name != f"agent-{number:04d}.pkl":
            raise CheckpointError(
                f"{folder}: shard agent-{number:04d}.pkl is missing, found {file.name}",
                hint="copy all shards of the checkpoint",
            )
    return tuple(shards)


def _can_list(folder: Path) -> bool:
    place = remote(folder)
    return place is None or place.lists


def _asked_shards(folder: Path) -> tuple[Path, ...]:
    """The shards up to the first number that is not there."""
    shards: list[Path] = []
    while (file := folder / f"agent-{len(shards):04d}.pkl").exists() and len(shards) < 10_000:
        shards.append(file)
    return tuple(shards)


def _named_by_latest(path: Path) -> Path:
    """The checkpoint in a run or `ckpt` folder whose other contents cannot be listed."""
    for root in (path, path / "ckpt", path / "ckpt" / "agent", path / "agent"):
        named = _read_latest(root) if (root / "latest").exists() else ""
        # A name and nothing else: what a server says leads to no other place.
        if _PLAIN_NAME.fullmatch(named) and _agent_files(root / named):
            return root / named
    raise CheckpointError(
        f"{path}: neither agent.pkl nor a `latest` that names a checkpoint is there",
        hint="a folder on the web cannot be listed: give the checkpoint's folder or its agent.pkl",
    )


def _checkpoint_root(path: Path) -> Path:
    """The folder that holds the `<time>` folders."""
    root = path / "ckpt" if (path / "ckpt").is_dir() else path
    if (root / "agent").is_dir() and not _candidates(root):
        return root / "agent"
    return root


def _candidates(root: Path) -> list[Path]:
    """Checkpoint folders, oldest first: their names are times, or hold the step."""
    inside = [x for x in root.iterdir() if x.name != "latest" and x.is_dir()]
    files = each(_agent_files, inside)
    # The one file lies in a run folder: several of these are several runs.
    folders = [
        folder
        for folder, found in zip(inside, files, strict=True)
        if found and found[0].name != _ONE_FILE
    ]
    return sorted(folders, key=lambda folder: _natural(folder.name))


def _natural(name: str) -> list[tuple[int, str]]:
    """`step_200` before `step_1000`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name)]


_DIGITS = re.compile(r"([0-9]+)")


def _read_latest(root: Path) -> str:
    """The folder name in `latest`; empty when there is none."""
    with disk_errors(root):
        if not (root / "latest").is_file():
            return ""
    with open_file(root / "latest") as file:
        return file.read(256).decode("utf-8", errors="replace").strip()


def _nothing_found(path: Path) -> CheckpointError:
    with suppress(OSError, RemoteError):
        if path.suffix == ".npz" or next(iter(path.glob("*-*-*-*.npz")), None):
            return CheckpointError(
                f"{path}: this is a replay, not a checkpoint",
                hint="name the checkpoint first, then the replay",
            )
    return _of_another_kind(path) or CheckpointError(
        f"{path}: no checkpoint in it, expected a folder with agent.pkl",
        hint="give the run folder, its ckpt folder, or a checkpoint folder",
    )


def _add_file(
    file: Path, params: dict[str, ArrayRef], counters: dict[str, int]
) -> tuple[int, int | None]:
    """Index one file into `params` and `counters`; its size, and the step where it holds it."""
    # Asked before the file is read, so that a change on the way shows.
    version = file_version(file)
    value, size = index_pickle(file)
    step: int | None = None
    if file.name == _ONE_FILE and isinstance(value, dict):
        step, value = _whole_number(value.get("step"), file, size), value.get("agent")
    if not isinstance(value, dict) or not isinstance(value.get("params"), dict):
        raise CheckpointError(
            f"{file}: expected a dict with 'params'", hint="is it a DreamerV3 agent.pkl?"
        )
    for name, array in value["params"].items():
        if not isinstance(name, str) or not isinstance(array, StoredArray):
            kind = type(array).__name__
            raise CheckpointError(f"{file}: params/{plain(str(name))}: expected an array: {kind}")
        if name in params:
            raise CheckpointError(f"{file}: params/{plain(name)}: is in {params[name].path} too")
        params[name] = _array_ref(name, array, file, size, version)
    for name, count in _counters(file, value.get("counters", {}), size).items():
        if counters.setdefault(name, count) != count:
            raise CheckpointError(
                f"{file}: counter {plain(name)} is {count}, in another shard {counters[name]}",
                hint="the shards come from different saves",
            )
    return size, step


def _array_ref(
    name: str, array: StoredArray, file: Path, file_size: int, version: str = ""
) -> ArrayRef:
    payload = array.payload
    assert payload is not None, "index_pickle leaves no array without contents"
    return ArrayRef(
        name=name,
        shape=array.shape,
        dtype=array.dtype.newbyteorder("="),
        order=array.order,
        path=file,
        offset=payload.offset,
        nbytes=math.prod(array.shape) * array.dtype.itemsize,
        file_size=file_size,
        stored=payload.stored,
        latin1=payload.latin1,
        swapped=not array.dtype.isnative,
        axes=array.axes,
        inline=payload.data if payload.offset < 0 else None,
        version=version,
    )


def _counters(file: Path, value: object, size: int) -> Mapping[str, int]:
    if not isinstance(value, dict):
        raise CheckpointError(f"{file}: counters: expected a dict of whole numbers")
    counters = {str(name): _whole_number(number, file, size) for name, number in value.items()}
    for name, number in counters.items():
        if number is None:
            raise CheckpointError(f"{file}: counters/{plain(name)}: expected a whole number")
    return {name: number for name, number in counters.items() if number is not None}


def _whole_number(value: object, file: Path, size: int) -> int | None:
    """An int, or a NumPy scalar of one: the `parallel` script's step is a sum by NumPy."""
    if type(value) is int:
        return value
    if isinstance(value, StoredArray) and value.shape == () and value.dtype.kind in "iu":
        return int(_array_ref("", value, file, size, file_version(file)).read())
    return None


def _find_step(folder: Path) -> tuple[int | None, list[str]]:
    """The step of `folder`, wherever this layout keeps it, and remarks."""
    folder = folder.absolute()  # its parents' names matter
    with disk_errors(folder):
        if may_read(folder / _STEP):
            return _read_step(folder / _STEP), []
    in_name = _STEP_IN_NAME.fullmatch(folder.name)
    if in_name:
        return int(in_name[1]), []
    logger = folder.parent.parent / "logger"
    if folder.parent.name != "agent" or not _can_list(folder):
        return None, []
    with disk_errors(logger):
        saves = sorted(logger.glob("*/step.pkl")) if logger.is_dir() else []
    if not saves:
        return None, []
    # The two are saved by different processes. The last save before the agent's is nearest.
    earlier = [file for file in saves if file.parent.name <= folder.name]
    file = earlier[-1] if earlier else saves[0]
    note = f"step from {file.parent.parent.name}/{file.parent.name}, saved apart from the agent"
    return _read_step(file), [note]


def _read_step(file: Path) -> int:
    value, size = index_pickle(file)
    step = _whole_number(value, file, size)
    if step is None:
        raise CheckpointError(f"{file}: expected a whole number")
    return step
