"""What `compare` tells: a table for each observation key, or JSON for a program."""

import json as jsonlib

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from openloop_cli.cli.terminal import say
from openloop_cli.cli.wide import stdout
from openloop_cli.compare.compare import Comparison, Row, cell_text, mark
from openloop_cli.jobs.comparison import ComparisonResult
from openloop_cli.text import clean

_STYLES = {"better": "green", "worse": "red", "same": ""}


def print_comparison_json(result: ComparisonResult) -> None:
    """The tree of comparison.json on stdout."""
    typer.echo(jsonlib.dumps(result.tree, indent=2, allow_nan=False))


def print_comparison(result: ComparisonResult) -> None:
    """Tables and files on stdout, what was compared in spite of a difference on stderr."""
    with stdout() as console:
        console.print(Text(result.comparison.verdict, "bold"), soft_wrap=True)
        console.print()
        _print_tables(console, result.comparison)
        for name, path in result.files.items():
            console.print(Text.assemble((f"{name:14} ", "dim"), str(path)), soft_wrap=True)
    for note in result.comparison.notes:
        say(f"note: {note}", style="yellow", lead=len("note:"))


def _print_tables(console: Console, comparison: Comparison) -> None:
    for key in dict.fromkeys(row.key for row in comparison.rows):
        rows = [row for row in comparison.rows if row.key == key]
        unit = next((row.unit for row in rows if row.unit), "")
        console.print(Text.assemble((clean(key), "bold"), (f"  {unit}" * bool(unit), "dim")))
        console.print(_table([entry.label for entry in comparison.entries], rows))
        console.print()
    if (differences := _differences(comparison)).row_count:
        console.print(differences)
        console.print()
    reference = comparison.entries[comparison.against].label
    console.print(Text(f"▲ better, ▼ worse than {reference}", "dim"))
    console.print(Text(f"{comparison.how}, 95 % for all marks together", "dim"))


def _differences(comparison: Comparison) -> Table:
    """By how much the marked numbers differ from the reference's, with the intervals."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("difference", "", "", "95 % interval"):
        table.add_column(title)
    for index, entry in enumerate(comparison.entries):
        for row in comparison.rows:
            change = row.cells[index]
            if mark(change) and change.text:
                number, _, ends = change.text.partition(" ")
                name = Text(f"{clean(row.key)} {row.title}")
                table.add_row(Text(entry.label), name, Text(number), Text(ends.strip("()")))
    return table


def _table(labels: list[str], rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_column(row.title, justify="right", no_wrap=" " not in row.title)
    for index, label in enumerate(labels):
        table.add_row(Text(label), *(_cell(row, index) for row in rows))
    return table


def _cell(row: Row, index: int) -> Text:
    """The number, with a sign after it; signs stand below each other."""
    change = row.cells[index]
    return Text(f"{cell_text(row, index)} {mark(change) or ' '}", _STYLES[change.verdict])
