"""Where the numbers of a report come from, as metrics.json tells it."""

import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import openloop_cli
from openloop_cli.jobs.loading import Loaded, ReportJob
from openloop_cli.quantities import DEFINITIONS
from openloop_cli.replay import Choice
from openloop_cli.results import metrics_file
from openloop_cli.run import Run, params_sha256
from openloop_cli.storage.shown import shown_path, shown_text
from openloop_cli.text import plural


def provenance(job: ReportJob, loaded: Loaded, device: str) -> dict[str, Any]:
    """All of metrics.json that is no result: what was rolled out, how, and with what."""
    run, choice = loaded.run, loaded.choice
    checkpoint, replay, config = run.checkpoint, run.replay, run.config
    notes = [*checkpoint.notes, *config.notes, *_replay_notes(run, choice), *loaded.notes]
    return {
        "format": metrics_file.FORMAT,
        "version": metrics_file.VERSION,
        "openloop": openloop_cli.__version__,
        "run": {"name": run.name, "task": config.task},
        "checkpoint": {
            "path": shown_path(checkpoint.path, redact=job.redact),
            "step": checkpoint.step,
            "counters": dict(checkpoint.counters),
            "complete": checkpoint.complete,
            "sha256": params_sha256(loaded.params),
            "parameters": sum(x.size for x in loaded.params.values()),
        },
        "config": {
            "source": shown_path(config.source, redact=job.redact) if config.source else None,
            "model": asdict(config.model),
            "replay_context": config.replay_context,
            "action_repeat": config.action_repeat,
        },
        "replay": {
            "paths": [shown_path(path, redact=job.redact) for path in job.replay],
            "chunks": len(replay.chunks),
            "damaged": {path.name: reason for path, reason in replay.damaged.items()},
            "candidates": choice.candidates if choice else None,
            "passed_over": choice.passed_over if choice else None,
        },
        "rollout": {
            "windows": list(loaded.windows.ids),
            "episodes": list(loaded.windows.episodes),
            "apart": loaded.windows.apart,
            "selection": selection_of(job),
            "length": loaded.length,
            "context": loaded.context,
            "seed": job.seed,
            "latents": job.latents,
            "start": "stored" if loaded.windows.starts_stored else "zeros",
            "samples": job.samples,
            "dtype": config.model.compute_dtype,
            "device": device,
            **versions("jax", "jaxlib", "numpy"),
            "python": platform.python_version(),
        },
        "notes": [shown_text(note, redact=job.redact) for note in notes],
        "definitions": DEFINITIONS,
        **({"recorded": dict(loaded.recorded)} if loaded.recorded else {}),
    }


def selection_of(job: ReportJob) -> str:
    """How its windows are chosen."""
    if job.windows:
        return "given"
    return "any" if job.allow_resets else "episode-safe"


def _replay_notes(run: Run, choice: Choice | None) -> list[str]:
    notes = []
    if run.replay.damaged:
        notes.append(run.replay.damage_line())
    if run.replay.duplicates:
        count = len(run.replay.duplicates)
        notes.append(
            f"{plural(count, 'chunk')} {'are' if count > 1 else 'is'} there twice; one is used"
        )
    return [*notes, *(choice.notes if choice else ())]


def versions(*packages: str) -> dict[str, str | None]:
    """Of packages, by name; None of what is not installed."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
