"""The logger itself: kinds, order, threads, failures, and what is there when a process ends."""

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from openloop_cli.errors import OptionError, OutputError
from openloop_cli.loggers import Logger, make_logger
from openloop_cli.loggers.values import Kind, VideoFile, checked, kind_of
from tests.golden import genuine


class Kept:
    """An output that keeps what it gets."""

    def __init__(self, fail=(), wait=None):
        self.entries, self.writes, self.closed = [], 0, False
        self.fail, self.wait = fail, wait

    def write(self, entries):
        if self.wait:
            self.wait.wait(30)
        self.writes += 1
        if self.writes in self.fail:
            raise OSError(f"write {self.writes} failed")
        self.entries += entries

    def close(self):
        self.closed = True


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, Kind.scalar),
        (True, Kind.scalar),
        (np.float32(2), Kind.scalar),
        ("text", Kind.text),
        ([1, 2], Kind.vector),
        (np.zeros((2, 2)), Kind.image),
        (np.zeros((2, 2, 3)), Kind.image),
        (np.zeros((5, 2, 2, 3)), Kind.video),
        (VideoFile(Path("a.mp4")), Kind.video),
    ],
)
def test_rank_and_type_decide(value, kind):
    assert kind_of(checked("a", value)) is kind


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("a", np.zeros((1,) * 5), "'a': an array of rank 5"),
        ("a", None, "'a': an object"),
        ("a", [object()], "'a': an object"),
        ("a", b"bytes", "'a': values of |S5"),
        ("a" * 300, 1, "a name of 300 characters"),
        ("", 1, "a name is a text"),
        (3, 1, "a name is a text"),
        ("a", [[1], [1, 2]], "'a': "),
    ],
)
def test_what_cannot_be_logged_is_refused_whole(name, value, said):
    kept = Kept()
    with Logger([kept]) as logger:
        with pytest.raises(OutputError) as found:
            logger.add({"good": 1, name: value})
        assert said in found.value.message
        logger.write()
    assert kept.entries == []


def test_bfloat16_is_a_number():
    import ml_dtypes

    assert checked("a", np.array(1.5, ml_dtypes.bfloat16)) == 1.5


def test_steps_prefixes_filter_and_copies():
    kept, step = Kept(), [3]
    array = np.arange(3)
    with Logger([kept], step=lambda: step[0], multiplier=4, keep="^train/|b") as logger:
        logger.add({"a": 1, "v": array}, prefix="train")
        step[0] = 5
        array[:] = 9
        logger.add({"a": 2, "b": 3})
        logger.write()
        assert logger.write() is None
    assert [(s, n) for s, n, _ in kept.entries] == [(12, "train/a"), (12, "train/v"), (20, "b")]
    assert kept.entries[1][2].tolist() == [0, 1, 2]
    assert kept.closed
    with pytest.raises(OutputError, match="is closed"):
        logger.write()
    logger.close()


