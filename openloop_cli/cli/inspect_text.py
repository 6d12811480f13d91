"""An inspection as text on stdout: the same words on a terminal and, unwrapped, in a pipe."""

import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from openloop_cli.cli.terminal import safe_console
from openloop_cli.inspection import Inspection
from openloop_cli.inspection.facts import (
    CheckpointFacts,
    ReplayFacts,
    RunFacts,
    Save,
    SpaceFacts,
    SpacesFacts,
)

# In a pipe nothing is wrapped or cut, so that grep finds whole lines.
_PIPE_WIDTH = 4096
Lines = list[tuple[str, str]]


def print_inspection(found: Inspection) -> None:
    """Everything that was found, section by section."""
    if sys.stdout.isatty():
        _print_to(safe_console(), found)
        return
    console = safe_console(width=_PIPE_WIDTH)
    with console.capture() as capture:
        _print_to(console, found)
    sys.stdout.write("\n".join(line.rstrip() for line in capture.get().split("\n")))


def _print_to(console: Console, found: Inspection) -> None:
    console.print(Text.assemble((found.path, "bold"), f"  {found.kind}"))
    _lines(console, "Problems", found.problems, "bold red")
    if found.checkpoint:
        _pairs(console, "Checkpoint", _checkpoint(found.checkpoint, found.run))
        _print(console, _modules(found.checkpoint))
    if len(found.checkpoints) > 1 or any(save.problem for save in found.checkpoints):
        _heading(console, f"Checkpoints ({len(found.checkpoints)})")
        _print(console, _saves(found.checkpoints))
    if found.run:
        _pairs(console, "Settings", _settings(found.run))
        if found.checkpoint:
            _pairs(console, "Architecture", _architecture(found.run.model, found.spaces))
    if found.spaces:
        _heading(console, "Spaces", f"from {found.spaces.source}")
        _print(console, _spaces(found.spaces))
    if found.replay:
        _pairs(console, "Replay", _replay(found.replay))
        _print(console, _keys(found.replay.keys))
        _lines(
            console,
            f"Damaged chunks ({len(found.replay.damaged)})",
            [f"{name}: {why}" for name, why in found.replay.damaged.items()],
            "bold red",
        )
        _lines(console, "Chunks left out, copies of others", found.replay.duplicates, "bold")
    _lines(console, "Notes", found.notes, "bold yellow")


def _checkpoint(found: CheckpointFacts, run: RunFacts | None) -> Lines:
    counters = ", ".join(f"{count:,} {name}" for name, count in found.counters.items())
    share = found.read / max(1, found.bytes)
    return [
        ("folder", found.path),
        ("format", f"{found.format}, {_state(found.complete)}"),
        ("step", "unknown" if found.step is None else f"{found.step:,}"),
        ("counters", counters or "none"),
        ("saved", found.time),
        (
            "size",
            f"{size_words(found.bytes)}; a report reads {size_words(found.read)} ({share:.0%})",
        ),
        (
            "parameters",
            f"{_millions(found.parameters)}, of these the world model"
            f" {_millions(found.world_model_parameters)}{_preset(run)}",
        ),
    ]


def _preset(run: RunFacts | None) -> str:
    if not run:
        return ""
    if not run.preset:
        return "; none of the reference's sizes"
    if not run.preset_differs:
        return f"; the reference's {run.preset}"
    return f"; near the reference's {run.preset}: {'; '.join(run.preset_differs)}"


def _modules(found: CheckpointFacts) -> Table:
    table = _table("module", "arrays>", "parameters>", "size>", "share>", "dtype", "a report reads")
    for module in found.modules:
        read = "all" if module.read == module.bytes else size_words(module.read)
        table.add_row(
            module.name,
            f"{module.arrays:,}",
            f"{module.parameters:,}",
            size_words(module.bytes),
            f"{module.share:.1%}",
            ", ".join(module.dtypes),
            read if module.read else "nothing",
        )
    return table


def _saves(saves: Iterable[Save]) -> Table:
    table = _table("folder", "step>", "saved", "size>", "")
    for save in saves:
        step = "–" if save.step is None else f"{save.step:,}"
        state = save.problem or _state(save.complete)
        table.add_row(save.name, step, save.time, size_words(save.bytes), state)
    return table


def _state(complete: bool) -> str:
    return "complete" if complete else "not marked as complete"


def _settings(run: RunFacts) -> Lines:
    return [
        ("from", run.source or "no config.yaml: from the parameters, the rest assumed"),
        ("run", run.name or "–"),
        ("task", run.task or "–"),
        ("windows", f"report_length {run.report_length}, replay_context {run.replay_context}"),
    ]


