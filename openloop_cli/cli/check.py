"""`openloop check`: a metrics.json, limits and a baseline -> an exit code, for CI."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from openloop_cli.cli.options import Place, path

if TYPE_CHECKING:
    from openloop_cli.compare.check import Finding, Limit

FAILED = 3


def check(
    metrics: Annotated[
        Place,
        typer.Argument(
            metavar="METRICS",
            parser=path,
            help="The metrics.json that `openloop render` wrote.",
            show_default=False,
        ),
    ],
    least: Annotated[
        list[str] | None,
        typer.Option(
            "--min",
            metavar="PATH=VALUE",
            help="The number at PATH must be at least VALUE; repeatable.",
        ),
    ] = None,
    most: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="PATH=VALUE", help="Likewise at most."),
    ] = None,
    baseline: Annotated[
        Place | None,
        typer.Option(
            parser=path,
            metavar="OLD.json",
            help="No headline number may be clearly worse than there, over the same windows.",
        ),
    ] = None,
    summary: Annotated[
        Place | None,
        typer.Option(
            parser=path,
            metavar="FILE",
            help="Write a Markdown summary there.",
            show_default="appended to $GITHUB_STEP_SUMMARY, if set",
        ),
    ] = None,
    junit: Annotated[
        Place | None, typer.Option(parser=path, metavar="FILE", help="Write JUnit XML there.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The findings as JSON on stdout.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only the exit code, and errors.")
    ] = False,
) -> None:
    """Pass or fail by numbers of a metrics.json: exit code 0 when all pass, 3 when one fails.

    PATH is as the file is nested: headline.image.skill, reward.imagined.mae.mean,
    observations.image.imagined.model.psnr.per_step.4. Put names that hold dots into double quotes.
    """
    from openloop_cli.compare import check as gate
    from openloop_cli.results.entries import Entry
    from openloop_cli.results.metrics_file import read_metrics

    limits = [_limit("min", text) for text in least or ()]
    limits += [_limit("max", text) for text in most or ()]
    if not limits and baseline is None:
        raise typer.BadParameter("nothing to check: give --min, --max or --baseline")
    entry = Entry(str(metrics), read_metrics(metrics))
    old = Entry(str(baseline), read_metrics(baseline)) if baseline else None
    findings = gate.check(entry, limits, old)
    from openloop_cli.cli.check_text import print_findings, print_findings_json

    title = f"openloop check {metrics.name}"
    passed = all(finding.passed for finding in findings)
    if json:
        print_findings_json(str(metrics), passed, findings)
    elif not quiet:
        print_findings(findings)
    _write(title, findings, summary, junit)
    if not passed:
        raise typer.Exit(FAILED)


def _limit(kind: Literal["min", "max"], text: str) -> "Limit":
    from openloop_cli.compare.check import parse_limit

    limit = parse_limit(kind, text)
    if limit is None:
        raise typer.BadParameter(
            f"{text!r}: expected PATH=VALUE, such as headline.image.skill=0.5",
            param_hint=f"--{kind}",
        )
    return limit


def _write(
    title: str, findings: Sequence["Finding"], summary: Path | None, junit: Path | None
) -> None:
    from openloop_cli.compare.junit import write_junit
    from openloop_cli.compare.markdown import append_check_markdown, write_check_markdown

    step_summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        write_check_markdown(summary, title, findings)
    elif step_summary:
        append_check_markdown(Path(step_summary), title, findings)
    if junit:
        write_junit(junit, title, findings)
