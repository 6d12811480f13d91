"""What was named on the command line or in a table -> checkpoints, each with its own replay.

A name is a checkpoint folder, its agent.pkl, a `ckpt` or run folder (all its checkpoints), or a
glob of those. A name that leads nowhere stays in the list and fails in its turn: others wait.
"""

import csv
import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from openloop_cli.checkpoints import find_checkpoints
from openloop_cli.errors import CheckpointError, ConfigError, OptionError, ReplayError
from openloop_cli.storage import RemotePath, each, place, remote, within

COLUMNS = ("checkpoint", "replay", "config", "name")
MAX_TABLE_BYTES = 16 * 2**20
_LEVELS = 4  # from RUN/ckpt/agent/TIME/agent.pkl up to RUN
_BEYOND = "\n"  # no column's name: what a row has more of than there are columns


@dataclass(frozen=True)
class Source:
    """One checkpoint and what goes with it.

    Attributes:
      name: What to call its run; empty takes the run folder's name.
    """

    checkpoint: Path
    replay: tuple[Path, ...]
    config: Path | None = None
    name: str = ""


def expand(
    names: Iterable[str], replay: Sequence[Path], config: Path | None = None, name: str = ""
) -> list[Source]:
    """The checkpoints that these names mean, each once, in the order given.

    Raises:
      CheckpointError: A glob that no checkpoint matches.
    """
    found: dict[str, Source] = {}
    for text in names:
        for folder in _checkpoints(text):
            found.setdefault(str(absolute(folder)), Source(folder, tuple(replay), config, name))
    return list(found.values())


def from_runs(pattern: str) -> tuple[list[Source], list[str]]:
    """All checkpoints of all run folders that a glob matches, each with its own run's replay.

    Returns:
      The checkpoints, and a line for each folder that was passed over.

    Raises:
      CheckpointError: No run folder matches.
    """
    sources: list[Source] = []
    notes: list[str] = []
    runs = _matches(pattern)
    for run, found in zip(runs, each(_try_run, runs), strict=True):
        if isinstance(found, CheckpointError):
            notes.append(f"skipped {found.message}")
            continue
        sources += [Source(folder, (run,)) for folder in found]
    if not sources:
        raise CheckpointError(
            f"--runs {pattern}: no run folder with a checkpoint matches",
            hint="quote the glob, such as --runs 'logdir/*', or name a .yaml or .csv table",
        )
    return sources, notes


def from_table(path: Path) -> list[Source]:
    """A table with the columns checkpoint, replay, config, name; all but the first may be empty.

    Its paths are relative to the table's folder; a table on this machine may name addresses, too.
    Without a replay, it is that of the run folder in which the checkpoint lies. YAML holds a list
    of rows, in which replay may be a list.

    Raises:
      ConfigError, CheckpointError, RemoteError: The row, and what is wrong with it.
    """
    sources: list[Source] = []
    for number, row in enumerate(_rows(path), 1):
        place = f"{path}: row {number}"
        unknown = [str(column) for column in row if column not in COLUMNS]
        if unknown:
            raise ConfigError(
                f"{place}: no column {unknown[0]!r}", hint=f"there are {', '.join(COLUMNS)}"
            )
        cells = {column: _cell(row, column, place) for column in COLUMNS}
        if len(cells["checkpoint"]) != 1:
            raise ConfigError(f"{place}: expected one checkpoint")
        folder = path.parent
        config = within(folder, cells["config"][0]) if cells["config"] else None
        name = cells["name"][0] if cells["name"] else ""
        replay = [within(folder, text) for text in cells["replay"]]
        checkpoint = within(folder, cells["checkpoint"][0])
        for source in expand([str(checkpoint)], replay, config, name):
            try:
                own = source.replay or (own_run(source.checkpoint),)
            except ReplayError as error:
                raise ConfigError(
                    f"{place}: {error.message}", hint="fill in the column replay"
                ) from None
            sources.append(Source(source.checkpoint, own, config, name))
    if not sources:
        raise ConfigError(f"{path}: no rows", hint=f"its columns are {', '.join(COLUMNS)}")
    return sources


