"""Whatever ends a render, no half file and no encoder stays; and what streams may be like."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from tests.synthetic_run import TIMES, make_run

from .command import environment, listing, openloop, process, program

# Children of a shell's background jobs ignore SIGINT.
AS_ON_A_TERMINAL = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))"
SMALL = ["--length", "8", "--num-windows", "3", "--no-evaluate", "--no-report"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("signals") / "run")


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory):
    """One cache of compiled programs for all processes here."""
    return environment(OPENLOOP_CACHE_DIR=str(tmp_path_factory.mktemp("cache") / "openloop"))


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def wait_for(condition, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(*args, env) -> subprocess.Popen:
    return subprocess.Popen(
        [*program(AS_ON_A_TERMINAL), *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_while_encoding(number, code, run, out, surroundings, tmp_path):
    """An encoder that never ends; the video of an earlier render is kept."""
    pid_file, slow = tmp_path / "pid", tmp_path / "ffmpeg"
    slow.write_text(f"#!/bin/sh\necho $$ > {pid_file}.new\nmv {pid_file}.new {pid_file}\n")
    slow.write_text(slow.read_text() + "exec sleep 600\n")
    slow.chmod(0o755)
    (out / "x.mp4").write_text("of an earlier render")
    env = surroundings | {"IMAGEIO_FFMPEG_EXE": str(slow)}
    with start("render", run, run, "-o", out / "x.mp4", *SMALL, env=env) as render:
        wait_for(pid_file.exists, render)
        assert len(listing(out)) == 2
        render.send_signal(getattr(signal, number))
        stderr = render.communicate(timeout=20)[1]
    assert render.returncode == code
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1] == "stopped"
    assert listing(out) == ["x.mp4"]
    assert (out / "x.mp4").read_text() == "of an earlier render"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


@pytest.mark.parametrize("command", ["render", "compare"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_rolling_out(number, command, run, out):
    """In the midst of a compilation, which knows nothing of Python's handlers."""
    if command == "render":
        args = ["render", run, run, "-o", out / "x.mp4", "--no-cache", "--length", "16"]
    else:
        args = ["compare", *(run / "ckpt" / time for time in TIMES), "--replay", run]
        args += ["--out", out / "comparison", "--length", "16"]
    with start(*args, env=environment()) as render:
        while not render.stderr.readline().endswith("roll out …\n"):
            assert render.poll() is None
        time.sleep(0.3)
        render.send_signal(number)
        stderr = render.communicate(timeout=20)[1]
    # A shell shows 130 and 143.
    assert render.returncode == -number
    assert "Traceback" not in stderr
    assert listing(out) == []


@pytest.mark.parametrize(("name", "says"), [("x.mp4", "larger than files"), ("x.npz", "too large")])
def test_a_limit_on_files(name, says, run, out, surroundings):
    """As `ulimit -f` sets it; ffmpeg dies of a signal there, Python gets an error."""
    args = ["render", run, run, "-o", out / name, *SMALL, "--quiet"]
    done = process(*args, before=LIMITED, env=surroundings)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0].startswith(f"error: {out / name}: ")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert listing(out) == []


ENDINGS = (".mp4", ".gif", ".apng", ".png", ".npz")
FULL_DISK = """
import json, sys
from pathlib import Path
from tests.cli.command import listing, openloop
run, disk, *options = sys.argv[1:]
done = []
for filler, name in json.loads(sys.stdin.read()):
    for path in Path(disk).iterdir():
        path.unlink()
    (Path(disk) / "filler").write_bytes(bytes(filler))
    told = openloop("render", run, run, "-o", f"{disk}/{name}", *options)
    done.append([told.returncode, told.stdout, told.stderr, listing(Path(disk))])
print(json.dumps(done))
"""


