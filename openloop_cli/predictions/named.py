"""Our own layout: an npz, or a folder of `.npy` files, of arrays that say by their names what they
are. Nothing is unpickled."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from openloop_cli.errors import PredictionsError
from openloop_cli.predictions import layout
from openloop_cli.predictions.columns import Column, npy_column, npz_columns
from openloop_cli.predictions.scored import Layout
from openloop_cli.text import clean

# What others call the two.
_ALSO = {
    layout.TRUTH: ("truths", "gt", "gts", "true", "trues", "target", "targets"),
    layout.PREDICTION: ("predictions", "pred", "preds"),
}
_MOST_FILES = 1000


def read_npz(path: Path) -> Layout:
    """The layout of an npz.

    Raises:
      PredictionsError: Not an npz, or names that can be read in two ways.
    """
    return named_layout(str(path), npz_columns(path))


def read_folder(path: Path) -> Layout:
    """The layout of a folder: `truth/image.npy` is `truth/image`.

    Raises:
      PredictionsError: A file that is no array, or too many of them.
    """
    columns: dict[str, Column] = {}
    for folder, _, names in os.walk(path):
        for name in sorted(names):
            if name.endswith(".npy"):
                file = Path(folder) / name
                columns[file.relative_to(path).with_suffix("").as_posix()] = npy_column(file)
        if len(columns) > _MOST_FILES:
            raise PredictionsError(
                f"{path}: more than {_MOST_FILES} .npy files",
                hint="expected one file for each array of all windows, such as truth/image.npy",
            )
    return named_layout(str(path), dict(sorted(columns.items())))


def named_layout(place: str, found: Mapping[str, Column]) -> Layout:
    """The layout of arrays by the names that they were given."""
    columns: dict[str, Column] = {}
    for name, column in found.items():
        ours = _our_name(name, column)
        if ours in columns:
            raise PredictionsError(
                f"{place}: two arrays for {clean(ours)}, one of them named {clean(name)}",
                hint="name one truth/<key> or prediction/<key>, and the other otherwise",
            )
        columns[ours] = column
    if _from_before(columns):
        # As openloop wrote them until version 0.1: what was predicted stood under these names.
        columns = {k: x for k, x in columns.items() if k not in ("reward", "continue", "value")}
    numbers = {x: _whole(place, x, columns[x]) for x in ("context", "step") if x in columns}
    run = str(columns["run"].read(slice(None)).reshape(-1)[0]) if _is_text(columns) else ""
    return Layout(place, columns, numbers.get("context"), run=run, step=numbers.get("step"))


def _is_text(columns: Mapping[str, Column]) -> bool:
    run = columns.get("run")
    return run is not None and run.dtype.kind == "U" and run.shape in ((), (1,))


def _from_before(columns: Mapping[str, Column]) -> bool:
    return "deter" in columns and "logit" in columns and "context" not in columns


def _our_name(name: str, column: Column) -> str:
    """`gt` as `truth/image`, `preds/pose` as `prediction/pose`; all others as they are."""
    part, slash, key = name.partition("/")
    for ours, others in _ALSO.items():
        if part == ours or part in others:
            key = key if slash else ("image" if len(column.shape) == 5 else "vector")
            return f"{ours}/{key}"
    return name


def _whole(place: str, name: str, column: Column) -> int:
    value = column.read(slice(None)).reshape(-1) if column.shape in ((), (1,)) else np.empty(0)
    if value.size != 1 or value.dtype.kind not in "iu":
        raise PredictionsError(
            f"{place}: {name}: expected one whole number, found {column.dtype} {column.shape}"
        )
    return int(value[0])
