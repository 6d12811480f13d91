"""MP4: what goes in comes out, in size, number, rate and colour; failures leave nothing."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from fractions import Fraction

import imageio_ffmpeg
import numpy as np
import pytest

from openloop_cli.draw.grid import Caption, explained_grid, prediction_rows
from openloop_cli.encode import video
from openloop_cli.encode.video import mp4_bytes, write_mp4
from openloop_cli.errors import OutputError
from tests.videos import decoded


def moving_scene(steps=12, size=64, seed=0):
    """A bright square over a gradient with a little grain: (1, T, H, W, 3)."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(40, 120, size)[:, None, None] + np.zeros((size, size, 3))
    video = np.broadcast_to(ramp, (1, steps, size, size, 3)).copy()
    for step in range(steps):
        video[0, step, 20:36, step : step + 16] = (230, 150, 40)
    return np.clip(video + rng.normal(0, 1, video.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "steps", "fps"),
    [(64, 96, 7, 15), (196, 136, 16, 20), (33, 41, 3, 10), (2, 2, 1, 30), (70, 53, 5, 7.5)],
)
def test_number_size_and_rate(tmp_path, height, width, steps, fps):
    frames = np.full((steps, height, width, 3), 90, np.uint8)
    write_mp4(tmp_path / "a.mp4", frames, fps)
    meta, found = decoded(tmp_path / "a.mp4")
    assert found.shape == (steps, height + height % 2, width + width % 2, 3)
    assert meta["fps"] == pytest.approx(fps, abs=0.01)
    assert meta["duration"] == pytest.approx(steps / fps, abs=0.02)
    assert meta["pix_fmt"].startswith("yuv420p")
    assert meta["codec"] == "h264"


@pytest.mark.parametrize(
    "colour",
    [(0, 255, 0), (255, 0, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255), (128, 128, 128)],
)
def test_flat_colours_come_back(tmp_path, colour):
    frames = np.empty((4, 64, 64, 3), np.uint8)
    frames[:] = colour
    write_mp4(tmp_path / "a.mp4", frames, 15)
    _, found = decoded(tmp_path / "a.mp4")
    assert np.abs(found.astype(int) - colour).max() <= 4


def test_colour_is_tagged(tmp_path):
    write_mp4(tmp_path / "a.mp4", np.zeros((2, 16, 16, 3), np.uint8), 15)
    told = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", tmp_path / "a.mp4"],
        stderr=subprocess.PIPE,
        check=False,
    ).stderr.decode()
    assert "yuv420p(tv, bt709" in told
    data = (tmp_path / "a.mp4").read_bytes()
    # The index stands before the pictures, so that playing can start before the end is there.
    assert data.index(b"moov") < data.index(b"mdat")


def test_odd_sizes_are_padded_and_never_resized(tmp_path):
    ramp = np.arange(0, 246, 6, dtype=np.uint8)
    frames = np.broadcast_to(ramp[None, None, :, None], (3, 33, 41, 3))
    write_mp4(tmp_path / "a.mp4", frames, 15)
    _, found = decoded(tmp_path / "a.mp4")
    assert np.abs(found[:, :33, :41].astype(int) - frames).max() <= 8
    assert np.abs(found[:, 33, :41].astype(int) - frames[:, -1]).max() <= 8


def test_the_explained_grid_stays_sharp(tmp_path):
    truth = moving_scene()
    prediction = np.roll(truth, 1, axis=3)
    rows = prediction_rows(truth, prediction)
    frames = explained_grid(rows, 6, Caption("run", "1692", "image"))
    write_mp4(tmp_path / "a.mp4", frames, 15)
    _, found = decoded(tmp_path / "a.mp4")
    assert found.shape == frames.shape
    error = np.square(found.astype(np.float64) - frames).mean()
    assert 10 * np.log10(255**2 / error) >= 40