def test_threads_lose_nothing_and_keep_their_order():
    kept = Kept()
    logger = Logger([kept])

    def work(number):
        for value in range(500):
            logger.add({f"t{number}": value})
            if value % 7 == 0:
                logger.write()

    threads = [threading.Thread(target=work, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logger.close()
    for number in range(4):
        assert [v for _, n, v in kept.entries if n == f"t{number}"] == list(range(500))


def test_an_output_that_fails_is_told_at_once_and_the_others_go_on():
    told, bad, good = [], Kept(fail=(1, 3)), Kept()
    logger = Logger([bad, good], tell=told.append)
    for value in range(4):
        logger.add({"a": value})
        logger.write()
    with pytest.raises(OutputError, match="not all was logged: kept: write 1 failed"):
        logger.close()
    assert [v for _, _, v in good.entries] == [0, 1, 2, 3]
    assert [v for _, _, v in bad.entries] == [1, 3]  # nothing comes twice
    assert told == ["--log kept: write 1 failed", "--log kept: write 3 failed"]


def test_a_slow_output_holds_up_nobody_and_its_queue_is_bounded():
    told, go = [], threading.Event()
    slow, good = Kept(wait=go), Kept()
    logger = Logger([slow, good], tell=told.append, queue_bytes=100_000)
    for value in range(100):
        logger.add({"a": np.full(10_000 // 8, value)})
        logger.write()
    go.set()
    with pytest.raises(OutputError, match="too slow"):
        logger.close()
    assert len(good.entries) + len(slow.entries) < 200
    assert len(slow.entries) <= 11
    assert len(told) >= 1


def test_an_output_that_hangs_is_given_up():
    told, go = [], threading.Event()
    logger = Logger([Kept(wait=go)], tell=told.append, patience=0.05)
    logger.add({"a": 1})
    with pytest.raises(OutputError, match="still busy, 1 values are lost"):
        logger.close()
    go.set()


def test_an_error_on_its_way_is_not_replaced():
    logger = Logger([Kept(fail=(1,))], tell=lambda x: None)
    logger.add({"a": 1})
    with pytest.raises(KeyError), logger:
        raise KeyError


SCRIPT = """
import sys, time, signal
from openloop_cli.loggers import Logger
logger = Logger(["jsonl:" + sys.argv[1]])
for step in range(100):
    logger.step = step
    logger.add({"a": step})
    logger.write()
print("ready", flush=True)
if sys.argv[2] == "wait":
    time.sleep(60)
"""


@pytest.mark.parametrize("how", ["exit", signal.SIGTERM, signal.SIGINT])
def test_nothing_is_lost_when_the_process_ends(tmp_path, how):
    words = [sys.executable, "-c", SCRIPT, str(tmp_path), "end" if how == "exit" else "wait"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline() == "ready\n"
    if how != "exit":
        process.send_signal(how)
    code = process.wait(60)
    process.stdout.close()
    assert code in ((0,) if how == "exit" else (-how, 1))
    found = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    assert [line["a"] for line in found] == list(range(100))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing:x", "no output of this name"),
        ("expa:x", "no public package"),
        ("jsonl", "where to is missing"),
        ("wandb:", "where to is missing"),
        ("terminal:(", "no regular expression"),
        ("serve://nowhere", "no address"),
    ],
)
def test_wrong_outputs(name, said):
    if name.startswith("serve"):
        pytest.importorskip("msgpack", reason="the extra `serve` is not installed")
    with pytest.raises(OptionError, match=said):
        Logger([name])


def test_an_output_of_others(monkeypatch):
    from openloop_cli.loggers import outputs

    kept = Kept()

    class Point:
        name = "mine"

        def load(self):
            return lambda target, tell: kept

    class Points(list):
        names = frozenset({"mine"})

    monkeypatch.setattr(
        outputs, "entry_points", lambda group, name="mine": Points([Point()] * (name == "mine"))
    )
    with Logger(["mine:there"]) as logger:
        logger.add({"a": 1})
    assert kept.entries == [(0, "a", 1)]


def test_the_logger_that_a_run_asks_for(tmp_path, capfd):
    config = genuine("dmc_proprio")[0] / "config.yaml"
    text = re.sub(r"logdir: .*", f"logdir: {tmp_path}", config.read_text())
    text = re.sub(r"outputs: .*", "outputs: [jsonl, scope]", text)
    (tmp_path / "config.yaml").write_text(text)
    step = np.array(10)
    with make_logger(tmp_path / "config.yaml", step=step) as logger:
        logger.add({"score": 2.5, "other": 1e5, "image": np.zeros((5, 3, 3), np.uint8)})
        logger.write()
    found = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert found == {"step": 10 * logger.multiplier, "score": 2.5, "other": 1e5}
    assert (tmp_path / "scope" / "score.float").stat().st_size == 16
    assert (tmp_path / "scope" / "image.png" / "index").stat().st_size == 16
    said = capfd.readouterr().err
    assert f"---[Agent Step {found['step']:,}]---\nscore 2.5\n(1 more not shown)" in said


KILLED = """
import sys, time
from openloop_cli.loggers import Logger
logger = Logger(["jsonl:" + sys.argv[1], "scope:" + sys.argv[1]])
step = 0
while True:
    logger.step = step
    logger.add({"a": step, "text": "x" * 1000})
    logger.write()
    print(step, flush=True)
    step += 1
"""


def test_a_hard_kill_tears_no_line_and_what_was_written_is_there(tmp_path):
    """At twenty moments, each after another number of writes."""
    for kill in range(20):
        folder = tmp_path / str(kill)
        words = [sys.executable, "-c", KILLED, str(folder)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        for _ in range(1 + 7 * kill):
            process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
        lines = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
        found = [json.loads(line)["a"] for line in lines if line.endswith(b"\n")]
        assert found == list(range(len(found)))
        with Logger([f"jsonl:{folder}", f"scope:{folder}"], step=10**6) as logger:
            logger.add({"a": -1, "text": "after"})
        again = [json.loads(line)["a"] for line in (folder / "metrics.jsonl").open()]
        assert again == [*found, -1]
        index = (folder / "scope" / "text.txt" / "index").read_bytes()
        rows = [index[at : at + 16] for at in range(0, len(index), 16)]
        files = {path.name for path in (folder / "scope" / "text.txt").glob("*.txt")}
        for row in rows:
            step = int.from_bytes(row[:8], sys.byteorder)
            assert f"{step:020d}-{row[8:].hex()}.txt" in files
        assert len((folder / "scope" / "a.float").read_bytes()) % 16 == 0