def on_a_tiny_disk(run, folder, fillings, env) -> list:
    """Renders onto a file system of 64 kB, which goes when the process does: for each number of
    bytes that lie there and each name, the code, stdout, stderr, and what lies there then."""
    folder.mkdir()
    mount = f"mount -t tmpfs -o size=64k openloop-test {shlex.quote(str(folder))}"
    alone = ["unshare", "--map-root-user", "--mount", "bash", "-c"]
    try:
        subprocess.run([*alone, mount], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a small disk")
    options = [*SMALL, "--style", "reference", "--quiet"]
    driver = [sys.executable, "-c", FULL_DISK, str(run), str(folder), *options]
    done = subprocess.run(
        [*alone, f"{mount} && {shlex.join(driver)}"],
        input=json.dumps(fillings),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_full_disk(run, out, tmp_path, surroundings):
    """Each kind of file, and the last file of several: what was whole before stays."""
    args = [*SMALL, "--style", "reference", "--quiet"]
    assert openloop("render", run, run, "-o", out / "x.apng", *args).returncode == 0
    assert (out / "x.metrics.json").stat().st_size > 2 * 4096
    needed = -(-(out / "x.apng").stat().st_size // 4096) * 4096
    disk = tmp_path / "disk"
    fillings = [(61_440, f"x{ending}") for ending in ENDINGS]
    fillings.append((65_536 - needed - 4096, "last.apng"))
    *each, last = on_a_tiny_disk(run, disk, fillings, surroundings)
    for (_, name), (code, stdout, stderr, left) in zip(fillings[:-1], each, strict=True):
        assert (code, stdout, left) == (1, "", ["filler"])
        lines = stderr.splitlines()
        assert lines[0].startswith(f"error: {disk / name}: the disk is full: wrote ")
        assert lines[1:] == ["hint: make room, or write to another disk"]
    assert last[0] == 1
    assert last[2].startswith(f"error: {disk}/last.windows.npz: the disk is full: wrote ")
    assert last[3] == ["filler", "last.apng"]


def shell(line: str, *args, **more) -> subprocess.CompletedProcess:
    """`openloop ARGS` in place of `@` in a line of shell."""
    command = line.replace("@", shlex.join([*program(), *map(str, args)]))
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=240, check=False, **more
    )


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_whoever_reads_has_gone(options, run):
    done = shell("set -o pipefail; @ | head -c 0", "inspect", run, *options)
    assert done.returncode in (0, 1, 141)
    assert done.stderr == ""


def test_no_room_for_the_answer(run):
    done = shell("@ > /dev/full", "inspect", run)
    assert done.returncode == 1
    assert done.stderr == (
        "error: the standard output cannot be written: No space left on device\n"
    )
    assert shell("@ 2> /dev/full", "inspect", run / "gone").returncode == 1


def test_closed_streams_get_no_file_of_ours(run, out, surroundings):
    """With stdout and stderr closed the next files opened would take their places."""
    args = ["render", run, run, "-o", out / "x.apng", *SMALL]
    done = shell("@ <&- >&- 2>&-", *args, env=surroundings)
    assert done.returncode == 0
    assert listing(out) == ["x.apng", "x.metrics.json", "x.windows.npz"]
    assert (out / "x.apng").read_bytes().startswith(b"\x89PNG")
    json.loads((out / "x.metrics.json").read_text())
    assert shell("@ >&-", "inspect", run).returncode == 0


def test_a_narrow_encoding(run):
    done = process("inspect", run, env=environment(PYTHONIOENCODING="ascii"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "16 ? 16 ? 3" in done.stdout


def test_a_folder_that_is_gone(run, tmp_path):
    line = f"mkdir {tmp_path}/cwd; cd {tmp_path}/cwd; rmdir ../cwd; @"
    done = shell(line, "render", run, run, "-o", "x.npz", *SMALL, env=environment())
    assert done.returncode == 1
    assert done.stderr == "error: x.npz: cannot be written: no such file or directory\n"


def test_more_memory_than_there_is(run, out, monkeypatch):
    """Told in a line: nothing in it is our bug, and smaller numbers help."""

    def too_much(*args, **options):
        raise MemoryError("Unable to allocate 34.7 GiB for an array")

    monkeypatch.setattr("openloop_cli.reporting.explained_grid", too_much)
    done = openloop("render", run, run, "-o", out / "x.mp4", *SMALL, "--quiet")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == (
        "error: not enough memory: Unable to allocate 34.7 GiB for an array"
    )
    assert done.stderr.splitlines()[1].startswith("hint: ")
    assert listing(out) == []


def test_pictures_too_large_to_encode(run, out, monkeypatch):
    monkeypatch.setattr("openloop_cli.draw.grid.explained.MOST_PIXELS", 400)
    done = openloop("render", run, run, "-o", out / "x.mp4", *SMALL, "--quiet")
    assert done.returncode == 2
    assert "pixels: at most 400 on a side" in done.stderr
    assert "hint: use a --scale below 8, or a smaller --show" in done.stderr
    assert listing(out) == []