def test_frames_may_come_one_by_one_and_in_any_layout(tmp_path):
    video = moving_scene()[0]
    mirrored = video[:, :, ::-1]
    write_mp4(tmp_path / "a.mp4", (frame for frame in mirrored), 15)
    write_mp4(tmp_path / "b.mp4", np.ascontiguousarray(mirrored), 15)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def fake_ffmpeg(folder, monkeypatch, body):
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo 'Unknown encoder libx264' >&2; echo more >&2; exit 1", "failed: Unknown encoder"),
        ("head -c 1000 > /dev/null; exit 3", "exit code 3"),
        ("cat > /dev/null; kill -9 $$", "killed by signal 9"),
        ("cat > /dev/null; exit 0", "ffmpeg failed"),
        ("exit 0", "ffmpeg failed"),
        ("cat > /dev/null; echo 'av: No space left on device' >&2; exit 228", "disk is full"),
        # More words than a pipe holds, which nobody reads while we write.
        ("head -c 300000 /dev/zero | tr '\\0' 'x' >&2; cat > /dev/null; exit 1", "failed: xxx"),
    ],
)
def test_a_failing_ffmpeg_says_why_in_one_line(tmp_path, monkeypatch, capfd, body, reason):
    fake_ffmpeg(tmp_path, monkeypatch, body)
    out = tmp_path / "out"
    with pytest.raises(OutputError, match=reason) as caught:
        write_mp4(out / "a.mp4", moving_scene()[0], 15)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert list(out.iterdir()) == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("exe", ["missing", "."])
def test_an_ffmpeg_that_cannot_be_run(tmp_path, monkeypatch, exe):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / exe))
    with pytest.raises(OutputError, match="ffmpeg: cannot run"):
        write_mp4(tmp_path / "out" / "a.mp4", moving_scene()[0], 15)
    assert list((tmp_path / "out").iterdir()) == []


def test_no_ffmpeg_at_all(tmp_path, monkeypatch):
    def missing():
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    with pytest.raises(OutputError, match="ffmpeg: not found"):
        write_mp4(tmp_path / "a.mp4", moving_scene()[0], 15)


def test_frames_that_fail_midway_end_ffmpeg(tmp_path, monkeypatch):
    fake_ffmpeg(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid; exec sleep 60")

    def frames():
        yield np.zeros((16, 16, 3), np.uint8)
        deadline = time.monotonic() + 20
        while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mp4(tmp_path / "out" / "a.mp4", frames(), 15)
    assert list((tmp_path / "out").iterdir()) == []
    pid = int((tmp_path / "pid").read_text())
    # Neither running nor a zombie: the number is free.
    assert subprocess.run(["kill", "-0", str(pid)], capture_output=True, check=False).returncode


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, -2)])
def test_a_signal_while_encoding_leaves_no_partial_file(tmp_path, number, status):
    program = textwrap.dedent("""
        import sys, time
        import numpy as np
        from pathlib import Path
        from openloop_cli.encode.video import write_mp4

        def frames():
            for index in range(10_000):
                if index == 30:
                    print("encoding", flush=True)
                if index >= 30:
                    time.sleep(0.01)
                yield np.full((64, 64, 3), index % 256, np.uint8)

        write_mp4(Path(sys.argv[1]), frames(), 15)
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "a.mp4")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout.readline() == b"encoding\n"
        process.send_signal(number)
        assert process.wait(20) == status
    assert list(tmp_path.iterdir()) == []


def test_rates_that_are_not_whole(tmp_path):
    write_mp4(tmp_path / "a.mp4", np.zeros((30, 16, 16, 3), np.uint8), 30000 / 1001)
    meta, _ = decoded(tmp_path / "a.mp4")
    assert meta["fps"] == pytest.approx(float(Fraction(30000, 1001)), abs=0.01)


@pytest.mark.parametrize("by_descriptor", [True, False])
def test_in_memory_it_is_the_same_and_no_file_stays(tmp_path, monkeypatch, by_descriptor):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    if not by_descriptor:
        monkeypatch.setattr(video, "_DESCRIPTORS", tmp_path / "none")
    elif not video._DESCRIPTORS.is_dir():
        pytest.skip("this system reaches no file by its descriptor")
    frames = moving_scene()[0]
    data = mp4_bytes(frames, 15)
    write_mp4(tmp_path / "a.mp4", frames, 15)
    assert data == (tmp_path / "a.mp4").read_bytes()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_kill_while_encoding_in_memory_leaves_nothing(tmp_path):
    if not video._DESCRIPTORS.is_dir():
        pytest.skip("this system reaches no file by its descriptor")
    program = textwrap.dedent("""
        import os, signal
        import numpy as np
        from openloop_cli.encode.video import mp4_bytes

        def frames():
            for index in range(100):
                if index == 50:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield np.full((64, 64, 3), index, np.uint8)

        mp4_bytes(frames(), 15)
    """)
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_no_room_for_temporary_files_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(OutputError, match="a temporary file cannot be written") as error:
        mp4_bytes(moving_scene()[0], 15)
    assert "TMPDIR" in error.value.hint
