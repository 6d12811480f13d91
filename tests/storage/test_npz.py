"""NPZ: names, dtypes, shapes and values come back, without pickle; failures leave nothing."""

import errno
import os
import zipfile

import numpy as np
import pytest

from openloop_cli.errors import OutputError
from openloop_cli.storage.npz import write_npz

RNG = np.random.default_rng(0)
ARRAYS = {
    "truth/image": RNG.integers(0, 256, (2, 3, 8, 8, 3), np.uint8),
    "prediction/image": RNG.random((2, 3, 8, 8, 3), np.float32),
    "half": RNG.random((4, 5)).astype(np.float16),
    "fortran": np.asfortranarray(RNG.random((4, 5))),
    "strided": np.arange(20)[::3],
    "flags": np.array([True, False]),
    "windows": np.array(["1wBBkR2DTH57XTfS5P3jJ3:17", "a:1"]),
    "scalar": np.array(3.5),
    "empty": np.zeros((0, 4), np.float32),
}


def test_round_trip(tmp_path):
    write_npz(tmp_path / "a.npz", ARRAYS)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert found.files == list(ARRAYS)
        for name, array in ARRAYS.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)


def test_two_writes_give_the_same_bytes(tmp_path, monkeypatch):
    write_npz(tmp_path / "a.npz", ARRAYS)
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_npz(tmp_path / "b.npz", ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_pictures_are_compressed(tmp_path):
    write_npz(tmp_path / "a.npz", {"flat": np.zeros((1000, 1000), np.uint8)})
    assert (tmp_path / "a.npz").stat().st_size < 10_000
    assert zipfile.ZipFile(tmp_path / "a.npz").testzip() is None


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", "a/../b", "a\\b", "."])
def test_names_that_would_not_come_back(tmp_path, name):
    with pytest.raises(OutputError, match="expected a name"):
        write_npz(tmp_path / "a.npz", {"good": np.zeros(1), name: np.zeros(1)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "array",
    [np.array([None]), np.array([{}], object), np.zeros(2, [("a", "i4")]), np.zeros(2, "V2")],
)
def test_dtypes_that_would_need_pickle_or_lose_their_meaning(tmp_path, array):
    with pytest.raises(OutputError, match="bad: expected numbers, flags or text"):
        write_npz(tmp_path / "a.npz", {"bad": array})
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OutputError, match="the disk is full: wrote"):
        write_npz(tmp_path / "a.npz", ARRAYS)
    assert list(tmp_path.iterdir()) == []
