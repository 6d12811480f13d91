"""Bad input: one clear line, exit code 1 (2 for wrong usage), and nothing written.

The table is in `refusals`.
"""

import json
import os
import pickle
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from tests.golden import genuine
from tests.synthetic_run import make_run

from .command import listing, openloop, process
from .harm import AGENT, CHECKPOINT, CHUNKS, FIRST, GENUINE, Call, arrays, cut, each, param, text
from .refusals import BOMB, IMAGES, NAN, REFUSED, WORKS, Row

SMALL = ["--length", "8", "--num-windows", "2", "--no-evaluate", "--quiet"]


def table(rows):
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    return pytest.mark.parametrize(
        "row", [pytest.param(row, id=row.name.replace("/", "_"), marks=row.marks) for row in rows]
    )


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(GENUINE, folder)
    yield folder
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink() and path.exists():
            path.chmod(0o755)


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def arguments(row: Row, run: Path, out: Path) -> list[str]:
    options = [text.format(run=run, out=out) for text in row.options.split()]
    paths = [text.format(run=run, out=out) for text in (row.ckpt, row.replay, row.out)]
    return ["render", paths[0], paths[1], "--out", paths[2], *SMALL, *options]


def one_error(done, says: str, code: int = 1) -> None:
    assert done.returncode == code
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert says in lines[0]
    assert [line.split(":")[0] for line in lines[1:]] in ([], ["hint"])


@table(REFUSED)
def test_refused(row, run, out, monkeypatch):
    monkeypatch.chdir(out)
    row.harm(run)
    before = listing(run)
    start = time.monotonic()
    done = openloop(*arguments(row, run, out))
    one_error(done, row.says.format(run=run, out=out), row.code)
    assert time.monotonic() - start < 20
    assert listing(out) == []
    assert listing(run) == before


@pytest.mark.parametrize(("change", "says"), [pytest.param(*row[1:], id=row[0]) for row in IMAGES])
def test_replay_of_another_run(change, says, tmp_path, out):
    run = make_run(tmp_path / "images")
    for path in (run / "replay").glob("*.npz"):
        arrays(change)(path)
    one_error(openloop("render", run, run, "-o", out / "x.mp4", *SMALL), says)
    assert listing(out) == []


def test_two_runs_that_do_not_go_together(run, tmp_path, out):
    other = make_run(tmp_path / "images")
    says = "dec/vec/token/logits/kernel: missing, though the replay has a discrete key 'token'"
    one_error(openloop("render", run, other, "-o", out / "x.npz", *SMALL), says)
    one_error(openloop("render", other, run, "-o", out / "x.npz", *SMALL), "expected (")
    assert listing(out) == []


def test_flipped_bits_are_refused_or_harmless(run, out):
    """A flip among the weights cannot be seen; one in what surrounds them must not pass."""
    data = (run / AGENT).read_bytes()
    for position in np.random.default_rng(0).integers(0, len(data), 40):
        flipped = bytearray(data)
        flipped[position] ^= 1 << int(position) % 8
        (run / AGENT).write_bytes(flipped)
        done = openloop("inspect", run)
        assert done.returncode in (0, 1)
        assert "Traceback" not in done.stderr
        if done.returncode:
            one_error(done, "agent.pkl")
    for position in range(40):
        flipped = bytearray(data)
        flipped[position] ^= 0x80
        (run / AGENT).write_bytes(flipped)
        done = openloop("render", run, run, "-o", out / "x.npz", "--length", 1000, *SMALL[2:])
        one_error(done, "")


