"""OpenSTL's results: `saved/inputs.npy`, `trues.npy` and `preds.npy`, each (B, T, C, H, W).

What its test leaves in `work_dirs/<experiment>/saved`: the inputs are the context, the other two
the steps after it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import PredictionsError
from openloop_cli.predictions import layout
from openloop_cli.predictions.columns import Column, npy_column
from openloop_cli.predictions.scored import Layout

_FILES = ("inputs.npy", "trues.npy", "preds.npy")


@dataclass(frozen=True)
class _Joined:
    """Two columns of the same windows, one after the other in time."""

    first: Column
    second: Column

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, T, …)."""
        batch, steps, *rest = self.first.shape
        return (batch, steps + self.second.shape[1], *rest)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of both."""
        return self.first.dtype

    def read(self, index: slice | Array) -> Array:
        """These rows."""
        return np.concatenate([self.first.read(index), self.second.read(index)], 1)


def is_here(path: Path) -> bool:
    """Whether the three files are in a folder, or in its `saved`."""
    return _folder(path) is not None


def read(path: Path) -> Layout:
    """Its layout.

    Raises:
      PredictionsError: Arrays that do not go together.
    """
    folder = _folder(path)
    assert folder is not None
    seen, truth, said = (npy_column(folder / name) for name in _FILES)
    alike = seen.shape[:1] + seen.shape[2:] == truth.shape[:1] + truth.shape[2:]
    if len(seen.shape) != 5 or len(truth.shape) != 5 or not alike or seen.dtype != truth.dtype:
        raise PredictionsError(
            f"{folder}: inputs.npy is {seen.dtype} {seen.shape}, trues.npy {truth.dtype}"
            f" {truth.shape}: expected (B, T, C, H, W), both alike but for T"
        )
    columns: dict[str, Column] = {
        f"{layout.TRUTH}/image": _Joined(seen, truth),
        f"{layout.PREDICTION}/image": said,
    }
    return Layout(str(folder), columns, seen.shape[1], channels_first=True)


def _folder(path: Path) -> Path | None:
    places = (path, path / "saved")
    return next((x for x in places if all((x / name).is_file() for name in _FILES)), None)
