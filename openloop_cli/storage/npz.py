"""NPZ: named arrays -> a zip of `.npy` files that `numpy.load` reads without pickle.

The same arrays give the same bytes. Integers are deflated: pictures shrink well, and quickly.
Floats are stored as they are: the noise in their last digits keeps most of the bytes and costs
a second for each 40 MB.
"""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import OutputError
from openloop_cli.storage.atomic import atomic_path

_PLAIN = "biufcSU"


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays by name, whole or not at all; a name may hold `/`.

    Raises:
      OutputError: A name or a dtype that `numpy.load` would not give back, or a place that
        cannot be written.
    """
    _check_all(arrays)
    total = sum(array.nbytes for array in arrays.values())
    with atomic_path(path, expected_bytes=total) as partial, partial.open("wb") as file:
        _write(file, arrays)


def npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """The same file in memory."""
    _check_all(arrays)
    with io.BytesIO() as file:
        _write(file, arrays)
        return file.getvalue()


def _write(file: IO[bytes], arrays: Mapping[str, Array]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            # One array at a time, straight into the file; and a fixed date, not today's.
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED if _shrinks(array) else zipfile.ZIP_STORED
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _check_all(arrays: Mapping[str, Array]) -> None:
    for name, array in arrays.items():
        _check(name, array)


def _check(name: str, array: Array) -> None:
    parts = name.split("/")
    if not name or "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise OutputError(f"array {name!r}: expected a name like truth/image")
    if array.dtype.kind not in _PLAIN:
        raise OutputError(f"{name}: expected numbers, flags or text, found dtype {array.dtype}")


def _shrinks(array: Array) -> bool:
    return array.dtype.kind in "biuSU"