def own_run(checkpoint: Path) -> Path:
    """The run folder that a checkpoint belongs to: the nearest one upwards that has a replay.

    Raises:
      ReplayError: There is none.
    """
    for folder in above(checkpoint):
        # The script `parallel` saves the replay's own state as ckpt/replay.
        if folder.name != "ckpt" and (folder / "replay").is_dir():
            return folder
    raise ReplayError(
        f"{checkpoint}: no folder above it has a replay", hint="name the replay, or the run folder"
    )


def above(checkpoint: Path) -> Iterator[Path]:
    """What was named as a checkpoint, and the folders above it up to where its run can lie."""
    start = absolute(checkpoint)
    yield start
    yield from list(start.parents)[:_LEVELS]


def absolute(path: Path) -> Path:
    """From the root on, without `..`, and with links as they are."""
    if remote(path):
        return path
    return Path(os.path.abspath(path))  # noqa: PTH100 (resolve() follows links)


def _checkpoints(text: str) -> list[Path]:
    path = place(text).expanduser()
    if not glob.has_magic(str(path)) or path.exists():
        try:
            return find_checkpoints(path)
        except CheckpointError:
            return [path]
    # A glob also matches what is none, such as `latest`.
    found = each(_try_checkpoints, _matches(text))
    folders = [x for inner in found if not isinstance(inner, CheckpointError) for x in inner]
    if not folders:
        raise CheckpointError(
            f"{text}: no checkpoint matches", hint="expected folders with an agent.pkl"
        )
    return folders


def _matches(pattern: str) -> list[Path]:
    path = place(pattern)
    if (far := remote(path)) is not None:
        return [cast(Path, x) for x in sorted(_remote_matches(far))]
    names = glob.glob(str(path.expanduser()))  # noqa: PTH207 (may be absolute)
    return [Path(name) for name in sorted(names)]


def _remote_matches(pattern: RemotePath) -> Iterable[RemotePath]:
    """From the last folder on that is named without a wildcard."""
    root = pattern
    while glob.has_magic(root.key) and root.parent != root:
        root = root.parent
    if glob.has_magic(root.key):
        raise OptionError(f"{pattern}: wildcards are not supported in a bucket's name")
    rest = pattern.relative_to(root).as_posix()
    return [root] if rest == "." else root.glob(rest)


def _try_run(run: Path) -> list[Path] | CheckpointError:
    return _try_checkpoints(run) if run.is_dir() else []


def _try_checkpoints(path: Path) -> list[Path] | CheckpointError:
    try:
        return find_checkpoints(path)
    except CheckpointError as error:
        return error


def _rows(path: Path) -> list[Mapping[str, Any]]:
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise ConfigError(f"{path}: {path.stat().st_size} bytes, too large for a table")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    if path.suffix.lower() == ".csv":
        try:
            rows: list[Mapping[str, Any]] = list(
                csv.DictReader(text.splitlines(), restkey=_BEYOND, strict=True)
            )
        except csv.Error as error:
            raise ConfigError(f"{path}: not CSV: {error}") from None
        for number, row in enumerate(rows, 1):
            if _BEYOND in row:
                raise ConfigError(f"{path}: row {number}: more cells than there are columns")
        return rows
    return _yaml_rows(path, text)


def _yaml_rows(path: Path, text: str) -> list[Mapping[str, Any]]:
    # Imported here: the reader takes longer to import than `openloop --help` should.
    from openloop_cli.config.yaml_text import parse_yaml

    tree = parse_yaml(path, text)
    if not isinstance(tree, list) or not all(isinstance(row, Mapping) for row in tree):
        raise ConfigError(
            f"{path}: expected a list of rows", hint="- checkpoint: runs/a/ckpt, one for each"
        )
    return tree


def _cell(row: Mapping[str, Any], column: str, place: str) -> list[str]:
    """The texts of a cell; none where it is empty."""
    value = row.get(column)
    values = value if isinstance(value, list) else [value]
    if not all(text is None or isinstance(text, (str, int)) for text in values):
        raise ConfigError(f"{place}: {column}: expected text, found {value!r}")
    return [str(text) for text in values if text not in (None, "")]
