"""`openloop check`: a metrics.json, limits and a baseline -> an exit code, for CI."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from openloop_cli.cli.options import Place, Quiet, path

if TYPE_CHECKING:
    from openloop_cli.compare.check import Finding, Limit

FAILED = 3


def check(
    metrics: Annotated[
        Place,
        typer.Argument(
            metavar="METRICS",
            parser=path,
            help="metrics.json of openloop render",
            show_default=False,
        ),
    ],
    least: Annotated[
        list[str] | None,
        typer.Option(
            "--min",
            metavar="PATH=VALUE",
            help="Least value of the number at PATH; repeatable",
        ),
    ] = None,
    most: Annotated[
        list[str] | None,
        typer.Option(
            "--max", metavar="PATH=VALUE", help="Largest value of the number at PATH; repeatable"
        ),
    ] = None,
    baseline: Annotated[
        Place | None,
        typer.Option(
            parser=path,
            metavar="OLD.json",
            help="Fail if a headline number is clearly worse than in\n"
            "this metrics.json, which has the same windows",
        ),
    ] = None,
    summary: Annotated[
        Place | None,
        typer.Option(
            parser=path,
            metavar="FILE",
            help="Write a Markdown summary",
            show_default="append it to $GITHUB_STEP_SUMMARY",
        ),
    ] = None,
    junit: Annotated[
        Place | None, typer.Option(parser=path, metavar="FILE", help="Write JUnit XML")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON")] = False,
    quiet: Quiet = False,
) -> None:
    """Check numbers of a metrics.json, for CI.

    Exit code 0 if all pass, 3 if one fails.

    PATH follows the nesting of the file, such as headline.image.skill or
    observations.image.imagined.model.psnr.per_step.4.
    Put names that contain dots in double quotes.
    """
    from openloop_cli.compare import check as gate
    from openloop_cli.errors import OptionError
    from openloop_cli.results.entries import Entry, windows_words
    from openloop_cli.results.metrics_file import read_metrics

    limits = [_limit("min", text) for text in least or ()]
    limits += [_limit("max", text) for text in most or ()]
    if not limits and baseline is None:
        raise OptionError("nothing to check: give --min, --max or --baseline")
    entry = Entry(str(metrics), read_metrics(metrics, windows=baseline is not None))
    old = Entry(str(baseline), read_metrics(baseline, windows=True)) if baseline else None
    findings = gate.check(entry, limits, old)
    from openloop_cli.cli.check_text import print_findings, print_findings_json

    title = f"openloop check {metrics.name}"
    passed = all(finding.passed for finding in findings)
    if json:
        print_findings_json(str(metrics), passed, findings)
    elif not quiet:
        print_findings(findings, windows_words(entry.tree) if old else "")
    _write(title, findings, summary, junit)
    if not passed:
        raise typer.Exit(FAILED)


def _limit(kind: Literal["min", "max"], text: str) -> "Limit":
    from openloop_cli.compare.check import parse_limit
    from openloop_cli.errors import OptionError

    limit = parse_limit(kind, text)
    if limit is None:
        raise OptionError(f"--{kind} {text!r}: expected PATH=VALUE, as in headline.image.skill=0.5")
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