def _architecture(model: Mapping[str, Any], spaces: SpacesFacts | None) -> Lines:
    enc, dyn, dec = model["enc"], model["dyn"], model["dec"]
    seen = spaces.observations.values() if spaces else ()
    images = not spaces or any(space.kind == "image" for space in seen)
    vectors = not spaces or any(space.kind != "image" for space in seen)
    states = f"{dyn['stoch']} latents of {dyn['classes']} classes"
    layers = f"layers: {dyn['dynlayers']} dynamics, {dyn['imglayers']} prior, {dyn['obslayers']}"
    absolute = " (absolute)" if dyn["absolute"] else ""
    start = f", bspace {dec['bspace']}" if dec["bspace"] else ", no bspace"
    return [
        ("encoder", _coder(enc, images, vectors, down=True)),
        (
            "RSSM",
            f"deter {dyn['deter']} in {dyn['blocks']} blocks, hidden {dyn['hidden']}, {states}",
        ),
        ("", f"{layers} posterior{absolute}; {_kinds(dyn)}, unimix {dyn['unimix']}"),
        ("decoder", _coder(dec, images, vectors, down=False) + start * images),
        ("reward", _head(model["reward"], bins=True)),
        ("continue", _head(model["cont"], bins=False)),
        ("value", _head(model["value"], bins=True)),
        ("compute", f"{model['compute_dtype']}, horizon {model['horizon']}"),
    ]


def _coder(part: Mapping[str, Any], images: bool, vectors: bool, *, down: bool) -> str:
    """One line; the decoder's stages run the other way."""
    words = []
    if images:
        stages = [part["depth"] * mult for mult in part["mults"]]
        line = ", ".join(map(str, stages if down else stages[::-1]))
        how = "strided" if part["strided"] else "pooled" if down else "repeated pixels"
        outer = ", outer" if part["outer"] else ""
        words.append(f"images: stages of {line} channels, kernel {part['kernel']}, {how}{outer}")
    if vectors:
        words.append(f"vectors: {part['layers']} × {part['units']}" + ", symlog" * part["symlog"])
    return "; ".join([*words, _kinds(part)])


def _head(part: Mapping[str, Any], *, bins: bool) -> str:
    return f"{part['layers']} × {part['units']}" + f", {part['bins']} bins" * bins


def _kinds(part: Mapping[str, Any]) -> str:
    return f"act {part['act']}, norm {part['norm']}"


def _spaces(found: SpacesFacts) -> Table:
    table = _table("", "key", "kind", "shape", "dtype", "classes>")
    for what, spaces in (("observation", found.observations), ("action", found.actions)):
        for key, space in spaces.items():
            table.add_row(what, key, *_space(space))
    return table


def _space(space: SpaceFacts) -> tuple[str, ...]:
    classes = str(space.classes) if space.classes else ""
    return space.kind, _shape(space.shape), space.dtype, classes


def _replay(found: ReplayFacts) -> Lines:
    episodes = found.episodes
    words = f"{episodes.starts:,} starts"
    if episodes.mean is not None:
        words += f", {episodes.complete:,} whole, of {episodes.shortest:,} to {episodes.longest:,}"
        words += f" steps, mean {episodes.mean:,.1f}"
    lines = [
        ("chunks", f"{found.chunks:,}, {size_words(found.bytes)}"),
        (
            "steps",
            f"{found.steps:,} in {found.streams:,} linked stream{'s' * (found.streams != 1)}",
        ),
        ("episodes", words),
        ("saved", f"{found.oldest} to {found.newest}" if found.oldest else "–"),
    ]
    if found.windows:
        steps = f"{found.windows.replay_context} + {found.windows.length} steps"
        fit = f"{found.windows.fit:,} of {steps}, {found.windows.without_resets:,} without"
        lines.append(("windows", f"{fit} an episode start in the imagined half"))
    if found.damaged or found.duplicates:
        count = f"{len(found.damaged):,} damaged, {len(found.duplicates):,} copies of others"
        lines.append(("left out", count))
    return lines


def _keys(keys: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("key", "dtype", "shape of a step")
    for key, info in keys.items():
        table.add_row(key, info["dtype"], _shape(info["shape"]))
    return table


def _shape(shape: Iterable[int]) -> str:
    return " × ".join(map(str, shape)) or "scalar"


def _millions(count: int) -> str:
    return f"{count / 1e6:.3g} M" if count >= 1e4 else f"{count:,}"


def size_words(count: int) -> str:
    """Bytes in decimal units, as `ls -h --si` and disk makers count: `21.5 MB`."""
    power = min(4, int(math.log(count, 1000) + 1e-9)) if count else 0
    return f"{count:,} B" if not power else f"{count / 1000**power:.3g} {' kMGT'[power]}B"


def _table(*columns: str) -> Table:
    """Columns by their names; `>` at the end sets them to the right."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        side = "right" if column.endswith(">") else "left"
        table.add_column(column.rstrip(">"), justify=side, overflow="fold")  # type: ignore[arg-type]
    return table


def _heading(console: Console, words: str, more: str = "", style: str = "bold") -> None:
    console.print()
    console.print(Text.assemble((words, style), (f"  {more}" if more else "", "dim")))


def _pairs(console: Console, heading: str, lines: Lines) -> None:
    _heading(console, heading)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, words in lines:
        table.add_row(name, Text(words))
    _print(console, table)


def _lines(console: Console, heading: str, lines: Iterable[str], style: str) -> None:
    lines = list(lines)
    if lines:
        _heading(console, heading, style=style)
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=True)


def _print(console: Console, table: Table) -> None:
    if table.row_count:
        console.print(Padding(table, (0, 0, 0, 2), expand=False))
