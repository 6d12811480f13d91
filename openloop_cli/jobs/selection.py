"""Windows, chosen once for each replay and given to all jobs by their ids.

What was chosen is remembered in the batch's folder, so that a batch that resumes after a stop, its
other shards, and a watcher that starts again all measure the same steps, even where the replay has
grown since. The windows of the replay at hand are read once and shared.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from openloop_cli.errors import MetricsError, OptionError, ReplayError
from openloop_cli.jobs.loading import Loaded, ReportJob, load_job, open_job, window_steps
from openloop_cli.jobs.outcome import NotYetError
from openloop_cli.jobs.plan import Item
from openloop_cli.jobs.records import FOLDER, look_up
from openloop_cli.jobs.sources import absolute
from openloop_cli.replay import Choice, Replay, Windows, open_replay
from openloop_cli.results.metrics_file import read_metrics
from openloop_cli.results.outcome import FAILED, Chosen, Outcome
from openloop_cli.run import Run
from openloop_cli.storage import RemotePath, remote
from openloop_cli.storage.atomic import partial_name, write_text

_PREFIX = "windows-"


class Selection:
    """The windows of all jobs of a batch.

    Args:
      folder: The batch's folder.
      patient: The replay still grows: wait until it holds as many windows as asked for.
    """

    def __init__(self, folder: Path, *, patient: bool = False) -> None:
        self._folder = folder / FOLDER
        self._patient = patient
        self._chosen: dict[str, Chosen] = {}
        # Of the last replay only: those of a hundred runs would not fit.
        self._replay: tuple[Any, Replay] | None = None
        self._windows: tuple[Any, Windows] | None = None

    @property
    def chosen(self) -> tuple[Chosen, ...]:
        """All choices that were used so far."""
        return tuple(self._chosen.values())

    def open(self, job: ReportJob) -> tuple[ReportJob, Run]:
        """Opens a job's run, and names the windows that it shall measure.

        Raises:
          OpenloopError: What is wrong with its checkpoint, its replay or an option.
        """
        try:
            return self._open(job)
        except ReplayError as error:
            if not self._patient or self._chosen:
                raise
            self._replay = None
            raise NotYetError(error.message, hint=error.hint) from None

    def load(self, job: ReportJob, run: Run) -> Loaded:
        """Reads the parameters, and the windows unless the last job had the same.

        Raises:
          OpenloopError: What is wrong with the checkpoint or the replay.
        """
        length, _ = window_steps(job, run)
        key = (job.replay, job.windows, length, run.config.replay_context, run.needed_keys)
        if self._windows is None or self._windows[0] != key:
            self._windows = None
            try:
                windows = run.read_windows(job.windows, length=length)
            except ReplayError as error:
                raise ReplayError(
                    error.message,
                    hint=error.hint or "choose windows anew with --force",
                ) from None
            self._windows = (key, windows)
        return load_job(job, run, self._windows[1])

    def earlier(self, item: Item) -> Outcome | None:
        """An item's whole results from before, of the same options and windows."""
        before = look_up(self._folder.parent, item)
        if before is None or before.status == FAILED or item.job.metrics is None:
            return None
        try:
            return before if self._agrees(item.job, read_metrics(item.job.metrics)) else None
        except (MetricsError, KeyError, TypeError):
            return None

    def _agrees(self, job: ReportJob, tree: Mapping[str, Any]) -> bool:
        """Whether a metrics tree is of the windows that this job would measure."""
        rollout = tree["rollout"]
        if job.windows:
            return bool(list(job.windows) == rollout["windows"])
        key = _key(job, rollout["length"], rollout["context"], tree["config"]["replay_context"])
        known = self._remembered(key)
        return known is not None and list(known.ids) == rollout["windows"]

    def _open(self, job: ReportJob) -> tuple[ReportJob, Run]:
        if job.grow:
            raise OptionError(
                "--num-windows auto: all checkpoints measure the same windows, as many as are asked"
                " for",
                hint="pass a number",
            )
        job, run = open_job(job, self._open_replay(job.replay))
        if job.windows:
            return job, run
        length, context = window_steps(job, run)
        key = _key(job, length, context, run.config.replay_context)
        known = self._remembered(key) or self._choose(key, job, run, length, context)
        return replace(job, windows=known.ids), run

    def _open_replay(self, paths: tuple[Path, ...]) -> Replay:
        if self._replay is None or self._replay[0] != paths:
            self._replay = (paths, open_replay(paths))
        return self._replay[1]

    def _choose(self, key: str, job: ReportJob, run: Run, length: int, context: int) -> Chosen:
        # Searching finds damaged chunks, which a job that is given its windows does not look at.
        # A replay of its own keeps what is told of each job the same, chosen or remembered.
        own = replace(run, replay=open_replay(job.replay))
        choice, _ = own.choose_windows(
            length=length,
            context=context,
            num_windows=job.num_windows,
            seed=job.seed,
            allow_resets=job.allow_resets,
        )
        if self._patient and choice.shortfall:
            raise NotYetError(
                f"{job.replay[0]}: {len(choice.ids)} windows so far, expected {job.num_windows}",
                hint="wait, or use fewer --num-windows",
            )
        replay = tuple(str(path) for path in job.replay)
        chosen = Chosen(choice.ids, replay, tuple(_notes(own.replay, choice)))
        self._chosen[key] = self._keep(key, chosen)
        return self._chosen[key]

    def _remembered(self, key: str) -> Chosen | None:
        if key not in self._chosen:
            found = _read(self._path(key))
            if found is None:
                return None
            self._chosen[key] = found
        return self._chosen[key]

    def _keep(self, key: str, chosen: Chosen) -> Chosen:
        """Remembers a choice, unless another shard was first: then it is theirs."""
        path = self._path(key)
        if (far := remote(path)) is not None:
            return self._keep_remote(far, chosen)
        own = partial_name(path)
        write_text(own, _text(chosen))
        try:
            os.link(own, path)
        except FileExistsError:
            theirs = _read(path)
            if theirs is not None:
                return theirs
            own.replace(path)
        except OSError:  # a file system without links
            own.replace(path)
        finally:
            with suppress(OSError):
                own.unlink(missing_ok=True)
        return chosen

    def _keep_remote(self, path: RemotePath, chosen: Chosen) -> Chosen:
        """The same in a store, of which most can be told to write only what is not there."""
        from openloop_cli.storage import putting, stores

        try:
            putting.put(path, _text(chosen).encode(), new=True)
        except FileExistsError:
            stores.forget(path)
            theirs = _read(cast(Path, path))
            if theirs is not None:
                return theirs
            putting.put(path, _text(chosen).encode())
        return chosen

    def _path(self, key: str) -> Path:
        return self._folder / f"{_PREFIX}{key}.json"


def forget_windows(folder: Path) -> None:
    """Lets all windows be chosen anew."""
    for path in (folder / FOLDER).glob(f"{_PREFIX}*.json"):
        path.unlink(missing_ok=True)


def _key(job: ReportJob, length: int, context: int, replay_context: int) -> str:
    """A name for all that a choice depends on, but for what the replay holds."""
    parts = {
        "replay": [str(absolute(path)) for path in job.replay],
        "steps": [replay_context, context, length],
        "count": job.num_windows,
        "seed": job.seed,
        "resets": job.allow_resets,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _notes(replay: Replay, choice: Choice) -> list[str]:
    notes = []
    if replay.damaged:
        notes.append(replay.damage_line())
    return [*notes, *choice.notes]


def _text(chosen: Chosen) -> str:
    tree = {"windows": chosen.ids, "replay": chosen.replay, "notes": chosen.notes}
    return json.dumps(tree, indent=1) + "\n"


def _read(path: Path) -> Chosen | None:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        lists = [tree["windows"], tree["replay"], tree["notes"]]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    if not all(isinstance(x, list) and all(isinstance(t, str) for t in x) for x in lists):
        return None
    return Chosen(*(tuple(x) for x in lists)) if lists[0] else None
