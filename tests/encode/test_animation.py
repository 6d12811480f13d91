"""GIF: number, order and time of frames, and colours close to what they were. APNG: every pixel
of every frame."""

import numpy as np
import pytest
from PIL import Image

from openloop_cli.encode.animation import durations, write_apng, write_gif
from openloop_cli.errors import OutputError


def decode(path):
    """Frames as (T, height, width, 3), their milliseconds, and the loop count."""
    frames, times = [], []
    with Image.open(path) as image:
        for index in range(image.n_frames):
            image.seek(index)
            times.append(image.info["duration"])
            frames.append(np.asarray(image.convert("RGB")))
        return np.stack(frames), times, image.info["loop"]


def few_colours(steps=12, seed=0):
    """Patches of 20 colours that change from frame to frame: (T, 24, 40, 3)."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (20, 3), np.uint8)
    patches = rng.integers(0, 20, (steps, 6, 10))
    return colours[patches].repeat(4, 1).repeat(4, 2)


def test_few_colours_come_back_exactly(tmp_path):
    video = few_colours()
    write_gif(tmp_path / "a.gif", video, 10)
    found, times, loop = decode(tmp_path / "a.gif")
    np.testing.assert_allclose(found.astype(int), video, atol=4)
    assert times == [100] * len(video)
    assert loop == 0


def test_many_colours_come_back_closely(tmp_path):
    y, x = np.mgrid[0:64, 0:64]
    video = np.stack([np.stack([y * 4, x * 4, (y + x + 8 * t) % 128], -1) for t in range(8)])
    write_gif(tmp_path / "a.gif", video.astype(np.uint8), 10)
    found, _, _ = decode(tmp_path / "a.gif")
    error = np.square(found.astype(float) - video).mean()
    assert 10 * np.log10(255**2 / error) > 27


def test_it_is_the_better_of_both_palettes(tmp_path):
    """One picture that octree wins and one that median cut wins, against each alone."""
    rng = np.random.default_rng(0)
    smooth = np.linspace(100, 120, 64 * 64 * 3).reshape(1, 64, 64, 3).astype(np.uint8)
    noise = rng.integers(0, 256, (1, 64, 64, 3), np.uint8)
    winners = set()
    for video in (smooth, noise):
        write_gif(tmp_path / "a.gif", video, 10)
        found, _, _ = decode(tmp_path / "a.gif")
        reached = np.square(found.astype(float) - video).mean()
        alone = {}
        for method in (Image.Quantize.FASTOCTREE, Image.Quantize.MEDIANCUT):
            image = Image.fromarray(video[0])
            palette = image.quantize(255, method=method, dither=0)
            shown = image.quantize(palette=palette, dither=0).convert("RGB")
            alone[method] = np.square(np.asarray(shown, float) - video).mean()
        assert reached == pytest.approx(min(alone.values()))
        winners.add(min(alone, key=alone.get))
    assert len(winners) == 2


@pytest.mark.parametrize("fps", [7, 12, 15, 24, 30, 33.3, 50])
def test_rounding_does_not_add_up(tmp_path, fps):
    video = few_colours(steps=40)
    write_gif(tmp_path / "a.gif", video, fps)
    _, times, _ = decode(tmp_path / "a.gif")
    assert sum(times) == pytest.approx(40 * 1000 / fps, abs=5.01)
    assert min(times) >= 20
    assert max(times) - min(times) <= 10


def test_still_frames_merge_and_keep_their_time(tmp_path):
    video = few_colours(steps=4)[[0, 0, 0, 1, 1, 2, 3, 3]]
    write_gif(tmp_path / "a.gif", video, 15)
    found, times, _ = decode(tmp_path / "a.gif")
    assert len(found) == 4
    assert sum(times) == pytest.approx(8 * 1000 / 15, abs=5.01)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_video_that_never_changes(tmp_path, steps):
    write_gif(tmp_path / "a.gif", np.full((steps, 8, 8, 3), 9, np.uint8), 10)
    found, _, _ = decode(tmp_path / "a.gif")
    assert (np.abs(found.astype(int) - 9) <= 4).all()


def test_more_frames_in_a_second_than_browsers_show(tmp_path):
    with pytest.raises(OutputError, match="at most 50"):
        write_gif(tmp_path / "a.gif", few_colours(), 60)


def test_two_writes_give_the_same_bytes(tmp_path):
    for name in ("a.gif", "b.gif"):
        write_gif(tmp_path / name, few_colours(), 15)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_durations_add_up():
    assert sum(durations(100, 15, unit=10)) == 6670
    assert sum(durations(100, 15, unit=1)) == 6667
    assert set(durations(100, 15, unit=1)) == {66, 67}


def test_neither_copies_an_array_it_is_given(tmp_path, monkeypatch):
    """A long video is in memory once; `numpy.stack` would make it twice."""
    video = few_colours()
    stacked = []
    monkeypatch.setattr(
        np, "stack", lambda x, *a, stack=np.stack: stacked.append(stack(x)) or stacked[-1]
    )
    write_gif(tmp_path / "a.gif", video, 10)
    write_apng(tmp_path / "a.apng", video, 10)
    # Only the GIF's palette indices, one byte for each pixel.
    assert [x.shape for x in stacked] == [video.shape[:3]]
    assert {x.dtype for x in stacked} == {np.dtype(np.uint8)}


def test_frames_may_come_one_by_one(tmp_path):
    video = few_colours()
    for write, name in ((write_gif, "a.gif"), (write_apng, "a.apng")):
        write(tmp_path / f"whole-{name}", video, 10)
        write(tmp_path / name, iter(video), 10)
        assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()


def decode_apng(path):
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
    found, times, loop = decode_apng(tmp_path / "a.apng")
    np.testing.assert_array_equal(found, video)
    assert sum(times) == pytest.approx(9 * 1000 / 15, abs=0.6)
    assert loop == 0


def test_identical_frames_stay_as_many_as_they_were(tmp_path):
    video = noise(3, 16, 16, 3)[[0, 0, 1, 1, 1, 2, 0, 0]]
    write_apng(tmp_path / "a.apng", video, 10)
    found, times, _ = decode_apng(tmp_path / "a.apng")
    np.testing.assert_array_equal(found, video)
    assert times == [100.0] * 8


def test_a_single_frame_is_a_plain_png(tmp_path):
    video = noise(1, 16, 16, 3)
    write_apng(tmp_path / "a.png", video, 10)
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), video[0])


def test_two_apngs_are_the_same_bytes(tmp_path):
    for name in ("a.apng", "b.apng"):
        write_apng(tmp_path / name, noise(4, 16, 16, 3), 15)
    assert (tmp_path / "a.apng").read_bytes() == (tmp_path / "b.apng").read_bytes()
