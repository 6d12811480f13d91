"""What `check` tells: a short table for a person, or JSON for a program."""

import json as jsonlib
from collections.abc import Sequence
from dataclasses import asdict

import typer
from rich.table import Table
from rich.text import Text

from openloop_cli.cli.wide import stdout
from openloop_cli.compare.check import Finding, number_text, verdict_text


def print_findings(findings: Sequence[Finding], windows: str = "") -> None:
    """One line for each number, and how many fail.

    Args:
      windows: What the comparison with a baseline rests on, in words.
    """
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column("number", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("expected")
    table.add_column("", overflow="fold")
    for finding in findings:
        style = "green" if finding.passed else "bold red"
        table.add_row(
            Text("pass" if finding.passed else "FAIL", style),
            Text(finding.name),
            number_text(finding.value),
            finding.expected,
            Text(finding.reason, "dim" if finding.passed else ""),
        )
    with stdout() as console:
        console.print(table)
        console.print(verdict_text(findings))
        if windows:
            console.print(Text(f"compared over {windows}", "dim"))


def print_findings_json(metrics: str, passed: bool, findings: Sequence[Finding]) -> None:
    """One JSON object on stdout."""
    tree = {"metrics": metrics, "passed": passed, "findings": [asdict(x) for x in findings]}
    typer.echo(jsonlib.dumps(tree, indent=2, allow_nan=False))
