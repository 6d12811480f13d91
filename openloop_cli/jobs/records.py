"""What a batch remembers beside its results, so that it can be stopped and started again.

`.openloop/<name>.json` is written last of an item's files. It holds what the item was made from
(the checkpoint's files, the options, the version) and the size of each result. An item is finished
when all of that is still so, and its metrics.json can be read and names the same files.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import openloop_cli
from openloop_cli.checkpoints import find_checkpoint, list_files
from openloop_cli.config import settings_file
from openloop_cli.errors import CheckpointError, MetricsError, RemoteError
from openloop_cli.jobs.loading import ReportJob
from openloop_cli.jobs.outcome import finished
from openloop_cli.jobs.plan import Item
from openloop_cli.jobs.sources import absolute
from openloop_cli.results.metrics_file import read_metrics
from openloop_cli.results.outcome import DONE, FAILED, SKIPPED, Outcome
from openloop_cli.storage import RemotePath, each, place, remote
from openloop_cli.storage.atomic import sweep_partials, write_text

FOLDER = ".openloop"
VERSION = 1
# Results that a metrics.json does not list: itself, and what it names elsewhere.
BESIDE = ("metrics", "windows")
# What changes no result but its last digits (where it was computed), or is told by the checkpoint's
# own identity or the remembered windows.
_NO_OPTIONS = ("checkpoint", "config", "cache", "device", "windows", "recorded")

Identity = Mapping[str, Any]


def identify(job: ReportJob) -> Identity:
    """What a checkpoint is known by without reading it: its files, and its settings' hash.

    Raises:
      CheckpointError: It is not there, or no checkpoint.
    """
    folder = find_checkpoint(job.checkpoint)
    try:
        found = list_files(folder)
        stats = [(path.name, path.stat()) for path in sorted(found)]
        config = settings_file(job.config, folder)
        settings = hashlib.sha256(config.read_bytes()).hexdigest() if config else None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise CheckpointError(f"{error.filename or folder}: {reason}") from None
    except RemoteError as error:  # of one checkpoint, which fails in its turn
        raise CheckpointError(error.message, hint=error.hint) from None
    files = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
    return {"files": files, "config": settings}


def write_record(folder: Path, item: Item, identity: Identity, outcome: Outcome) -> None:
    """Remembers how an item ended.

    Raises:
      OutputError: The folder cannot be written.
    """
    tree = {
        "version": VERSION,
        "openloop": openloop_cli.__version__,
        "status": outcome.status,
        "error": outcome.error,
        "checkpoint": str(item.job.checkpoint),
        "identity": identity,
        "sha256": outcome.sha256,
        "options": options_digest(item.job, folder),
        "files": {name: [path.name, path.stat().st_size] for name, path in outcome.files.items()},
    }
    write_text(_path(folder, item.name), json.dumps(tree, indent=1) + "\n")


def remember_failure(folder: Path, item: Item, outcome: Outcome) -> None:
    """For the index of other shards, and so that no older results pass for this checkpoint's.

    A mistaken option must not cost what was made with the right ones: then nothing is remembered.

    Raises:
      OutputError: The folder cannot be written.
    """
    if made_otherwise(folder, item):
        return
    forget(folder, item)
    try:
        identity = identify(item.job)
    except CheckpointError:
        identity = {}
    write_record(folder, item, identity, outcome)


def look_up(folder: Path, item: Item) -> Outcome | None:
    """How an item ended before: whole results that were made with the same options, or a failure.

    Whether they were made from the same parameters and windows is not asked here.
    """
    record = _read(folder, item.name)
    if record is None or record["options"] != options_digest(item.job, folder):
        return None
    if record["status"] == FAILED:
        return Outcome(item.name, item.job.checkpoint, FAILED, record["error"])
    files = {name: folder / path for name, (path, _) in record["files"].items()}
    metrics = item.job.metrics
    try:
        if any(files[name].stat().st_size != record["files"][name][1] for name in files):
            return None
        if metrics is None or files.get("metrics") != metrics:
            return None
        tree = read_metrics(metrics)
        named = {name: path.name for name, path in files.items() if name not in BESIDE}
        if tree["files"] != named or tree["checkpoint"]["sha256"] != record["sha256"]:
            return None
        return finished(item, tree, files, SKIPPED)
    except (OSError, MetricsError, KeyError, TypeError, AttributeError):
        return None


def recorded(folder: Path, run: Path) -> list[Path]:
    """The checkpoints of a run that ended here before, in the order of their items' names.

    Records of a folder on the network lead nowhere else: what lies outside the run is left out.
    """
    names = sorted(path.stem for path in (folder / FOLDER).glob("*.json"))
    records = each(lambda name: _read(folder, name), names)
    found = [place(record["checkpoint"]) for record in records if record]
    own = absolute(run)
    return [path for path in found if not remote(folder) or own in (path, *path.parents)]


def made_from(folder: Path, item: Item) -> Identity:
    """What the results that are there were made from; empty when nothing is known."""
    record = _read(folder, item.name)
    return record["identity"] if record and record["status"] == DONE else {}


def made_otherwise(folder: Path, item: Item) -> bool:
    """Whether there are results, made with other options."""
    record = _read(folder, item.name)
    if record is None or record["status"] != DONE:
        return False
    return bool(record["options"] != options_digest(item.job, folder))


def forget(folder: Path, item: Item) -> None:
    """Before an item is made anew: its old record, and what a hard kill left half written."""
    with suppress(OSError):
        _path(folder, item.name).unlink(missing_ok=True)
    sweep(folder, item.name)


def sweep(folder: Path, name: str) -> None:
    """Removes what killed processes left half written of an item, its record included."""
    sweep_partials(folder, name)
    sweep_partials(folder / FOLDER, name)


def options_digest(job: ReportJob, folder: Path) -> str:
    """A hash of all options that the results depend on; paths within the folder by their names."""
    told = {f.name: _told(getattr(job, f.name), folder) for f in fields(job)}
    told["openloop"] = openloop_cli.__version__
    text = json.dumps({k: v for k, v in told.items() if k not in _NO_OPTIONS}, sort_keys=True)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _told(value: Any, folder: Path) -> Any:
    if isinstance(value, (Path, RemotePath)):
        same = value.parent == folder
        return value.name if same else str(absolute(cast(Path, value)))
    if isinstance(value, tuple):
        return [_told(x, folder) for x in value]
    return value


def _path(folder: Path, name: str) -> Path:
    return folder / FOLDER / f"{name}.json"


def _read(folder: Path, name: str) -> dict[str, Any] | None:
    """The record, None where there is none that can be trusted."""
    kinds = {"status": str, "error": str, "checkpoint": str, "sha256": str, "options": str}
    try:
        tree = json.loads(_path(folder, name).read_text(encoding="utf-8"))
        if not isinstance(tree, dict) or tree.get("version") != VERSION:
            return None
        if not all(isinstance(tree.get(key), kind) for key, kind in kinds.items()):
            return None
        files, identity = tree.get("files"), tree.get("identity")
        if not isinstance(files, dict) or not isinstance(identity, dict):
            return None
        if not all(_is_file(entry) for entry in files.values()):
            return None
    except (OSError, ValueError, RecursionError):
        return None
    return tree


def _is_file(entry: Any) -> bool:
    """[name, size], the name without a way out of the folder."""
    if not (isinstance(entry, list) and len(entry) == 2):
        return False
    name, size = entry
    return isinstance(name, str) and name == Path(name).name and isinstance(size, int)
