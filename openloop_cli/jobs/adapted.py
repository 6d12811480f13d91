"""A report on somebody's own model: windows of a replay, its futures, the same baselines.

No jax of ours is imported; what the model imports is its own affair.
"""

import platform
from pathlib import Path
from typing import Any

import numpy as np

import openloop_cli
from openloop_cli.arrays import Array
from openloop_cli.errors import OptionError
from openloop_cli.jobs.loading import (
    ReportJob,
    check_distinct,
    check_job,
    file_stem,
    outputs,
    with_outputs,
)
from openloop_cli.jobs.provenance import selection_of, versions
from openloop_cli.jobs.report import Clock, JobResult, OnVideo, RolledOut, start_report, write_job
from openloop_cli.models.adapter import Adapter, load_adapter
from openloop_cli.quantities import DEFINITIONS
from openloop_cli.replay import Choice, Replay, Windows, choose_and_read, open_replay, read_windows
from openloop_cli.reporting import make_report
from openloop_cli.results import metrics_file
from openloop_cli.rollout.result import Evaluation, Futures, OpenLoop, Trace, kind_of
from openloop_cli.spaces import is_no_observation
from openloop_cli.storage.atomic import check_writable
from openloop_cli.storage.shown import shown_path
from openloop_cli.text import clean

_LENGTH = 64
_SCALARS = ("is_first", "is_last", "is_terminal", "reward")


def run_adapted(job: ReportJob, clock: Clock, on_video: OnVideo) -> JobResult:
    """What `run_job` does, of the model that `job.model` names.

    Raises:
      OpenloopError: Saying what is wrong with the model, the replay, an option or an output.
    """
    check_job(job)
    if job.grow:
        raise OptionError("--num-windows auto with --model: expected a number")
    with clock.stage("open", 0.0):
        adapter = load_adapter(job.model, job.checkpoint)
        name = job.model.rpartition(":")[2]
        job = with_outputs(job, file_stem(name))
        check_distinct(outputs(job))
        for path in outputs(job).values():
            check_writable(path)
        replay = open_replay(job.replay or (job.checkpoint,))
    with clock.stage("read", 0.05):
        choice, windows = _windows(job, replay)
    with clock.stage("roll out", 0.25):
        loop = roll_out_adapter(adapter, job, windows)
    report = make_report(loop, name=name, keys=job.keys)
    told = _provenance(job, name, replay, choice, loop)
    rolled_out = RolledOut(report, told, *start_report(job, report), usage=None)
    return write_job(job, rolled_out, clock, on_video)


def roll_out_adapter(adapter: Adapter, job: ReportJob, windows: Windows) -> OpenLoop:
    """Its futures, and those from shuffled actions and from other contexts.

    Raises:
      ModelError: The model's own code fails, or returns something else.
      OptionError: The replay has no actions of that name.
    """
    data, context = windows.data, _context(job)
    names = _action_keys(job, data)
    actions = {key: _delayed(data[key]) for key in names}
    seen = {key: x for key, x in data.items() if key not in names and not is_no_observation(key)}
    observed = {key: x[:, :context] for key, x in seen.items()}
    members = adapter.futures(observed, actions, job.samples, job.seed)
    whole = adapter.reconstructed(seen, actions)
    keys = [key for key in members if whole is None or key in whole]
    truth = {key: _truth(seen[key]) for key in keys}

    def trace(ahead: dict[str, Array]) -> Trace:
        return Trace({key: ahead[key][:, 0] for key in keys})

    def model(ahead: dict[str, Array]) -> dict[str, Array]:
        before = whole or {key: _unit(x) for key, x in truth.items()}
        return {key: np.concatenate([before[key][:, :context], ahead[key][:, 0]], 1)
                for key in keys}  # fmt: skip

    evaluation = None
    if job.evaluate:
        mixed = _shuffled(actions, context, job.seed)
        others = {key: np.roll(x, 1, 0) for key, x in observed.items()}
        several = len(windows.ids) > 1
        evaluation = Evaluation(
            posterior=Trace({key: whole[key] for key in keys}) if whole else None,
            shuffled=trace(adapter.futures(observed, mixed, 1, job.seed)),
            other=trace(adapter.futures(others, actions, 1, job.seed)) if several else None,
        )
    moving = {k: x.swapaxes(0, 1) for k, x in members.items()
              if k in keys and _kind(truth[k]) != "discrete"}  # fmt: skip
    futures = Futures(
        mean={key: x.mean(0) for key, x in moving.items()},
        std={key: x.std(0) for key, x in moving.items()},
        kept=moving,
        reward=None,
        cont=None,
        losses={},
    )
    return OpenLoop(
        ids=windows.ids,
        context=context,
        truth=truth,
        reward=data["reward"].astype(np.float32),
        terminal=data["is_terminal"],
        model=Trace(model(members)),
        futures=futures if job.samples > 1 and moving else None,
        evaluation=evaluation,
        actions=actions,
        reconstructs=whole is not None,
        episodes=windows.episodes,
        apart=windows.apart,
    )


