"""Several metrics trees -> one comparison: a table of what can be told apart. Pure.

All are compared with one of them, the reference. A number is called better or worse only where the
interval of its change says so; `LEVEL` holds for all marks of a comparison together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from openloop_cli.compare.pairing import Change, judge
from openloop_cli.compare.quantities import (
    Quantity,
    Steps,
    horizon_quantity,
    reward_quantity,
    skill_quantity,
    step_quantity,
)
from openloop_cli.errors import MetricsError
from openloop_cli.measures.statistics import familywise
from openloop_cli.quantities import metric as metric_of
from openloop_cli.results.entries import DRAWN, PAIRED, Entry, what_differs, windows_words
from openloop_cli.text import clean

LEVEL = 0.95
HORIZON = "useful horizon"


@dataclass(frozen=True)
class Row:
    """One number of all checkpoints.

    Attributes:
      key: The observation key, or `reward`.
      title: `useful horizon`, `skill`, a step such as `+5`, or `imagined`: the mean over all.
      metric: What it is, by its name in metrics.json; empty for a horizon and a skill.
      cells: For each checkpoint its number and how it differs from the reference's; a horizon's
        `at_least` says that it may be longer.
    """

    key: str
    title: str
    metric: str
    cells: tuple[Change, ...]
    at_least: tuple[bool, ...] = ()

    @property
    def unit(self) -> str:
        """What it is, in words, and which direction is better."""
        return metric_of(self.metric).axis if self.metric else ""


@dataclass(frozen=True)
class Comparison:
    """What several checkpoints have in common, and where they differ.

    Attributes:
      entries: The checkpoints, in the order given.
      against: Which of them is the reference.
      paired: Whether all measured the same windows.
      notes: What was compared in spite of a difference.
      rows: The table.
    """

    entries: tuple[Entry, ...]
    against: int
    paired: bool
    notes: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def how(self) -> str:
        """What the marks rest on."""
        if not self.paired:
            return "independent windows"
        return f"paired bootstrap over {windows_words(self.entries[self.against].tree)}"

    @property
    def verdict(self) -> str:
        """What came out, in a sentence without a full stop: of two checkpoints which one sees
        farther, of more how many are better than the reference, by the first observation key."""
        key = self.rows[0].key
        rows = [row for row in self.rows if row.key == key]
        others = [i for i in range(len(self.entries)) if i != self.against]
        if not others:
            return f"{self.entries[self.against].label}: nothing to compare with"
        if len(others) == 1:
            return self._of_two(rows, others[0])
        found = [self.overall[i] for i in others]
        better, worse = found.count("better"), found.count("worse")
        return (
            f"{key}: of {len(others)} checkpoints {better} better, {worse} worse than"
            f" {self.entries[self.against].label}, {len(others) - better - worse} not told apart"
        )

    @property
    def overall(self) -> tuple[str, ...]:
        """What came out for each checkpoint: `better` or `worse` than the reference, `same` where
        they are not told apart; by the first observation key, as `verdict`."""
        rows = [row for row in self.rows if row.key == self.rows[0].key]
        return tuple(_overall(rows, i) for i in range(len(self.entries)))

    def _of_two(self, rows: Sequence["Row"], other: int) -> str:
        overall, key = _overall(rows, other), rows[0].key
        if overall == "same":
            a, b = (self.entries[i].label for i in sorted((self.against, other)))
            return f"{key}: {a} and {b} are not told apart"
        first, second = (other, self.against) if overall == "better" else (self.against, other)
        label = self.entries[first].label
        deciding = next(row for row in rows if row.cells[other].verdict == overall)
        a, b = (cell_text(deciding, i) for i in (first, second))
        if deciding.title == HORIZON:
            return f"{label} sees farther: {key}, useful horizon {a} against {b} steps"
        name = deciding.title
        if deciding.metric:
            name = f"{metric_of(deciding.metric).title} at {name}"
        return f"{label} is better: {key}, {name} {a} against {b}"


def compare(
    entries: Sequence[Entry], against: int = 0, *, allow_different: bool = False
) -> Comparison:
    """Compares all with the one at `against`.

    Args:
      allow_different: Compare also what was rolled out otherwise; over other windows with the
        intervals of independent samples, which are wider than paired ones.

    Raises:
      MetricsError: They were rolled out otherwise, or have no observation in common.
    """
    reference = entries[against]
    notes = _differences(entries, reference, allow_different)
    if len({entry.run for entry in entries}) > 1 and reference.rollout("start") == "zeros":
        notes.append("several runs: all windows start from zeros, not from one run's latent states")
    paired = not any(what_differs(reference, entry, PAIRED) for entry in entries)
    keys = [key for key in reference.keys if all(key in entry.keys for entry in entries)]
    if not keys:
        raise MetricsError("the metrics have no observation key in common")
    # Images first: a picture says what an error means.
    keys.sort(key=lambda key: reference.part(str, "headline", key, "metric") != "psnr")
    columns = [column for key in keys for column in _columns(entries, key)]
    notes += _withheld(entries, keys)
    if all(entry.has("reward") for entry in entries):
        columns.append(("reward", "imagined", "mae", reward_quantity))
    level = familywise(LEVEL, len(columns) * max(1, len(entries) - 1))
    rows = [_row(entries, reference, column, level, paired) for column in columns]
    order = {key: number for number, key in enumerate([*keys, "reward"])}
    rows.sort(key=lambda row: order[row.key])
    return Comparison(tuple(entries), against, paired, tuple(notes), tuple(rows))


def cell_text(row: Row, index: int) -> str:
    """A number as tables show it, such as `≥ 25` or `30.2`."""
    value = row.cells[index].new
    if value is None:
        return "–"
    if row.title == HORIZON:
        return f"{'≥ ' if row.at_least[index] else ''}{value:.0f}"
    return metric_of(row.metric or row.title).shown(value)


def cell_words(row: Row, index: int) -> str:
    """The same with what it says against the reference: `26.1 ▼ worse -5.8 (-8.7 to -2.4)`."""
    change = row.cells[index]
    sign = f"{mark(change)} {change.verdict}" if mark(change) else ""
    return " ".join(part for part in (cell_text(row, index), sign, change.text) if part)


def _overall(rows: Sequence[Row], index: int) -> str:
    """The verdict of the first number that tells a checkpoint from the reference: the horizon,
    then skill, then the errors."""
    return next((r.cells[index].verdict for r in rows if r.cells[index].verdict != "same"), "same")


def mark(change: Change) -> str:
    """A sign that needs no colour: `▲` better, `▼` worse, nothing where nothing is clear."""
    return {"better": "▲", "worse": "▼", "same": ""}[change.verdict]


_Column = tuple[str, str, str, Callable[[Entry], Quantity]]
"""key, title, metric, what makes the number of a checkpoint."""


def _differences(entries: Sequence[Entry], reference: Entry, allowed: bool) -> list[str]:
    notes = []
    for entry in entries:
        differing = what_differs(reference, entry, (*PAIRED, *DRAWN))
        if not differing:
            continue
        line = f"{entry.place} and {reference.place} differ in {', '.join(differing)}"
        if not allowed:
            raise MetricsError(
                line,
                hint="compare checkpoints on the same windows: pass the checkpoints and --replay,"
                " render with --window FILE, or pass --allow-different",
            )
        notes.append(line)
    return notes


def _withheld(entries: Sequence[Entry], keys: Sequence[str]) -> list[str]:
    """Where there is no skill, and why."""
    notes = []
    for key in keys:
        for entry in entries:
            if (
                entry.has("headline", key, "skill")
                and entry.number("headline", key, "skill") is None
            ):
                reason = skill_quantity(entry, key).reason
                notes.append(f"{entry.label}: no skill of {clean(key)}: {reason}")
    return notes


def _columns(entries: Sequence[Entry], key: str) -> list[_Column]:
    metric = entries[0].part(str, "headline", key, "metric")
    columns: list[_Column] = []
    if _all_have(entries, key, "useful_horizon"):
        columns.append((key, HORIZON, "", lambda entry: horizon_quantity(entry, key)))
    if _all_have(entries, key, "skill"):
        columns.append((key, "skill", "", lambda entry: skill_quantity(entry, key)))
    last = min(entry.horizon for entry in entries)
    steps = sorted({step for step in (1, 5, 15, last) if step <= last})
    present = [step for step in steps if _all_have(entries, key, "at", str(step))]

    def at(step: int) -> Callable[[Entry], Quantity]:
        return lambda entry: step_quantity(entry, key, step)

    columns += [(key, f"+{step}", metric, at(step)) for step in present]
    return columns


def _all_have(entries: Sequence[Entry], key: str, *names: str) -> bool:
    return all(entry.has("headline", key, *names) for entry in entries)


def _row(
    entries: Sequence[Entry], reference: Entry, column: _Column, level: float, paired: bool
) -> Row:
    key, title, metric, quantity = column
    old = quantity(reference)
    found = [old if entry is reference else quantity(entry) for entry in entries]
    cells = tuple(
        Change(old.name, old.value, old.value)
        if new is old
        else judge(old, new, level=level, paired=paired)
        for new in found
    )
    return Row(key, title, metric, cells, tuple(x.at_least for x in found if isinstance(x, Steps)))
