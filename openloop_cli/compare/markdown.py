"""Checks and comparisons as Markdown for GitHub: tables whose cells hold any name unharmed.

What comes from files is escaped: no name makes a table break, a link, an image or HTML.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from openloop_cli.compare.check import Finding, number_text, verdict_text
from openloop_cli.compare.compare import Comparison, cell_words
from openloop_cli.errors import OutputError
from openloop_cli.storage.atomic import write_text
from openloop_cli.text import markdown

# GitHub shows no step summary above 1 MiB; what else a step writes needs room too.
MAX_BYTES = 1_000_000


def write_check_markdown(path: Path, title: str, findings: Sequence[Finding]) -> None:
    """Write the summary of a check, whole or not at all.

    Raises:
      OutputError: A place that cannot be written.
    """
    write_text(path, check_markdown(title, findings))


def append_check_markdown(path: Path, title: str, findings: Sequence[Finding]) -> None:
    """Append the summary of a check to a file that others write to as well, within MAX_BYTES.

    Raises:
      OutputError: A place that cannot be written.
    """
    try:
        used = path.stat().st_size if path.exists() else 0
        text = check_markdown(title, findings, max_bytes=MAX_BYTES - used)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{os.fspath(path)}: cannot be written: {reason.lower()}") from error


def check_markdown(title: str, findings: Sequence[Finding], *, max_bytes: int = MAX_BYTES) -> str:
    """The summary of a check: a verdict and a table, failures first; cut off at `max_bytes`."""
    verdict = verdict_text(findings)
    head = _head("result", "number", "value", "expected", "why")
    lines = [f"### {markdown(title)}: {verdict}", "", *head]
    size, left = sum(len(line.encode()) + 1 for line in lines), max_bytes - 200
    ordered = sorted(findings, key=lambda finding: finding.passed)
    for done, finding in enumerate(ordered):
        line = _check_line(finding)
        size += len(line.encode()) + 1
        if size > left:
            lines += ["", f"… and {len(ordered) - done} more, for which there was no room"]
            break
        lines.append(line)
    text = "\n".join(["", *lines, ""])
    return text if len(text.encode()) <= max_bytes else ""


def write_comparison_markdown(path: Path, comparison: Comparison) -> None:
    """Write a comparison, whole or not at all.

    Raises:
      OutputError: A place that cannot be written.
    """
    write_text(path, comparison_markdown(comparison))


def comparison_markdown(comparison: Comparison) -> str:
    """A table for each observation key, a row for each checkpoint."""
    lines = [f"### {markdown(comparison.verdict)}"]
    for key in dict.fromkeys(row.key for row in comparison.rows):
        rows = [row for row in comparison.rows if row.key == key]
        unit = next((row.unit for row in rows if row.unit), "")
        lines += ["", f"#### {markdown(key)}" + f": {unit}" * bool(unit), ""]
        lines += _head("checkpoint", *(row.title for row in rows))
        lines += [
            _line(markdown(entry.label), *(cell_words(row, index) for row in rows))
            for index, entry in enumerate(comparison.entries)
        ]
    return "\n".join([*lines, "", *legend(comparison), ""])


def legend(comparison: Comparison) -> list[str]:
    """What the marks mean, and what was compared in spite of a difference."""
    reference = markdown(comparison.entries[comparison.against].label)
    lines = [
        f"▲ better, ▼ worse than {reference}, with the difference and its interval"
        f" ({comparison.how}, 95 % for all marks together)."
    ]
    return lines + [f"Note: {markdown(note)}." for note in comparison.notes]


def _check_line(finding: Finding) -> str:
    result = "✅ pass" if finding.passed else "❌ **fail**"
    value = number_text(finding.value)
    return _line(result, *(markdown(x) for x in (finding.name, value, finding.expected,
                 finding.reason)))  # fmt: skip


def _head(*names: str) -> list[str]:
    return [_line(*names), _line(*("---" for _ in names))]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
