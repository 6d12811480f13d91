"""A metrics tree, limits and a baseline -> what passes and what fails. Pure.

A limit compares the number itself. A baseline compares by paired intervals: what is not clearly
worse passes, whatever its number; `LEVEL` holds for all of a baseline's numbers together, so that
two rollouts of equal checkpoints fail in at most 2.5 of 100 comparisons, however many numbers
there are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from openloop_cli.compare.pairing import Change, headline_changes
from openloop_cli.errors import MetricsError
from openloop_cli.results.entries import PAIRED, Entry, what_differs
from openloop_cli.results.metric_names import find_number
from openloop_cli.text import clean

LEVEL = 0.95


@dataclass(frozen=True)
class Limit:
    """A number's path and the value that it may not pass.

    Attributes:
      kind: `min`: the number must be at least the value; `max`: at most.
    """

    kind: Literal["min", "max"]
    path: str
    value: float


@dataclass(frozen=True)
class Finding:
    """One number that was checked.

    Attributes:
      name: Its path, safe to print.
      value: None where it is undefined.
      expected: In words, such as `at least 28` or `no worse than 30.2`.
      passed: Whether it is as it should be.
      reason: Why it fails, or what the verdict rests on; may be empty.
    """

    name: str
    value: float | None
    expected: str
    passed: bool
    reason: str = ""


def check(
    entry: Entry, limits: Sequence[Limit] = (), baseline: Entry | None = None
) -> list[Finding]:
    """Every limit, then every headline number of the baseline.

    Raises:
      MetricsError: A limit on a number that does not exist; a baseline of other windows; numbers
        that the baseline has and the metrics lack.
    """
    findings = [_against_limit(entry, limit) for limit in limits]
    if baseline is not None:
        _refuse_other_windows(entry, baseline)
        changes = headline_changes(baseline, entry, level=LEVEL)
        _refuse_without_numbers(changes, baseline)
        findings += [_against_baseline(change) for change in changes]
    return findings


def parse_limit(kind: Literal["min", "max"], text: str) -> Limit | None:
    """`PATH=VALUE`; None where it is malformed."""
    path, equals, value = text.rpartition("=")
    try:
        number = float(value)
    except ValueError:
        return None
    if not (equals and path.strip() and math.isfinite(number)):
        return None
    return Limit(kind, path.strip(), number)


def verdict_text(findings: Sequence[Finding]) -> str:
    """Such as `1 of 3 fails` or `all 3 pass`."""
    failed = sum(not finding.passed for finding in findings)
    if failed:
        return f"{failed} of {len(findings)} {'fails' if failed == 1 else 'fail'}"
    return "1 passes" if len(findings) == 1 else f"all {len(findings)} pass"


def number_text(value: float | None) -> str:
    """A number as tables show it: four digits, none lost before the point."""
    if value is None:
        return "undefined"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"


def _against_limit(entry: Entry, limit: Limit) -> Finding:
    found = find_number(entry.tree, limit.path, entry.place)
    expected = f"at {'least' if limit.kind == 'min' else 'most'} {limit.value:g}"
    name = clean(found.path)
    if found.value is None:
        reason = f"undefined: {found.reason}" if found.reason else "undefined"
        return Finding(name, None, expected, False, reason)
    below, above = found.value < limit.value, found.value > limit.value
    passed = not (below if limit.kind == "min" else above)
    reason = "" if passed else f"{found.value!r} is {'below' if below else 'above'} it"
    return Finding(name, found.value, expected, passed, reason)


def _against_baseline(change: Change) -> Finding:
    expected = "anything" if change.old is None else f"no worse than {number_text(change.old)}"
    reasons = [change.verdict if change.verdict != "same" else "", change.text, change.note]
    reason = ", ".join(part for part in reasons if part)
    passed = change.verdict != "worse"
    return Finding(clean(change.name), change.new, expected, passed, clean(reason))


def _refuse_without_numbers(changes: Sequence[Change], baseline: Entry) -> None:
    """A skill may be undefined; an error that is none would let everything pass."""
    errors = [x for x in changes if x.name.endswith((".context", ".imagined", ".mae.mean"))]
    missing = [clean(x.name) for x in errors if x.old is None]
    if missing:
        raise MetricsError(
            f"the baseline {baseline.place}: no number for {', '.join(missing[:3])}:"
            " its predictions are not numbers, so nothing can be worse",
            hint="pass the metrics.json of a checkpoint that did not diverge",
        )


def _refuse_other_windows(entry: Entry, baseline: Entry) -> None:
    differing = what_differs(baseline, entry, (*PAIRED, "latents"))
    if differing:
        raise MetricsError(
            f"{entry.place} and the baseline {baseline.place} differ in {', '.join(differing)}",
            hint=f"render with --window {baseline.place} and the baseline's --latents",
        )
    if len(entry.windows) < 2:
        raise MetricsError(
            f"{entry.place}: 1 window; to tell a change from chance takes two or more",
            hint="render both with more --num-windows, 16 or more",
        )
