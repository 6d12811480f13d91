"""Files are whole or absent, whatever ends the writing."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from openloop_cli.errors import OutputError
from openloop_cli.storage import atomic
from openloop_cli.storage.atomic import atomic_path, write_bytes, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "folders" / "a.json"
    with atomic_path(path) as partial:
        assert partial.parent == path.parent
        assert partial.suffix == ".json"
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["a.json"]


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "a")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with atomic_path(path) as partial:
            partial.write_text("half")
            raise failure

    with pytest.raises(failure):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_long_name(tmp_path):
    path = tmp_path / ("ä" * 120 + ".mp4")
    write_bytes(path, b"1")
    assert path.read_bytes() == b"1"


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def below_a_file(folder):
    (folder / "file").write_text("")
    return folder / "file" / "a.txt"


def a_folder(folder):
    (folder / "a.txt").mkdir()
    return folder / "a.txt"


def a_loop(folder):
    (folder / "a.txt").symlink_to(folder / "a.txt")
    return folder / "a.txt" / "b.txt"


def a_pipe(folder):
    os.mkfifo(folder / "a.txt")
    return folder / "a.txt"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (below_a_file, "cannot be written"),
        (a_folder, "found a folder"),
        (a_loop, "cannot be written"),
        (a_pipe, "expected a regular file"),
        (lambda folder: Path("/dev/null"), "expected a regular file"),
        (lambda folder: Path("/"), "found a folder"),
        (lambda folder: Path("/proc/a.txt"), "cannot be written"),
        (lambda folder: folder / ("x" * 300), "cannot be written"),
    ],
)
def test_places_that_cannot_be_written(tmp_path, place, reason):
    path = place(tmp_path)
    before = names(tmp_path)
    with pytest.raises(OutputError, match=reason) as caught:
        write_text(path, "a")
    assert str(path) in caught.value.message
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == before


def test_a_full_disk_says_how_far_it_came(tmp_path):
    def fill():
        with atomic_path(tmp_path / "a.bin", expected_bytes=5_000_000) as partial:
            partial.write_bytes(b"x" * 1500)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match=r"disk is full: wrote 1\.5 kB of 5\.0 MB"):
        fill()
    assert names(tmp_path) == []


def test_text_is_utf8_with_plain_newlines(tmp_path):
    write_text(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, -2)])
def test_a_polite_kill_takes_the_partial_file_away(tmp_path, number, status):
    program = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from openloop_cli.storage.atomic import atomic_path
        with atomic_path(Path(sys.argv[1])) as partial:
            partial.write_text("half")
            print("writing", flush=True)
            time.sleep(60)
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "a.txt")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout.readline() == b"writing\n"
        assert len(names(tmp_path)) == 1
        process.send_signal(number)
        assert process.wait(20) == status
    assert names(tmp_path) == []


def test_somebody_elses_sigterm_handler_stays(tmp_path):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
    try:
        with atomic_path(tmp_path / "a.txt") as partial:
            partial.write_text("whole")
            os.kill(os.getpid(), signal.SIGTERM)
            deadline = time.monotonic() + 5
            while not seen and time.monotonic() < deadline:
                time.sleep(0.01)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [1]
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_sigterm_means_what_it_did_before_afterwards(tmp_path):
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        write_text(tmp_path / "a.txt", "a")
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def left_by(folder, stem, *, host=None, pid, age=0.0):
    path = folder / f".{stem}.{host or atomic._host()}-{pid}-0123abcd.partial.mp4"
    path.touch()
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_only_what_the_dead_left_is_swept(tmp_path):
    """Two batches in one folder, a shard on another machine, and items `ckpt` and `ckpt.bak`."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    dead, alive = process.pid, os.getppid()
    gone = [
        left_by(tmp_path, "ckpt", pid=dead),
        left_by(tmp_path, "ckpt.metrics", pid=dead),
        left_by(tmp_path, "ckpt", host="zzzz".replace("z", "0"), pid=1, age=100_000),
    ]
    kept = [
        left_by(tmp_path, "ckpt", pid=alive),
        left_by(tmp_path, "ckpt.bak", pid=alive),
        left_by(tmp_path, "ckpt2", pid=dead),
        left_by(tmp_path, "ckpt.metrics", host="0000", pid=1),
    ]
    atomic.sweep_partials(tmp_path, "ckpt")
    assert [path for path in gone if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []


def test_what_is_being_written_here_is_never_swept(tmp_path):
    with atomic_path(tmp_path / "ckpt.bak.mp4") as partial:
        atomic.sweep_partials(tmp_path, "ckpt.bak")
        atomic.sweep_partials(tmp_path, "ckpt")
        assert partial.exists()
    assert (tmp_path / "ckpt.bak.mp4").exists()
