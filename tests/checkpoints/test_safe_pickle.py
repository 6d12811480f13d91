"""The lazy reader against `pickle.loads`, and how little of a file it reads."""

import io
import pickle
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from openloop_cli.checkpoints import read_checkpoint
from openloop_cli.checkpoints.pickle.reader import index_stream

from .spelled import DTYPE_I4, array_body, with_param, write

PROTOCOLS = [2, 3, 4, 5]
DTYPES = ["f4", "f2", "f8", "i4", "i8", "i1", "u1", "u2", "b1", "c8", ">f4", ">i8", "bfloat16"]


def read_back(folder: Path, params: dict, protocol: int) -> dict:
    """What we read, once compared with what the pickle module reads."""
    data = pickle.dumps({"params": params, "counters": {"updates": 3}}, protocol)
    checkpoint = read_checkpoint(write(folder, data))
    assert list(checkpoint.params) == list(params)
    arrays = checkpoint.read_params(params)
    for name, expected in pickle.loads(data)["params"].items():
        ref, array = checkpoint.params[name], arrays[name]
        # pickle.loads swaps arrays to native order too, except those of protocol 5.
        expected = expected.astype(expected.dtype.newbyteorder("="), order="K")
        assert (ref.shape, ref.dtype, ref.nbytes) == (
            expected.shape,
            expected.dtype,
            expected.nbytes,
        )
        assert array.dtype == expected.dtype
        assert array.shape == expected.shape
        assert array.tobytes() == expected.tobytes()
        if array.size:  # strides of nothing mean nothing
            assert array.strides == np.asarray(expected).strides
        assert array.flags.writeable
    return arrays


def as_dtype(dtype: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip(tmp_path, protocol, dtype):
    values = np.random.default_rng(0).integers(0, 120, 3 * 4 * 5).reshape(3, 4, 5)
    array = values.astype(as_dtype(dtype))
    params = {
        "c": array,
        "fortran": np.asfortranarray(array[0]),
        "transposed": np.ascontiguousarray(array).transpose(1, 0, 2),
        "strided": array[::2, :, ::2],
        "zero-d": np.array(array[0, 0, 0]),
        "empty": array[:0],
        "one byte": array.reshape(-1)[:1],
        "scalar": array[1, 1, 1],
        "read only": np.frombuffer(array.tobytes(), array.dtype),
    }
    read_back(tmp_path, params, protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("size", [1, 60, 255, 256, 1023, 1025, 70_000, 300_000])
def test_every_length_of_payload(tmp_path, protocol, size):
    noise = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    read_back(tmp_path, {"a": noise, "b": noise[::-1], "c": noise.view(bool) & True}, protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_pure_python_pickler_and_one_parameter(tmp_path, protocol):
    params = {"only": np.arange(100_000, dtype="f4")}
    data = pickle._dumps({"params": params}, protocol)  # frames differ from the C pickler's
    checkpoint = read_checkpoint(write(tmp_path, data))
    np.testing.assert_array_equal(checkpoint.params["only"].read(), params["only"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_shared_arrays_and_more_than_a_thousand_names(tmp_path, protocol):
    same = np.arange(6.0).reshape(2, 3)
    params = {f"dyn/{i}/kernel": np.full((i % 7,), i, "f4") for i in range(2500)}
    params = {"first": same, **params, "again": same}
    arrays = read_back(tmp_path, params, protocol)
    np.testing.assert_array_equal(arrays["again"], same)


def test_numpy_1_spelling(tmp_path):
    """The reference's own stack writes numpy.core, the newest NumPy numpy._core."""
    array = np.arange(6, dtype="f4").reshape(2, 3)
    for protocol in (2, 3):  # no frames and no name lengths to adjust
        data = pickle.dumps({"params": {"a": array}}, protocol)
        old = data.replace(b"numpy._core.", b"numpy.core.")
        new = old.replace(b"numpy.core.", b"numpy._core.")
        assert old != new
        for spelled in (old, new):
            ref = read_checkpoint(write(tmp_path, spelled)).params["a"]
            np.testing.assert_array_equal(ref.read(), array)


def test_axis_order_of_newer_numpy(tmp_path):
    """NumPy 2.3 on writes order K and the axes; spelled here for every NumPy."""
    stored = np.arange(24, dtype="i4").reshape(2, 3, 4)
    body = (
        b"cnumpy._core.numeric\n_frombuffer\n(\x96" + struct.pack("<Q", 96) + stored.tobytes()
        + DTYPE_I4 + b"K\x02K\x03K\x04\x87\x8c\x01KK\x01K\x00K\x02\x87tR"
    )  # fmt: skip
    ref = read_checkpoint(write(tmp_path, with_param(body, protocol=5))).params["a"]
    assert ref.shape == (3, 2, 4)
    np.testing.assert_array_equal(ref.read(), stored.transpose(1, 0, 2))


def test_memory_is_aligned_for_jax(tmp_path):
    params = {"a": np.arange(3, dtype="u1"), "b": np.arange(5.0)}
    for array in read_back(tmp_path, params, 4).values():
        assert array.__array_interface__["data"][0] % 64 == 0


def test_other_entries_are_passed_over(tmp_path):
    other = {
        "list": [1, 2.5, None, (True, False)],
        "big": 1 << 100,
        "bytes": b"x" * 5000,
        7: "é" * 900,
    }
    data = pickle.dumps({"params": {"a": np.ones(2)}, "other": other, "counters": {}})
    assert list(read_checkpoint(write(tmp_path, data)).params) == ["a"]


# Laziness


class CountingFile(io.FileIO):
    count = 0

    def read(self, size=-1, /):
        data = super().read(size)
        self.count += len(data)
        return data


def test_under_one_per_cent_of_a_large_file_is_read(tmp_path):
    """The contents are holes: 20 arrays of 10 MB, and 40 small ones between."""
    file = tmp_path / "agent.pkl"
    nbytes = 10_000_000
    shape = b"J" + struct.pack("<i", nbytes // 4) + b"\x85"
    with file.open("wb") as out:
        out.write(b"\x80\x04}\x8c\x06params}(")
        for i in range(20):
            out.write(b"\x8c\x02k" + bytes([97 + i]))
            body = array_body(shape=shape, data=b"B" + struct.pack("<I", nbytes) + b"HERE")
            begin, end = body.split(b"HERE")
            out.write(begin)
            out.seek(nbytes, 1)
            out.write(end)
            for small in (b"b", b"s"):
                out.write(b"\x8c\x02" + small + bytes([97 + i]) + array_body())
        out.write(b"us.")
    size = file.stat().st_size
    with CountingFile(file, "rb") as source:
        value = index_stream(source, size, "x")
    assert len(value["params"]) == 60
    assert 0 < source.count < size / 1000
    # One of them, and nothing near it.
    (tmp_path / "done").touch()
    array = read_checkpoint(tmp_path).params["kc"].read()
    assert array.nbytes == nbytes
    assert not array.any()
