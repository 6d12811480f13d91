"""APNG: every pixel of every frame."""

import numpy as np
import pytest
from PIL import Image

from openloop_cli.encode.apng import write_apng


def decode(path):
    with Image.open(path) as image:
        frames, times = [], []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")))
            times.append(image.info.get("duration"))
        return np.stack(frames), times, image.info.get("loop")


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("size", [(64, 64), (33, 41), (1, 1)])
def test_exact_round_trip(tmp_path, size):
    video = noise(9, *size, 3)
    write_apng(tmp_path / "a.apng", video, 15)
    found, times, loop = decode(tmp_path / "a.apng")
    np.testing.assert_array_equal(found, video)
    assert sum(times) == pytest.approx(9 * 1000 / 15, abs=0.6)
    assert loop == 0


def test_identical_frames_stay_as_many_as_they_were(tmp_path):
    video = noise(3, 16, 16, 3)[[0, 0, 1, 1, 1, 2, 0, 0]]
    write_apng(tmp_path / "a.apng", video, 10)
    found, times, _ = decode(tmp_path / "a.apng")
    np.testing.assert_array_equal(found, video)
    assert times == [100.0] * 8


def test_a_single_frame_is_a_plain_png(tmp_path):
    video = noise(1, 16, 16, 3)
    write_apng(tmp_path / "a.png", video, 10)
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), video[0])


def test_two_writes_give_the_same_bytes(tmp_path):
    for name in ("a.apng", "b.apng"):
        write_apng(tmp_path / name, noise(4, 16, 16, 3), 15)
    assert (tmp_path / "a.apng").read_bytes() == (tmp_path / "b.apng").read_bytes()
