"""What is refused: other globals, sizes that do not fit, damage, and pickles that would explode."""
# One case a line reads better than a wrapped table.
# ruff: noqa: E501

import builtins
import io
import os
import pickle
import random
import struct
import tracemalloc
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from openloop_cli.checkpoints import read_checkpoint
from openloop_cli.checkpoints.pickle import machine
from openloop_cli.checkpoints.pickle.reader import index_stream
from openloop_cli.errors import CheckpointError

from .spelled import DTYPE_I4, array_body, dtype_body, with_param, write

PROTOCOLS = [2, 3, 4, 5]


def test_the_watch_hears_pickle(watched):
    pickle.loads(pickle.dumps(np.float32(1)))
    assert any("pickle.find_class" in event for event in watched)


class Evil:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def calls(function, *args):
    return lambda protocol: pickle.dumps({"params": {"dyn/evil": Evil(function, *args)}}, protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("make", "named"),
    [
        (calls(os.system, "touch pwned"), "posix.system"),
        (calls(eval, "open('pwned', 'w')"), "eval"),
        (calls(exec, "open('pwned', 'w')"), "exec"),
        (calls(builtins.__import__, "this"), "__import__"),
        (calls(getattr, "x", "upper"), "getattr"),
        (calls(bytearray, 1 << 40), "bytearray"),
        (calls(np.dtype, "f4,f4", False, True), "dtype f4,f4"),
        (calls(np.dtype, "O", False, True), "dtype O"),
        (calls(np.fromfile, "/etc/passwd"), "fromfile"),
        (lambda p: pickle.dumps({"params": {"dyn/evil": Path("x")}}, p), "pathlib"),
        (lambda p: pickle.dumps({"params": {"dyn/evil": np.array([{}, 2])}}, p), "dtype O8"),
        (lambda p: pickle.dumps({"params": {"dyn/evil": np.zeros(2, "f4,i4")}}, p), "dtype V8"),
        (lambda p: pickle.dumps({"params": {"dyn/evil": np.zeros(2, "M8[s]")}}, p), "dtype M8"),
        (lambda p: pickle.dumps({"params": {"dyn/evil": np.array(["ab"])}}, p), "dtype U2"),
        (lambda p: pickle.dumps({"params": {"dyn/evil": np.ma.zeros(2)}}, p), "numpy.ma"),
        (lambda p: pickle.dumps({"params": {"dyn/evil": {1, 2}}}, p), "set"),
        (lambda p: pickle.dumps({"params": {"dyn/evil": np.dtype("f4")}}, p), "a dtype as a value"),
        (
            lambda p: pickle.dumps({"params": {"dyn/evil": np.ndarray}}, p),
            "numpy.ndarray as a value",
        ),
    ],
)
def test_refused_by_name(tmp_path, monkeypatch, watched, protocol, make, named):
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, make(protocol))
    watched.clear()
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(file)
    assert not watched
    line = str(caught.value)
    assert line.startswith(f"{file}: refuses ")
    assert named in line
    assert "dyn/evil" in line
    assert "\n" not in line
    assert not (tmp_path / "pwned").exists()


def test_the_parameter_is_named_among_many(tmp_path):
    params = {"enc/a": np.ones(3), "dyn/evil": Evil(os.system, "true"), "dyn/z": np.ones(2)}
    file = write(tmp_path, pickle.dumps({"counters": {"updates": 1}, "params": params}))
    with pytest.raises(CheckpointError, match=r"posix\.system at byte \d+, in params/dyn/evil: "):
        read_checkpoint(file)


