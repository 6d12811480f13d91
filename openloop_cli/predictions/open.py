"""Which format predictions are in, by what is there; and the layout of each."""

from collections.abc import Callable
from pathlib import Path

from openloop_cli.errors import PredictionsError
from openloop_cli.predictions import nano_world_model, openstl, worldproof
from openloop_cli.predictions.named import read_folder, read_npz
from openloop_cli.predictions.scored import Layout
from openloop_cli.storage import remote

_FOLDERS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Layout]], ...] = (
    (worldproof.is_here, worldproof.read),
    (nano_world_model.is_here, nano_world_model.read),
    (openstl.is_here, openstl.read),
)


def open_predictions(path: Path) -> Layout:
    """The layout of a file or folder of predictions; only names and headers are read.

    Raises:
      PredictionsError: It is not there, or of no format that is known.
    """
    if not path.exists():
        raise PredictionsError(f"{path}: no such file or folder")
    if path.is_file():
        if path.suffix.lower() == ".npy":
            raise PredictionsError(
                f"{path}: one array alone says nothing of truth and prediction",
                hint="pass the folder that holds truth/<key>.npy and prediction/<key>.npy",
            )
        if nano_world_model.is_here(path):
            return nano_world_model.read(path)
        return read_npz(path)
    if remote(path):
        raise PredictionsError(f"{path}: a folder on the network", hint="pass an .npz")
    for is_here, read in _FOLDERS:
        if is_here(path):
            return read(path)
    found = read_folder(path)
    if not found.columns:
        raise PredictionsError(
            f"{path}: holds no predictions",
            hint="expected truth/<key>.npy and prediction/<key>.npy, or what docs/any-model.md"
            " lists; videos are named with --truth and --prediction",
        )
    return found
