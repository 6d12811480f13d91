"""A path -> the facts about it."""

import math
import re
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from openloop_cli.checkpoints import Checkpoint
from openloop_cli.checkpoints.names import MODULES as AGENT
from openloop_cli.config import RunConfig, nearest_preset
from openloop_cli.errors import CheckpointError
from openloop_cli.inspection.facts import (
    CheckpointFacts,
    EpisodeFacts,
    Inspection,
    Module,
    ReplayFacts,
    RunFacts,
    Save,
    SpaceFacts,
    SpacesFacts,
    WindowFacts,
)
from openloop_cli.inspection.known import Known
from openloop_cli.replay import Replay, count_windows, episode_lengths, summarize
from openloop_cli.spaces import Space, Spaces

WORLD_MODEL = tuple(name for name in AGENT if name not in ("val", "pol"))
_ORDER = (*AGENT, "slowval", "slowval_count", "retnorm", "valnorm", "advnorm")
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(?:F\d*)?")


def describe(path: Path, known: Known) -> Inspection:
    """All facts; this opens every chunk of a replay."""
    replay = _replay_facts(known) if known.replay else None
    return Inspection(
        path=str(path),
        kind=_kind(path, known),
        checkpoint=_checkpoint_facts(known.checkpoint, known) if known.checkpoint else None,
        checkpoints=tuple(_save(folder, found) for folder, found in known.saves),
        run=_run_facts(known.config, known.spaces) if known.config else None,
        spaces=_spaces_facts(known.spaces, known.spaces_from) if known.spaces else None,
        replay=replay,
        problems=tuple(known.problems),
        notes=tuple(known.notes),
    )


def _kind(path: Path, known: Known) -> str:
    if known.checkpoint and known.replay:
        return "run folder"
    if known.checkpoint:
        return "checkpoint"
    return "replay" if path.is_dir() else "chunk"


def _checkpoint_facts(found: Checkpoint, known: Known) -> CheckpointFacts:
    needed = set(known.expected) or {
        name for name in found.params if name.split("/")[0] in (*WORLD_MODEL, "val")
    }
    modules = _modules(found, needed)
    return CheckpointFacts(
        path=str(found.path),
        format=_format(found),
        files=tuple(file.name for file in found.files),
        bytes=found.nbytes,
        read=sum(module.read for module in modules),
        step=found.step,
        time=_time(found.path.name) or _modified(found.files),
        counters=dict(found.counters),
        complete=found.complete,
        parameters=sum(module.parameters for module in modules if module.name in AGENT),
        world_model_parameters=sum(
            module.parameters for module in modules if module.name in WORLD_MODEL
        ),
        modules=modules,
    )


def _format(found: Checkpoint) -> str:
    if found.files[0].name == "checkpoint.pkl":
        return "DreamerV3 checkpoint.pkl of December 2024"
    return "DreamerV3 agent.pkl" + (f", {len(found.files)} shards" * (len(found.files) > 1))


def _save(folder: Path, found: Checkpoint | CheckpointError) -> Save:
    if isinstance(found, Checkpoint):
        time = _time(folder.name) or _modified(found.files)
        return Save(folder.name, found.step, time, found.complete, found.nbytes)
    return Save(folder.name, None, _time(folder.name), False, 0, found.message)


def _modules(found: Checkpoint, needed: set[str]) -> tuple[Module, ...]:
    """By the first part of the names: the world model's, the agent's, others, the optimizer's."""
    names: dict[str, list[str]] = {}
    for name in found.params:
        names.setdefault(name.split("/")[0], []).append(name)
    total = sum(ref.nbytes for ref in found.params.values())
    modules = []
    for module in sorted(names, key=_place):
        refs = [found.params[name] for name in names[module]]
        nbytes = sum(ref.nbytes for ref in refs)
        modules.append(
            Module(
                name=module,
                arrays=len(refs),
                parameters=sum(math.prod(ref.shape) for ref in refs),
                bytes=nbytes,
                share=nbytes / max(1, total),
                dtypes=tuple(sorted({str(ref.dtype) for ref in refs})),
                read=sum(ref.nbytes for ref in refs if ref.name in needed),
            )
        )
    return tuple(modules)


def _place(module: str) -> tuple[int, str]:
    if module in _ORDER:
        return _ORDER.index(module), ""
    return len(_ORDER) + (module == "opt"), module


def _run_facts(config: RunConfig, spaces: Spaces | None) -> RunFacts:
    images = bool(spaces.images) if spaces else config.source is not None
    preset = nearest_preset(config.model, images=images) or ("", ())
    return RunFacts(
        source=str(config.source) if config.source else None,
        name=config.name,
        task=config.task,
        report_length=config.report_length,
        replay_context=config.replay_context,
        preset=preset[0],
        preset_differs=preset[1],
        model=asdict(config.model),
    )


def _spaces_facts(spaces: Spaces, source: str) -> SpacesFacts:
    def facts(pairs: Iterable[tuple[str, Space]]) -> dict[str, SpaceFacts]:
        return {key: _space_facts(space) for key, space in pairs}

    return SpacesFacts(source, facts(spaces.obs), facts(spaces.act))


def _space_facts(space: Space) -> SpaceFacts:
    kind = "image" if space.is_image else "discrete" if space.classes else "continuous"
    return SpaceFacts(kind, space.shape, space.dtype, space.classes)


def _replay_facts(known: Known) -> ReplayFacts:
    assert known.replay is not None
    found = summarize(known.replay)
    lengths = episode_lengths(known.replay)
    return ReplayFacts(
        chunks=found.chunks,
        steps=found.steps,
        streams=found.streams,
        bytes=found.bytes,
        oldest=_time(found.oldest) or found.oldest,
        newest=_time(found.newest) or found.newest,
        episodes=EpisodeFacts(
            starts=found.episodes,
            complete=len(lengths),
            shortest=int(lengths.min()) if lengths.size else None,
            mean=float(lengths.mean()) if lengths.size else None,
            longest=int(lengths.max()) if lengths.size else None,
        ),
        windows=_window_facts(known.replay, known.config) if known.config else None,
        keys={
            key: {"dtype": str(info.dtype), "shape": info.shape} for key, info in found.keys.items()
        },
        damaged={path.name: why for path, why in found.damaged.items()},
        duplicates=tuple(path.name for path in found.duplicates),
    )


def _window_facts(replay: Replay, config: RunConfig) -> WindowFacts:
    length, start = config.report_length, config.replay_context
    fit, safe = count_windows(replay, length=length, replay_context=start, context=length // 2)
    return WindowFacts(length, start, fit, safe)


def _time(name: str) -> str:
    """`20261120T130245F687877` -> `2026-11-20 13:02:45`; empty for other names."""
    match = _TIME.fullmatch(name)
    return "{}-{}-{} {}:{}:{}".format(*match.groups()) if match else ""


def _modified(files: Iterable[Path]) -> str:
    newest = max(file.stat().st_mtime for file in files)
    return f"{datetime.fromtimestamp(newest, UTC):%Y-%m-%d %H:%M:%S} UTC, by the file's date"
