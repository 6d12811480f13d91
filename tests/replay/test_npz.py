import io
import os
import pickle
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from openloop_cli.errors import ReplayError
from openloop_cli.replay.npz import open_npz, read_steps
from tests.golden import genuine

LENGTH = 20
SPANS = [(0, 2), (5, 6), (17, 20)]
WANTED = [0, 1, 5, 17, 18, 19]


def npy(array, version=(1, 0), header=None) -> bytes:
    """An npy file; `header` replaces the text of its header."""
    stream = io.BytesIO()
    if header is None:
        np.lib.format.write_array(stream, array, version, allow_pickle=True)
        return stream.getvalue()
    text = header.encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + array.tobytes()


def write(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for key, content in members.items():
            file.writestr(f"{key}.npy", content)
    return path


def read(path, key="x", spans=SPANS, length=LENGTH):
    return read_steps(path, [open_npz(path, length)[key]], spans)[key]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    "dtype", ["?", "u1", "<i4", ">i4", "<f2", "<f8", ">f4", "<c8", "S3", "<U2"]
)
@pytest.mark.parametrize("rest", [(), (7,), (3, 4, 2), (1,), (0,)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_steps_of_every_kind(tmp_path, rng, dtype, rest, order, save):
    array = rng.integers(0, 100, (LENGTH, *rest)).astype(dtype).copy(order)
    save(tmp_path / "a.npz", x=array, other=np.zeros(LENGTH))
    found = read(tmp_path / "a.npz")
    np.testing.assert_array_equal(found, array[WANTED])
    assert found.dtype == array.dtype.newbyteorder("=")


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_header_versions(tmp_path, rng, version):
    array = rng.normal(size=(LENGTH, 3))
    path = write(tmp_path / "a.npz", {"x": npy(array, version)})
    np.testing.assert_array_equal(read(path), array[WANTED])


def test_keys_with_slashes_keep_their_order(tmp_path):
    arrays = {"dyn/deter": np.zeros(3), "b": np.ones(3), "a": np.ones(3)}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    assert list(open_npz(tmp_path / "a.npz", 3)) == ["dyn/deter", "b", "a"]


def test_large_members_cross_many_blocks(tmp_path, rng):
    array = rng.integers(0, 256, (200, 64, 64, 3), np.uint8)
    np.savez_compressed(tmp_path / "a.npz", x=array)
    spans = [(0, 3), (70, 75), (150, 200)]
    found = read(tmp_path / "a.npz", spans=spans, length=200)
    np.testing.assert_array_equal(found, np.concatenate([array[a:b] for a, b in spans]))


class Bomb:
    def __reduce__(self):
        return os.system, ("touch executed",)


def header(shape, descr="<f8", fortran=False):
    return f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


GOOD = np.zeros(LENGTH)
OBJECTS = npy(np.array([Bomb()] * LENGTH, object))
STRUCT = npy(np.zeros(LENGTH, [("a", "f4"), ("b", "i4")]))
REFUSED = {
    "object array": (OBJECTS, "not an array of plain numbers"),
    "structured array": (STRUCT, "not an array of plain numbers"),
    "bare pickle": (pickle.dumps(Bomb()), "is not an array"),
    "empty member": (b"", "is not an array"),
    "half the magic": (b"\x93NUMPY", "is not an array"),
    "only the magic": (b"\x93NUMPY\1\0", "is not an array"),
    "unknown version": (b"\x93NUMPY\x09\0" + npy(GOOD)[8:], "is not an array"),
    "header beyond the end": (b"\x93NUMPY\1\0\xff\xff" + b" " * 99, "plain numbers"),
    "4 GB header": (b"\x93NUMPY\2\0\xff\xff\xff\xff" + b" " * 99, "plain numbers"),
    "code in the header": (npy(GOOD, header="__import__('os')"), "plain numbers"),
    "deeply nested header": (npy(GOOD, header="(" * 3000), "plain numbers"),
    "datetimes": (npy(GOOD, header=header((LENGTH,), "<M8[s]")), "plain numbers"),
    "unknown dtype": (npy(GOOD, header=header((LENGTH,), "<f3")), "unknown dtype '<f3'"),
    "empty dtype": (npy(np.zeros(LENGTH, "S1"), header=header((LENGTH,), "|S0")), "empty dtype"),
    "another length": (npy(GOOD[1:]), r"has shape \(19,\), its file name says 20 steps"),
    "scalar": (npy(np.float64(3)), r"has shape \(\), its file name says 20 steps"),
    "a terabyte": (npy(GOOD, header=header((LENGTH, 10**12))), "but holds"),
    "beyond 64 bits": (npy(GOOD, header=header((LENGTH, 10**17, 10**17))), "but holds"),
    "too few bytes": (npy(GOOD)[:-1], "but holds"),
    "too many bytes": (npy(GOOD) + b"\0", "but holds"),
    "a negative size": (npy(GOOD, header=header((LENGTH, -1))), "plain numbers"),
}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("case", REFUSED)
def test_refused_arrays(tmp_path, monkeypatch, case, compression):
    monkeypatch.chdir(tmp_path)
    content, message = REFUSED[case]
    path = write(tmp_path / "a.npz", {"ok": npy(GOOD), "x": content}, compression)
    with pytest.raises(ReplayError, match=message) as caught:
        open_npz(path, LENGTH)
    assert "\n" not in caught.value.message
    assert "'x'" in caught.value.message
    assert not (tmp_path / "executed").exists()


def nothing(path):
    path.write_bytes(b"")


def plain_npy(path):
    path.write_bytes(npy(GOOD))


def no_arrays(path):
    write(path, {})


def twice(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", npy(GOOD))
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("x.npy", npy(GOOD))


def bzip2(path):
    write(path, {"x": npy(GOOD)}, zipfile.ZIP_BZIP2)


def encrypted(path):
    write(path, {"x": npy(GOOD)})
    patch_directory(path, 8, struct.pack("<H", 1))


def moved(path):
    write(path, {"x": npy(GOOD)})
    patch_directory(path, 42, struct.pack("<I", 5))


def beyond(path):
    write(path, {"x": npy(GOOD)})
    patch_directory(path, 20, struct.pack("<I", 10**6))


def before_the_beginning(path):
    write(path, {"x": npy(GOOD)})
    raw = bytearray(path.read_bytes())
    raw[-10:-6] = struct.pack("<I", 10**6)  # the directory's size, in the end record
    path.write_bytes(raw)


def directory_moved(path):
    write(path, {"x": npy(GOOD)})
    raw = bytearray(path.read_bytes())
    at = int.from_bytes(raw[-6:-2], "little")
    raw[-6:-2] = struct.pack("<I", at + 5)  # as if 5 bytes before it were lost
    path.write_bytes(raw)


def declares_a_gigabyte(path):
    write(path, {"x": npy(GOOD, header=header((LENGTH, 10**7)))})
    patch_directory(path, 24, struct.pack("<I", len(npy(GOOD)) + 8 * LENGTH * 10**7 - 8 * LENGTH))


def patch_directory(path, offset, value):
    """Overwrite bytes of the first entry of the zip directory."""
    raw = bytearray(path.read_bytes())
    at = raw.index(b"PK\1\2") + offset
    raw[at : at + len(value)] = value
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (nothing, r"not an npz \(zip\) file"),
        (plain_npy, r"not an npz \(zip\) file"),
        (no_arrays, "holds no arrays"),
        (twice, "holds 'x' twice"),
        (bzip2, "packed in a way that NumPy does not write"),
        (encrypted, "packed in a way that NumPy does not write"),
        (moved, "'x' is not where the zip directory says"),
        (beyond, "'x' reaches beyond the end of the file"),
        (before_the_beginning, "cut short or damaged: its zip directory"),
        (directory_moved, "'x' is not where the zip directory says|cut short or damaged"),
        (declares_a_gigabyte, "more than its .* can hold"),
    ],
)
def test_refused_files(tmp_path, make, message):
    make(tmp_path / "a.npz")
    with pytest.raises(ReplayError, match=message):
        open_npz(tmp_path / "a.npz", LENGTH)


def test_a_stream_longer_than_it_declares(tmp_path):
    """A bomb: a small array in the directory, a gigabyte of zeros in the stream."""
    small = npy(np.zeros((LENGTH, 1000)))
    path = tmp_path / "a.npz"
    write(path, {"x": small + bytes(50_000_000)})
    patch_directory(path, 24, struct.pack("<I", len(small)))
    patch_directory(path, 16, struct.pack("<I", zlib.crc32(small)))
    tracemalloc.start()
    try:
        with pytest.raises(ReplayError, match="'x' is damaged"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_stream_shorter_than_it_declares(tmp_path):
    longer = npy(np.zeros((LENGTH, 1001)))
    path = write(tmp_path / "a.npz", {"x": longer[:-8]})
    patch_directory(path, 24, struct.pack("<I", len(longer)))
    with pytest.raises(ReplayError, match="'x' is damaged"):
        read(path)


def test_few_steps_of_a_big_chunk_take_little_memory(tmp_path):
    array = np.zeros((1024, 64, 64, 3), np.uint8)
    array[500:503] = np.arange(64 * 64 * 3).reshape(64, 64, 3) % 251
    for order in "CF":
        np.savez_compressed(tmp_path / "a.npz", x=array.copy(order))
        tracemalloc.start()
        try:
            found = read(tmp_path / "a.npz", spans=[(500, 503)], length=1024)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        np.testing.assert_array_equal(found, array[500:503])
        assert peak < 2_000_000 < array.nbytes / 6, order


def test_gone_and_unreadable(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=GOOD)
    members = open_npz(tmp_path / "a.npz", LENGTH)
    (tmp_path / "a.npz").unlink()
    with pytest.raises(ReplayError, match="it is gone"):
        read_steps(tmp_path / "a.npz", members.values(), SPANS)
    with pytest.raises(ReplayError, match="it is not a file"):
        open_npz(tmp_path, LENGTH)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=GOOD)
    (tmp_path / "a.npz").chmod(0)
    with pytest.raises(ReplayError, match="cannot be read: Permission denied"):
        open_npz(tmp_path / "a.npz", LENGTH)


def everything(path, length):
    members = open_npz(path, length)
    return read_steps(path, members.values(), [(0, length)])


def a_genuine_chunk():
    path = min((genuine("dummy_f32")[0] / "replay").glob("*-16.npz"))
    return path.read_bytes(), everything(path, 16)


@pytest.mark.parametrize("tenth", range(10))
def test_a_genuine_chunk_cut_short(tmp_path, tenth):
    raw, _ = a_genuine_chunk()
    (tmp_path / "a.npz").write_bytes(raw[: len(raw) * tenth // 10])
    with pytest.raises(ReplayError):
        open_npz(tmp_path / "a.npz", 16)


def test_a_genuine_chunk_with_flipped_bits(tmp_path):
    """Whatever bit flips: what comes back is refused or right."""
    raw, right = a_genuine_chunk()
    rng = np.random.default_rng(0)
    # The directory at the end and each local header are few bytes: take them on purpose.
    places = [*range(0, len(raw), len(raw) // 10), *rng.integers(0, len(raw), 100)]
    places += [*rng.integers(raw.index(b"PK\1\2"), len(raw), 300), *range(120)]
    refusals = []
    for place in places:
        flipped = bytearray(raw)
        flipped[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "a.npz").write_bytes(flipped)
        try:
            found = everything(tmp_path / "a.npz", 16)
        except ReplayError as error:
            refusals.append(error.message)
            continue
        for key, value in found.items():
            # A flip in the name of a key makes another key, never other numbers.
            if key in right:
                np.testing.assert_array_equal(value, right[key])
    assert len(refusals) > 100
    assert not any("\n" in message for message in refusals)
