"""What `render` tells when it is done: a few lines for a person, or JSON for a program."""

import json as jsonlib
from collections.abc import Iterator, Mapping
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from openloop_cli.cli.terminal import results_console, say
from openloop_cli.jobs.report import JobResult
from openloop_cli.page.words import step_of
from openloop_cli.quantities import LATENTS, horizon_text, metric
from openloop_cli.results.entries import windows_words
from openloop_cli.text import clean, plural


def print_json(result: JobResult) -> None:
    """One JSON object on stdout: the headline, what it was made from, and where the files are."""
    tree = result.metrics
    summary = {
        "run": tree["run"]["name"],
        "checkpoint": tree["checkpoint"]["path"],
        "step": tree["checkpoint"]["step"],
        "windows": len(tree["rollout"]["windows"]),
        "length": tree["rollout"]["length"],
        "context": tree["rollout"]["context"],
        "headline": tree["headline"],
        "files": {name: str(path) for name, path in result.files.items()},
        "notes": list(result.notes),
    }
    typer.echo(jsonlib.dumps(summary, indent=2, allow_nan=False))


def print_summary(result: JobResult) -> None:
    """Notes on stderr; the checkpoint, the windows, the errors and the files on stdout."""
    for note in result.notes:
        say(f"note: {note}", style="yellow", lead=len("note:"))
    tree = result.metrics
    console = results_console()
    checkpoint, rollout = tree["checkpoint"], tree["rollout"]
    step = step_of(tree)
    updates = checkpoint["counters"].get("updates")
    line = Text.assemble((clean(tree["run"]["name"]), "bold"), f"  {step}")
    if updates is not None:
        line.append(f", {updates:,} updates")
    console.print(line)
    horizon = rollout["length"] - rollout["context"]
    console.print(
        f"{windows_words(tree)}:"
        f" {plural(rollout['context'], 'context step')}, {horizon} imagined"
        + (f", {LATENTS.get(rollout['latents'])}, {rollout['device']}" if "config" in tree else ""),
        highlight=False,
    )
    console.print(_table(tree["headline"]))
    for reason in _reasons(tree["headline"]):
        console.print(Text(reason, "dim"))
    for name, path in result.files.items():
        console.print(Text.assemble((f"{name:14}", "dim"), str(path)))


def _table(headline: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    table.add_column("")
    table.add_column("")
    for column in ("context", "imagined", "persistence"):
        table.add_column(column, justify="right")
    table.add_column("useful horizon")
    for key, numbers in headline.items():
        shown = metric(numbers["metric"])
        cells = [shown.shown(numbers[name]) for name in ("context", "imagined", "persistence")]
        horizon = numbers.get("useful_horizon")
        words = horizon_text(horizon, " steps")
        table.add_row(Text(clean(key), style="bold"), Text(shown.short, "dim"), *cells, words)
    return table


def _reasons(headline: Mapping[str, Any]) -> Iterator[str]:
    """Why each key is seen as far as it is; where it ends, or how to find an end."""
    farther = dict[str, list[str]]()
    for key, numbers in headline.items():
        horizon, why = numbers.get("useful_horizon"), numbers.get("why", "")
        if not horizon:
            continue
        if horizon["at_least"]:
            farther.setdefault(horizon["reason"].rpartition(", ")[2], []).append(clean(key))
        elif horizon["reason"] != why:
            why = f"{horizon['reason']}; {why}"
        yield f"{clean(key)}: {why}"
    for told, keys in farther.items():
        yield told if len(keys) == len(headline) else f"{', '.join(keys)}: {told}"