@pytest.mark.parametrize("body", [b"\x81", b"\x92", b"o", b"P1\n", b"Q", b"\x82\x01", b"\x97", b"\x98", b"\x8f", b"I1\n", b"0", b"2", b"d", b"l", b"\xff"])  # fmt: skip
def test_refused_instructions(tmp_path, body):
    with pytest.raises(CheckpointError, match=r"refuses .* in params/a"):
        read_checkpoint(write(tmp_path, with_param(b"N" + body)))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (with_param(array_body(shape=b"K\x03\x85")), r"shape \(3,\) of int32 needs 12 bytes, found 8"),
        (with_param(array_body(shape=b"\x8a\x06" + b"\x00" * 5 + b"\x01\x85")), "needs 4398046511104"),
        (with_param(array_body(shape=b"\x8a\x08" + b"\xff" * 7 + b"\x7f\x85")), "beyond any memory"),
        (with_param(array_body(shape=b"J\xfe\xff\xff\xff\x85")), "else than lengths"),
        (with_param(array_body(shape=b"\x88\x85")), "else than lengths"),
        (with_param(array_body(shape=b"K\x02")), "not a tuple"),
        (with_param(array_body(shape=b"(" + b"K\x01" * 33 + b"t")), "at most 32"),
        (with_param(array_body(shape=b"K\x00" + b"J\xff\xff\xff\x7f" * 2 + b"\x87", data=b"C\x00")), "beyond"),
        (with_param(array_body(version=b"K\x02")), "not as NumPy writes it"),
        (with_param(array_body(fortran=b"N")), "not as NumPy writes it"),
        (with_param(array_body(data=b"](NNe")), "an array of objects"),
        (with_param(array_body(data=b"N")), "not as NumPy writes it"),
        (with_param(array_body(dtype=b"N")), "not as NumPy writes it"),
        (with_param(array_body(reconstruct=b"K\x01\x85C\x01b")), "_reconstruct with unknown arguments"),
        (with_param(array_body(reconstruct=b"K\x00\x85C\x01O")), "_reconstruct with unknown arguments"),
        (with_param(array_body(data=b"B\xff\xff\xff\xff")), "ends early: 4294967295 bytes announced"),
        (with_param(array_body(data=b"\x8e" + b"\x00" * 5 + b"\x01\x00\x00")), "ends early: 1099511627776"),
        (with_param(array_body() + b"(K\x01K\x02\x85NNNtb"), "takes none"),
        (with_param(array_body(dtype=DTYPE_I4[: DTYPE_I4.index(b"R") + 1])), "before its byte order is known"),
        (with_param(array_body(dtype=dtype_body(b"i4", b"K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"))), "byte order"),
        (with_param(array_body(dtype=dtype_body(b"i4", b"K\x04\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"))), "not as NumPy"),
        (with_param(array_body(dtype=dtype_body(b"i4", b"K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x01"))), "not as NumPy"),
        (with_param(array_body(dtype=dtype_body(b"i4", b"K\x03\x8c\x01<N\x8c\x01a\x85}K\x04K\x04K\x00"))), "structured"),
        (with_param(b"cnumpy.core.multiarray\n_reconstruct\n"), "_reconstruct as a value"),
        (with_param(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"), "without contents"),
        (with_param(b"cnumpy\nndarray\nK\x02\x85R"), "a call of numpy.ndarray"),
        (with_param(b"c_codecs\nencode\n\x8c\x01b\x8c\x06rot_13\x86R"), "_codecs.encode with unknown"),
        (with_param(b"c__builtin__\nbytes\nK\x05\x85R"), "bytes with unknown"),
        (with_param(b"K\x01)R"), "not a function"),
        (with_param(b"}}b"), "takes none"),
        (with_param(b"cnumpy.core.multiarray\nscalar\n" + DTYPE_I4 + b"C\x03abc\x86R"), "needs 4 bytes, found 3"),
        (with_param(b"K\x05"), "expected an array"),
        (with_param(b"cos\nsystem\n\x8c\x02id\x85R"), "refuses os.system at byte"),
        (with_param(b"c" + b"x" * 5000), "no end of line"),
        (with_param(b"\x8c\x02\xff\xffN"), "not UTF-8"),
        (with_param(b"\x8b\xff\xff\xff\x7f"), "a number of 2147483647 bytes"),
        (with_param(b"N\x80\x04"), "a second header"),
        (with_param(b"h\x09"), "memo 9 was never written"),
        (with_param(b"Nq\x01q\x01"), "memo 1 is written twice"),
        (with_param(b"t"), "a mark that is not there"),
        (with_param(b"(" + b"\x87"), "a value that is not there"),
        (with_param(b"NNNa"), "not a list"),
        (with_param(b"N\x8c\x01xNu"), "mark that is not there"),
        (with_param(b"N(\x8c\x01xNu"), "not a dict"),
        (with_param(b"}(\x8c\x01xu"), "not a dict"),
        (with_param(b"}((\x8c\x01xtNu"), "neither text nor a small number"),
        (with_param(b"}(\x8c\x01xN\x8c\x01xNu"), "x is there twice"),
        (with_param(b"]" * 30 + b"a" * 29), "nested more than 20 deep"),
        (with_param(b"N" + b"\x85" * 100_000), "nested more than 20 deep"),
        (with_param(b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f"), "a frame of 9223372036854775807 bytes"),
        (with_param(b"\x95\x02" + bytes(7) + b"J\x00\x00\x00\x00N"), "over the end of its frame"),
        (with_param(b"\x95\x0b" + bytes(7) + b"\x95\x01" + bytes(7) + b"N"), "a frame inside a frame"),
        (b"\x80\x04N.N", "1 bytes after the end"),
        (b"\x80\x04NN.", "unused values"),
        (b"\x80\x04N(N.", "unused values"),
        (b"\x80\x04.", "not there"),
        (b"\x80\x04N.", "expected a dict with 'params'"),
        (b"\x80\x06N.", "pickle protocol 6"),
        (b"\x80\x01}.", "pickle protocol 1"),
        (b"\x80", "ends early"),
        (b"", "an empty file"),
        (b"}q\x00.", "not a pickle"),
        (b"PK\x03\x04abcdef", "a zip archive"),
        (b"<!DOCTYPE html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    ],
)  # fmt: skip
def test_malformed(tmp_path, data, says):
    file = write(tmp_path, data)
    with pytest.raises(CheckpointError, match=says) as caught:
        read_checkpoint(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_latin1_text_of_the_wrong_length_or_alphabet(tmp_path):
    """Only reading tells how many bytes a long text holds."""
    for text in ("é" * 600 + "e" * 600, "€" * 400):
        spelled = text.encode()
        length = struct.pack("<I", len(spelled))
        data = b"c_codecs\nencode\nX" + length + spelled + b"\x8c\x06latin1\x86R"
        dtype = DTYPE_I4.replace(b"i4", b"u1").replace(b"<", b"|")
        body = array_body(shape=b"M\xe8\x03\x85", dtype=dtype, data=data)
        ref = read_checkpoint(write(tmp_path, with_param(body))).params["a"]
        with pytest.raises(CheckpointError, match=r"latin1|expected 1000 bytes"):
            ref.read()


# Damage


def small_pickle(protocol: int) -> bytes:
    rng = np.random.default_rng(1)
    params = {
        "dyn/kernel": rng.standard_normal((3, 4), np.float32),
        "dyn/bias": np.asfortranarray(rng.integers(0, 9, (2, 2))),
        "enc/half": rng.standard_normal(5).astype(ml_dtypes.bfloat16),
        "enc/scalar": np.float32(1.5),
    }
    return pickle.dumps({"params": params, "counters": {"updates": 7}}, protocol)


def index(data: bytes) -> object:
    return index_stream(io.BytesIO(data), len(data), "x")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_truncated_at_every_byte(protocol):
    data = small_pickle(protocol)
    index(data)
    for end in range(len(data)):
        with pytest.raises(CheckpointError):
            index(data[:end])


def test_truncated_at_every_tenth_of_a_large_one(tmp_path):
    arrays = {f"dyn/{i}": np.full(50_000, i, "f4") for i in range(10)}
    data = pickle.dumps({"params": arrays})
    for tenth in range(10):
        file = write(tmp_path, data[: len(data) * tenth // 10])
        with pytest.raises(CheckpointError, match=r"ends early|an empty file|left"):
            read_checkpoint(file)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bit_flips_run_and_import_nothing(tmp_path, watched, protocol):
    data = small_pickle(protocol)
    original = read_checkpoint(write(tmp_path, data))
    shapes = {name: ref.shape for name, ref in original.params.items()}
    original.read_params(shapes)
    rng, survived = random.Random(protocol), 0
    watched.clear()
    for _ in range(250):
        flipped = bytearray(data)
        for _ in range(rng.choice([1, 1, 1, 4])):
            flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            checkpoint = read_checkpoint(write(tmp_path, bytes(flipped)))
            arrays = checkpoint.read_params(checkpoint.params)
        except CheckpointError:
            continue
        survived += 1  # flips in contents and names cannot be seen
        assert all(array.nbytes <= len(data) for array in arrays.values())
        assert len(arrays) <= len(shapes)
    assert survived
    assert not watched


# Blow-ups: each would take gigabytes or hours if it worked

# x = (x, x), sixty times: 2 ** 60 leaves
DOUBLING = b"N\x94" + b"".join(
    b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86\x94" for i in range(60)
)
BOMBS = {
    "billion laughs": b"(" + DOUBLING + b"t",
    "billion laughs as a parameter": b"(" + DOUBLING + b"t}\x8c\x06params}\x8c\x01ah\x3css\x86",
    "billion laughs as a key": b"}" + DOUBLING[:-1] + b"Ns",
    "memo": b"N" + b"\x94" * (60_000),
    "marks": b"(" * (60_000),
    "stack": b"N" * (60_000),
    "colliding keys": b"}(" + b"".join(
        b"\x8a\x0c" + ((2**61 - 1) * i).to_bytes(12, "little") + b"N" for i in range(1, 9_000)
    ) + b"u",
    "long names": b"}(X\x00\x04\x00\x00" + b"k" * 1024 + b"\x94" + b"}(h\x00" * 15_000,
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_blow_ups_are_refused_in_little_memory(name, monkeypatch):
    # The real bound is 20 times higher; so is the memory.
    monkeypatch.setattr(machine, "MAX_OPCODES", 50_000)
    data = b"\x80\x04" + BOMBS[name] + b"."
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            index(data)
        assert len(str(caught.value)) < 12_000
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_a_dag_is_walked_once():
    """18 levels of doubling are 262144 paths, but 18 lists."""
    levels = b"".join(b"](h" + bytes([i]) + b"h" + bytes([i]) + b"e\x94" for i in range(17))
    value = index(b"\x80\x04(]\x94" + levels + b"t.")
    assert len(value) == 18


def test_a_file_that_lies_about_its_size_is_not_believed(tmp_path):
    data = small_pickle(4)
    with pytest.raises(CheckpointError, match="shrank"):
        index_stream(io.BytesIO(data[:100]), len(data), "x")
