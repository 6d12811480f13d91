"""nano-world-model's results: `<episode>/raw_data.npz`, each with `pred` and `gt` (C, T, H, W).

Its evaluation writes one for each video that it keeps, as floats in [0, 1] and with the context,
whose length it does not say.
"""

from pathlib import Path

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import PredictionsError
from openloop_cli.predictions import layout
from openloop_cli.predictions.columns import Column, OneByOne, npz_columns
from openloop_cli.predictions.scored import Layout

NAME = "raw_data.npz"
_MOST = 100_000


def is_here(path: Path) -> bool:
    """Whether this is such a file, or a folder of folders with such files."""
    return path.name == NAME if path.is_file() else bool(_files(path, 1))


def read(path: Path) -> Layout:
    """Its layout.

    Raises:
      PredictionsError: Files that do not go together.
    """
    files = [path] if path.is_file() else _files(path, _MOST)
    first = _pair(files[0])["gt"]

    def column(name: str) -> Column:
        def load(window: int) -> Array:
            found = _pair(files[window])[name]
            if found.shape != first.shape:
                raise PredictionsError(
                    f"{files[window]}: {name} has shape {found.shape}, {files[0].parent.name} has"
                    f" {first.shape}"
                )
            return np.moveaxis(found.read(slice(None)), 0, 1)

        channels, steps, *rest = first.shape
        return OneByOne((len(files), steps, channels, *rest), first.dtype, load)

    columns = {f"{layout.TRUTH}/image": column("gt"), f"{layout.PREDICTION}/image": column("pred")}
    return Layout(str(path), columns, channels_first=True)


def _pair(path: Path) -> dict[str, Column]:
    found = npz_columns(path)
    for name in ("gt", "pred"):
        if name not in found or len(found[name].shape) != 4:
            raise PredictionsError(f"{path}: expected {name} of (C, T, H, W)")
    return {name: found[name] for name in ("gt", "pred")}


def _files(folder: Path, most: int) -> list[Path]:
    found: list[Path] = []
    try:
        for child in sorted(folder.iterdir()):
            if child.is_dir() and (child / NAME).is_file():
                found.append(child / NAME)
                if len(found) >= most:
                    break
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PredictionsError(f"{folder}: cannot be read: {reason}") from None
    return found or ([folder / NAME] if (folder / NAME).is_file() else [])
