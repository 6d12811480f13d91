"""What every video writer refuses, and the hash of raw frames."""

import hashlib

import numpy as np
import pytest

from openloop_cli.encode.animation import write_apng, write_gif
from openloop_cli.encode.frames import checked, frames_sha256
from openloop_cli.encode.video import write_mp4
from openloop_cli.errors import OutputError

WRITERS = {"mp4": write_mp4, "gif": write_gif, "apng": write_apng}


def blank(*shape, dtype=np.uint8):
    return np.zeros(shape, dtype)


REFUSED = {
    "float": (blank(2, 8, 8, 3, dtype=np.float32), "expected uint8, found float32"),
    "int32": (blank(2, 8, 8, 3, dtype=np.int32), "expected uint8, found int32"),
    "one image": (blank(8, 8, 3), "expected shape"),
    "windows": (blank(2, 2, 8, 8, 3), "expected shape"),
    "one channel": (blank(2, 8, 8, 1), "expected shape"),
    "alpha": (blank(2, 8, 8, 4), "expected shape"),
    "no frames": (blank(0, 8, 8, 3), "found none"),
    "no height": (blank(2, 0, 8, 3), "expected shape"),
    "empty list": ([], "found none"),
    "growing": ([blank(8, 8, 3), blank(8, 10, 3)], "frame 1: expected shape"),
    "late float": ([blank(8, 8, 3), blank(8, 8, 3, dtype=np.float64)], "frame 1: expected uint8"),
}


@pytest.mark.parametrize("kind", sorted(WRITERS))
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_frames_of_a_wrong_kind_leave_no_file(tmp_path, kind, name):
    frames, reason = REFUSED[name]
    with pytest.raises(OutputError, match=reason):
        WRITERS[kind](tmp_path / f"a.{kind}", frames, 15)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", sorted(WRITERS))
@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 1e6])
def test_impossible_rates(tmp_path, kind, fps):
    with pytest.raises(OutputError, match="frames per second"):
        WRITERS[kind](tmp_path / f"a.{kind}", blank(2, 8, 8, 3), fps)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_places_that_cannot_be_written(tmp_path, kind):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        WRITERS[kind](tmp_path / "file" / f"a.{kind}", blank(2, 8, 8, 3), 15)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_frames_that_are_not_contiguous_are_fine():
    video = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 6, 4, 3).transpose(0, 2, 1, 3)
    found = list(checked(video))
    assert all(frame.flags.c_contiguous for frame in found)
    np.testing.assert_array_equal(found, video)


def test_the_hash_is_of_dtype_shape_and_pixels():
    video = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    expected = hashlib.sha256(b"uint8 2,2,2,3\n" + bytes(range(24))).hexdigest()
    assert frames_sha256(video) == expected
    assert frames_sha256(video.reshape(2, 1, 4, 3)) != expected
    assert frames_sha256(video.view(np.int8)) != expected
    strided = np.repeat(video, 2, axis=2)[:, :, ::2]
    assert frames_sha256(strided) == expected