def _windows(job: ReportJob, replay: Replay) -> tuple[Choice | None, Windows]:
    length, context = job.length or _LENGTH, _context(job)
    keys = [key for key in replay.keys if key in _SCALARS or not is_no_observation(key)]
    if job.windows:
        found = read_windows(replay, job.windows, length=length, replay_context=0, keys=keys)
        return None, found
    return choose_and_read(
        replay,
        length=length,
        replay_context=0,
        context=context,
        count=job.num_windows,
        seed=job.seed,
        allow_resets=job.allow_resets,
        keys=keys,
    )


def _context(job: ReportJob) -> int:
    length = job.length or _LENGTH
    context = job.context if job.context is not None else length // 2
    if not 1 <= context < length:
        raise OptionError(f"--context {context}: expected 1 to {length - 1}, below --length")
    return context


def _action_keys(job: ReportJob, data: Any) -> tuple[str, ...]:
    named = job.actions or tuple(
        key for key in data if key == "action" or key.startswith("action/")
    )
    missing = [key for key in named if key not in data]
    if missing or not named:
        told = f"no {clean(missing[0])!r}" if missing else "no 'action'"
        there = ", ".join(key for key in data if not is_no_observation(key))
        raise OptionError(
            f"{told} in the replay, which has {there}", hint="name the actions with --actions"
        )
    return named


def _shuffled(actions: dict[str, Array], context: int, seed: int) -> dict[str, Array]:
    """Those of the imagined steps, between windows and steps; the same permutation for all keys."""
    first = next(iter(actions.values()))
    order = np.random.default_rng(seed).permutation(first.shape[0] * (first.shape[1] - context))
    mixed = {}
    for key, x in actions.items():
        ahead = x[:, context:]
        rows = ahead.reshape((-1, *x.shape[2:]))[order].reshape(ahead.shape)
        mixed[key] = np.concatenate([x[:, :context], rows], 1)
    return mixed


def _delayed(action: Array) -> Array:
    """The one that led to each step; zeros for the first."""
    return np.concatenate([np.zeros_like(action[:, :1]), action[:, :-1]], 1)


def _kind(truth: Array) -> str:
    return kind_of(truth.dtype, truth.shape[2:])


def _truth(recorded: Array) -> Array:
    return recorded.astype(np.float32, copy=False) if recorded.dtype.kind == "f" else recorded


def _unit(truth: Array) -> Array:
    """As predictions are."""
    return truth.astype(np.float32) / 255 if _kind(truth) == "image" else truth


def _provenance(
    job: ReportJob, name: str, replay: Replay, choice: Choice | None, loop: OpenLoop
) -> dict[str, Any]:
    shown = [shown_path(Path(path), redact=job.redact) for path in job.replay]
    notes = list(choice.notes) if choice else []
    if job.evaluate and not loop.reconstructs:
        notes.append(
            "the model does not reconstruct: the decoder's floor is unknown, and skill is raw,"
            " against the true last frame"
        )
    return {
        "format": metrics_file.FORMAT,
        "version": metrics_file.VERSION,
        "openloop": openloop_cli.__version__,
        "run": {"name": name, "task": ""},
        "checkpoint": {
            "path": shown_path(job.checkpoint, redact=job.redact),
            "step": None,
            "counters": {},
            "complete": True,
        },
        "replay": {
            "paths": shown or [shown_path(job.checkpoint, redact=job.redact)],
            "chunks": len(replay.chunks),
            "damaged": {path.name: reason for path, reason in replay.damaged.items()},
            "candidates": choice.candidates if choice else None,
            "passed_over": choice.passed_over if choice else None,
        },
        "rollout": {
            "model": job.model,
            "windows": list(loop.ids),
            "episodes": list(loop.episodes),
            "apart": loop.apart,
            "selection": selection_of(job),
            "length": loop.length,
            "context": loop.context,
            "seed": job.seed,
            "samples": job.samples,
            **versions("numpy"),
            "python": platform.python_version(),
        },
        "notes": notes,
        "definitions": DEFINITIONS,
    }
