"""A comparison -> what comparison.json holds: who was compared, the table, the curves. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import openloop_cli
from openloop_cli.compare.compare import LEVEL, Comparison, Row
from openloop_cli.results.entries import DRAWN, PAIRED, Entry
from openloop_cli.text import clean

FORMAT, VERSION = "openloop-comparison", 1


def comparison_tree(comparison: Comparison) -> dict[str, Any]:
    """What comparison.json holds: who was compared, the table, the curves."""
    reference = comparison.entries[comparison.against]
    names = (*PAIRED, *DRAWN)
    return {
        "format": FORMAT,
        "version": VERSION,
        "openloop": openloop_cli.__version__,
        "checkpoints": [
            {**_who(entry), "verdict": overall}
            for entry, overall in zip(comparison.entries, comparison.overall, strict=True)
        ],
        "against": comparison.against,
        "paired": comparison.paired,
        "level": LEVEL,
        "verdict": comparison.verdict,
        "notes": list(comparison.notes),
        "rollout": {name: reference.rollout(name) for name in names},
        "table": [_row_tree(row) for row in comparison.rows],
        "curves": {
            "by_horizon": curves_by_horizon(comparison.entries),
            "by_step": curves_by_step(comparison.entries),
        },
    }


def curves_by_horizon(entries: Sequence[Entry]) -> dict[str, Any]:
    """Error and skill against the imagined step, by key: a line for each checkpoint, and what
    persistence and climatology score (of the first: they know no checkpoint).

    {key: {metric, steps [1 … H], lines [{label, number, path, value, low, high}]}}; baselines
    have no bounds.
    """
    curves: dict[str, Any] = {}
    for key in _common_keys(entries):
        metric = entries[0].part(str, "headline", key, "metric")
        imagined = ("observations", key, "imagined")
        lines = [
            _line(entry, entry.label, metric, "model", (*imagined, "model", metric))
            for entry in entries
        ]
        for path in ("persistence", "climatology"):
            names = (*imagined, path, metric)
            if entries[0].has(*names):
                lines.append(_line(entries[0], path, metric, path, names))
        lines += [
            _line(entry, entry.label, "skill", "model", ("observations", key, "skill"))
            for entry in entries
            if entry.has("observations", key, "skill")
        ]
        steps = list(range(1, entries[0].horizon + 1))
        curves[key] = {"metric": metric, "steps": steps, "lines": lines}
    return curves


def curves_by_step(entries: Sequence[Entry]) -> dict[str, Any]:
    """Mean error and skill against the checkpoint's training step, by key, in training order.

    {key: {metric, labels, steps, updates, lines [{number, path, value, low, high}]}}, one value
    for each checkpoint; those whose step is unknown are left out.
    """
    known = sorted((e for e in entries if e.step is not None), key=lambda entry: entry.step or 0)
    curves: dict[str, Any] = {}
    for key in _common_keys(known):
        metric = known[0].part(str, "headline", key, "metric")
        places: list[tuple[str, str, tuple[str, ...]]]
        places = [(metric, path, ("imagined", path, metric)) for path in ("model", "floor")]
        places += [(name, "model", (name,)) for name in ("skill", "reconstruction_skill")]
        curves[key] = {
            "metric": metric,
            "labels": [entry.label for entry in known],
            "steps": [entry.step for entry in known],
            "updates": [_updates(entry) for entry in known],
            "lines": [
                {"number": number, "path": path, **_points(known, ("observations", key, *names))}
                for number, path, names in places
                if all(entry.has("observations", key, *names) for entry in known)
            ],
        }
    return curves


def _who(entry: Entry) -> dict[str, Any]:
    checkpoint = entry.part(Mapping, "checkpoint")
    return {
        "label": entry.label,
        "run": entry.run,
        "path": checkpoint.get("path"),
        "step": checkpoint.get("step"),
        "updates": _updates(entry),
        "sha256": checkpoint.get("sha256"),
    }


def _updates(entry: Entry) -> Any:
    counters = entry.part(Mapping, "checkpoint").get("counters")
    return counters.get("updates") if isinstance(counters, Mapping) else None


def _row_tree(row: Row) -> dict[str, Any]:
    cells: list[dict[str, Any]] = [
        {
            "value": cell.new,
            **{name: getattr(cell, name) for name in ("change", "low", "high", "verdict", "note")},
        }
        for cell in row.cells
    ]
    for cell, censored in zip(cells, row.at_least, strict=False):
        cell["at_least"] = censored
    return {
        "key": row.key,
        "number": row.title,
        "unit": row.unit,
        "path": row.cells[0].name,
        "cells": cells,
    }


def _common_keys(entries: Sequence[Entry]) -> list[str]:
    if not entries:
        return []
    return [key for key in entries[0].keys if all(key in entry.keys for entry in entries)]


def _line(
    entry: Entry, label: str, number: str, path: str, names: tuple[str, ...]
) -> dict[str, Any]:
    line: dict[str, Any] = {"label": clean(label), "number": number, "path": path}
    line["value"] = entry.steps(*names, "per_step")
    return line | {
        end: entry.steps(*names, end) for end in ("low", "high") if entry.has(*names, end)
    }


def _points(entries: Sequence[Entry], names: tuple[str, ...]) -> dict[str, list[float | None]]:
    """Values and bounds; a skill names its bounds `low`, a series `mean_low`."""
    points: dict[str, list[float | None]] = {
        "value": [entry.number(*names, "mean") for entry in entries]
    }
    for end in ("low", "high"):
        found = [
            entry.number(*names, name)
            for entry in entries
            for name in (f"mean_{end}", end)
            if entry.has(*names, name) and not isinstance(entry.part(object, *names, name), list)
        ]
        if len(found) == len(entries):
            points[end] = found
    return points
