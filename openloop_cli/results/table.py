"""Metrics files as one long table: a row for each number, for pandas, R or a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from openloop_cli.errors import NotInstalledError
from openloop_cli.results.entries import part
from openloop_cli.text import visible

Tree = Mapping[str, Any]


class TableRow(NamedTuple):
    """One number.

    Attributes:
      run, step: The run's name and the checkpoint's environment step.
      key: The observation key, a head (`reward`, `continue`, `value`), `latent`, or `losses`.
      metric: Such as `psnr`, `skill` or `useful_horizon`; of losses their name; `mean` of what a
        head says (`model`) and of what came (`recorded`).
      path: What was measured: `model`, `floor`, `persistence`, …; `context` before it says that it
        is of the context steps.
      lead: The imagined step from 1, context steps from 0 downwards; empty for the mean over all.
      value, low, high: The number and the ends of its 95 % interval over windows.
    """

    run: str | None
    step: int | None
    key: str
    metric: str
    path: str
    lead: int | None
    value: float | None
    low: float | None
    high: float | None


def metrics_rows(tree: Tree) -> Iterator[TableRow]:
    """All numbers of a metrics tree, as far as it has them; names as they can be shown."""
    for row in _rows(tree):
        yield TableRow._make(visible(x) if isinstance(x, str) else x for x in row)


def _rows(tree: Tree) -> Iterator[TableRow]:
    run, step = part(tree, "run").get("name"), part(tree, "checkpoint").get("step")
    context = part(tree, "rollout").get("context", 0)

    def rows(key: str, metric: str, path: str, series: Any, first: int = 1) -> Iterator[TableRow]:
        for index, value, low, high in _numbers(part(series)):
            lead = None if index is None else first + index
            yield TableRow(run, step, key, metric, path, lead, value, low, high)

    for key, found in part(tree, "observations").items():
        for path, numbers in part(found, "imagined").items():
            for metric, series in part(numbers).items():
                yield from rows(key, metric, path, series)
        for path, numbers in part(found, "context").items():
            for metric, series in part(numbers).items():
                yield from rows(key, metric, f"context {path}", series, 1 - context)
        for metric, series in part(found, "spread").items():
            yield from rows(key, metric, "futures_mean", series)
        for metric in ("skill", "reconstruction_skill"):
            yield from rows(key, metric, "model", part(found, metric))
        horizon = part(found, "useful_horizon")
        if "steps" in horizon:
            ends = horizon.get("low"), horizon.get("high")
            yield TableRow(run, step, key, "useful_horizon", "model", None, horizon["steps"], *ends)
    for head in ("reward", "continue", "value"):
        yield from rows(head, "mae", "model", part(tree, head, "imagined", "mae"))
        yield from rows(head, "mae", "context model", part(tree, head, "context", "mae"))
        for name, path in (("predicted", "model"), ("recorded", "recorded")):
            yield from rows(head, "mean", path, part(tree, head, name), 1 - context)
    for name, series in part(tree, "losses").items():
        yield from rows("losses", name, "model", series)
    yield from rows("latent", "drift", "model", part(tree, "drift"))


def csv_text(rows: Iterable[TableRow]) -> str:
    """The table as CSV, undefined numbers empty."""
    with io.StringIO() as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(TableRow._fields)
        writer.writerows(map(_without_formulas, rows))
        return text.getvalue()


def parquet_bytes(rows: Iterable[TableRow]) -> bytes:
    """The table as Parquet.

    Raises:
      NotInstalledError: pyarrow is missing.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise NotInstalledError("Parquet", "pyarrow", "parquet", otherwise="use .csv") from None
    text, whole, number = pyarrow.string(), pyarrow.int64(), pyarrow.float64()
    kinds = (text, whole, text, text, text, whole, number, number, number)
    schema = pyarrow.schema(list(zip(TableRow._fields, kinds, strict=True)))
    table = pyarrow.Table.from_pylist([row._asdict() for row in rows], schema=schema)
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    return buffer.getvalue()


def _numbers(series: Tree) -> Iterator[tuple[int | None, Any, Any, Any]]:
    """The mean, then each step with its place."""
    if "mean" in series:
        # A skill's bounds are of its steps, a ratio's own are called low and high.
        ends = [series.get(f"mean_{end}", series.get(end)) for end in ("low", "high")]
        low, high = (None if isinstance(end, list) else end for end in ends)
        yield None, series["mean"], low, high
    steps = series.get("per_step")
    for index, value in enumerate(steps if isinstance(steps, (list, tuple)) else ()):
        yield index, value, *(_at(series.get(end), index) for end in ("low", "high"))


def _at(values: Any, index: int) -> Any:
    return values[index] if isinstance(values, list) and index < len(values) else None


def _without_formulas(row: TableRow) -> list[Any]:
    """A spreadsheet runs what begins with such a sign; numbers are none."""
    signs = ("=", "+", "-", "@", "\t", "\r")
    return [f"'{x}" if isinstance(x, str) and x.startswith(signs) else x for x in row]