def strict(path: Path):
    def refuse(name):
        raise AssertionError(f"{name} in {path}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


@table(WORKS)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_works_with_a_note(row, run, out):
    row.harm(run)
    done = openloop(*arguments(row, run, out), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    notes = strict(out / "x.metrics.json")["notes"]
    assert json.loads(done.stdout)["notes"] == notes
    assert row.says in "\n".join(notes)
    assert listing(out) == ["x.metrics.json", "x.npz", "x.windows.npz"]


def test_nan_stays_out_of_the_numbers_and_the_pictures(tmp_path, out):
    """A run that diverged: nulls, black tiles, a note; in a page and a video."""
    run = make_run(tmp_path / "images")
    for path in run.glob("ckpt/*/agent.pkl"):
        value = pickle.loads(path.read_bytes())
        for name, array in value["params"].items():
            if name.startswith("dec/"):
                array.fill(NAN)
        path.write_bytes(pickle.dumps(value, 4))
    args = [*SMALL[:-1], "--num-windows", 3, "--report", out / "x.html"]
    done = openloop("render", run, run, "-o", out / "x.mp4", *args)
    assert done.returncode == 0
    assert re.search(r"note: NaN or Infinity in \d+ of \d+ parameters, such as dec/", done.stderr)
    assert "note: predictions of image, pose are not finite everywhere" in done.stderr
    assert "Warning" not in done.stderr
    tree = strict(out / "x.metrics.json")
    assert tree["headline"]["image"]["imagined"] is None
    assert tree["headline"]["image"]["persistence"] is not None
    assert tree["observations"]["image"]["imagined"]["model"]["psnr"]["per_step"] == [None] * 4
    assert "NaN" not in re.findall(
        r"<script[^>]*json[^>]*>(.*?)</script>", (out / "x.html").read_text(), re.DOTALL
    )


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (each([AGENT], cut(0.5)), "agent.pkl: "),
        (each([AGENT], text("")), "agent.pkl: an empty file"),
        (each([FIRST], text("hello")), "it is not an npz (zip) file"),
        (each(CHUNKS, cut(0.5)), "no chunk can be read"),
        (each(["config.yaml"], text(BOMB)), "more than 50,000 values, aliases followed"),
        (param("dyn/dynin0/kernel", np.zeros((3, 3), "f4")), "expected (64, 32), found (3, 3)"),
        (param("dyn/dynin0/kernel", Call(eval, "open('pwned', 'w')")), "refuses builtins.eval"),
    ],
)  # fmt: skip
def test_inspect_tells_damage(harm, says, run, monkeypatch, out):
    """What is whole is described; what is not is a line among it."""
    monkeypatch.chdir(out)
    harm(run)
    done = openloop("inspect", run)
    assert "Traceback" not in done.stderr
    assert says in done.stdout + done.stderr
    if done.returncode:
        one_error(done, says)
    assert listing(out) == []


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["render"], "Missing argument"),
        (["batch", "a"], "Missing option '--out-dir'"),
        (["plot", "a"], "Missing option '--out'"),
        (["watch", "a", "-o", "b", "--report-every", "0"], "--report-every 0"),
        (["compare", "a"], "expected two or more"),
        (["compare", "a", "b", "--out", "c.txt"], "--out c.txt: unsupported extension"),
        (["compare", "a", "b", "--video", "c.png"], "--video c.png: unsupported extension"),
        (["compare", "a", "b", "--against", "c"], "--against c: expected one of a, b"),
        (["batch", "a", "b", "-o", "c", "--shard", "3/2"], "--shard 3/2: expected I/N"),
        (["batch", "a", "b", "-o", "c", "--length", "0"], "--length 0"),
        (["check", "a"], "nothing to check"),
        (["check", "a", "--min", "b"], "--min 'b': expected PATH=VALUE"),
        (["render", "a", "b", "-o", "c.mp4", "--nosuch"], "No such option"),
        (["render", "a", "b", "-o", "c.mp4", "--length", "x"], "--length"),
        (["render", "a", "b", "-o", "c.mp4", "--dtype", "int8"], "--dtype"),
        (["render", "a", "--report", "c.html", "--no-report"], "exclude each other"),
        (["render", "a", "--save-arrays", "c.npy"], "--save-arrays c.npy: unsupported extension"),
        (["inspect"], "Missing argument"),
        (["nosuch"], "No such command"),
    ],
)
def test_wrong_usage_is_exit_code_2(args, says):
    done = openloop(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert says in done.stderr
    assert [line.split(":")[0] for line in done.stderr.splitlines()] in (
        ["error"],
        ["error", "hint"],
    )


def test_the_same_from_a_process_of_its_own(run, out):
    """No traceback, no warnings, and without --quiet only stages before the error."""
    (run / AGENT).write_bytes((run / AGENT).read_bytes()[:1000])
    one_error(process("render", run, run, "-o", out / "x.npz", "--quiet"), "agent.pkl: ")
    done = process("render", run, run, "-o", out / "x.npz", "--length", 1)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["error: --length 1: expected 2 or more steps"]
    done = process("inspect", run / "gone")
    one_error(done, f"{run}/gone: no such file or folder")
    assert listing(out) == []


def test_an_output_folder_is_made(run, out):
    done = openloop("render", run, run, "-o", out / "a/b/x.npz", *SMALL)
    assert (done.returncode, done.stderr) == (0, "")
    assert listing(out) == ["a", "a/b", "a/b/x.metrics.json", "a/b/x.npz", "a/b/x.windows.npz"]


def test_names_that_are_no_utf8(run, out):
    """Linux allows them: the files are written, and the JSON names them."""
    named = run.rename(run.with_name("r\udcff"))
    done = openloop("render", named, named, "-o", out / "x\udcfe.npz", *SMALL, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["files"]["arrays"] == f"{out}/x\udcfe.npz"
    tree = strict(out / "x\udcfe.metrics.json")
    assert tree["checkpoint"]["path"] == os.path.relpath(named / CHECKPOINT)


@pytest.mark.parametrize("turned", [False, True])
def test_another_environments_replay(turned, sample_run, out):
    """What a person would say: which actions each of the two has."""
    discrete, _ = genuine("strided")
    runs = [sample_run, discrete] if turned else [discrete, sample_run]
    done = openloop("render", *runs, "--out", out / "x.npz", "--quiet")
    assert done.returncode == 1
    words = "it has 6 continuous actions, the checkpoint 17 discrete ones"
    if turned:
        words = "it has discrete actions, the checkpoint 6 continuous ones"
    assert done.stderr.startswith(f"error: another environment's replay: {words} (")
    assert "hint: pass the replay of the checkpoint's own run" in done.stderr
    assert listing(out) == []
