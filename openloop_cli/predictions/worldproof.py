"""worldproof's folders of rollouts, format "0.1-provisional": one folder for each window.

    manifest.json, actions.npy
    context/, ground_truth/, predictions/sample_00/     frame_00000.png …    (storage png_sequence)
    context.npy, ground_truth.npy, predictions/sample_00.npy                 (storage npy, latents)
    context.mp4, …                                                           (storage video)

Several samples are futures of one window.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import PredictionsError
from openloop_cli.predictions import layout
from openloop_cli.predictions.columns import Column, OneByOne, npy_column
from openloop_cli.predictions.scored import Layout
from openloop_cli.predictions.videos import clip, natural
from openloop_cli.text import clean

FORMAT = "0.1-provisional"
_MANIFEST = "manifest.json"
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class _Rollout:
    """One folder, by its manifest."""

    folder: Path
    pixels: bool
    storage: str
    samples: tuple[Path, ...]

    def stream(self, name: str) -> Array:
        """`context` or `ground_truth`, (T, …)."""
        return self.read(self.folder / name)

    def read(self, place: Path) -> Array:
        """(T, …) of a folder of frames, an npy or a video."""
        if not self.pixels:
            path = place if place.suffix == ".npy" else place.with_suffix(".npy")
            return npy_column(path).read(slice(None))
        if self.storage == "video" and place.suffix != ".mp4":
            place = place.with_suffix(".mp4")
        if not place.exists():
            raise PredictionsError(f"{place}: missing")
        return clip(place).read()


def is_here(path: Path) -> bool:
    """Whether a folder is such a rollout, or holds some."""
    return path.is_dir() and bool(_folders(path))


def read(path: Path) -> Layout:
    """Its layout.

    Raises:
      PredictionsError: Of another version, without truth, or of rollouts that differ in shape.
    """
    rollouts = [_rollout(folder) for folder in _folders(path)]
    first = rollouts[0]
    kinds = {(x.pixels, x.storage, len(x.samples)) for x in rollouts}
    if len(kinds) > 1:
        raise PredictionsError(
            f"{path}: rollouts of different modality, storage or number of samples"
        )
    context, ahead = first.stream("context"), first.stream("ground_truth")
    key, samples = ("image" if first.pixels else "latent"), len(first.samples)
    steps = len(context) + len(ahead)

    def column(shape: tuple[int, ...], load: Callable[[_Rollout], Array]) -> Column:
        def one(window: int) -> Array:
            found = load(rollouts[window])
            if found.shape != shape:
                raise PredictionsError(
                    f"{rollouts[window].folder}: {found.shape}, the rollouts before it have {shape}"
                )
            return found

        return OneByOne((len(rollouts), *shape), ahead.dtype, one)

    def truth(rollout: _Rollout) -> Array:
        return np.concatenate([rollout.stream("context"), rollout.stream("ground_truth")])

    columns = {
        f"{layout.TRUTH}/{key}": column((steps, *ahead.shape[1:]), truth),
        f"{layout.PREDICTION}/{key}": column(ahead.shape, lambda x: x.read(x.samples[0])),
    }
    if samples > 1:
        columns[f"{layout.FUTURES}/{key}"] = column(
            (samples, *ahead.shape), lambda x: np.stack([x.read(place) for place in x.samples])
        )
    notes: tuple[str, ...] = ()
    if first.storage == "video":
        notes = ("videos lost something when written: its loss is in all numbers",)
    return Layout(str(path), columns, len(context), notes=notes)


def _rollout(folder: Path) -> _Rollout:
    manifest = _manifest(folder / _MANIFEST)
    version = manifest.get("format_version")
    if version != FORMAT:
        raise PredictionsError(
            f"{folder / _MANIFEST}: format_version {clean(version, 40)!r}, expected {FORMAT!r}"
        )
    if not manifest.get("has_ground_truth"):
        raise PredictionsError(f"{folder}: has no ground truth to score against")
    pixels, storage = manifest.get("modality") == "pixels", str(manifest.get("storage"))
    pattern = "sample_*" if storage == "png_sequence" else f"sample_*{_ending(pixels)}"
    samples = sorted((folder / "predictions").glob(pattern), key=natural)
    if not samples:
        raise PredictionsError(f"{folder / 'predictions'}: no sample_00")
    return _Rollout(folder, pixels, storage, tuple(samples))


def _ending(pixels: bool) -> str:
    return ".mp4" if pixels else ".npy"


def _manifest(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            tree = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        raise PredictionsError(f"{path}: not JSON that can be read") from None
    if not isinstance(tree, dict):
        raise PredictionsError(f"{path}: expected an object")
    return tree


def _folders(path: Path) -> list[Path]:
    if (path / _MANIFEST).is_file():
        return [path]
    try:
        return [x for x in sorted(path.iterdir(), key=natural) if (x / _MANIFEST).is_file()]
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PredictionsError(f"{path}: cannot be read: {reason}") from None
