"""Beside a trainer that writes as the reference does: none missed, none twice, none half written.

Time is made up: a minute passes in an instant.
"""

import contextlib
import itertools
import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest

from openloop_cli.errors import CheckpointError, OptionError
from openloop_cli.jobs.engines import local
from openloop_cli.jobs.watch import ReportClock, Watch, WatchJob
from openloop_cli.replay import open_replay
from openloop_cli.results.metrics_file import read_metrics
from tests.synthetic_run import make_params, make_replay, make_run, save_checkpoint

from .conftest import settings


class Trainer:
    """Saves as `elements.Checkpoint` does, in steps between which the watcher may look."""

    def __init__(self, run, keep=1):
        self.ckpt, self.keep, self.number = run / "ckpt", keep, 0

    def save(self, stop_before=None):
        """Yields after each thing done; `stop_before` names what is not done any more."""
        self.number += 1
        folder = self.ckpt / f"20270101T{self.number:06d}F000000"
        whole = self.ckpt.parent / "whole"
        shutil.rmtree(whole, ignore_errors=True)
        params = make_params()
        params["dyn/dynin0/bias"] = np.full_like(params["dyn/dynin0/bias"], self.number)
        save_checkpoint(whole, params, 100 * self.number)
        folder.mkdir(parents=True)
        yield
        data = (whole / "agent.pkl").read_bytes()
        for part in (len(data) // 2, len(data)):
            if stop_before == part == len(data) or stop_before == "rest":
                return
            (folder / "agent.pkl").write_bytes(data[:part])
            yield
        for name in ("step.pkl", "done"):
            if stop_before == name:
                return
            shutil.move(whole / name, folder / name)
            yield
        (self.ckpt / "latest").write_text(folder.name)
        yield
        folders = sorted(path for path in self.ckpt.iterdir() if path.name != "latest")
        for old in folders[: -self.keep]:
            for file in sorted(old.iterdir()):
                file.unlink()
                yield
            old.rmdir()


class World:
    """Made-up time: each time the watcher sleeps, the trainer does one thing more."""

    def __init__(self, doings, seconds=2.0):
        self.time, self.doings, self.seconds = 1e9, iter(doings), seconds

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += self.seconds
        if next(self.doings, self) is self:
            raise StopAsyncIteration  # the trainer has ended, and so shall the watcher


@pytest.fixture
def run(tmp_path):
    """A run folder with a replay and no checkpoint."""
    folder = make_run(tmp_path / "run")
    shutil.rmtree(folder / "ckpt")
    (folder / "ckpt").mkdir()
    return folder


def watch_job(run, folder, **options):
    defaults = {"kind": ".npz", "page": False}
    return WatchJob(run, (run,), settings(), folder, **(defaults | options))


def live(job, doings, seconds=2.0):
    """Watches until the trainer's end; all events, names by status."""
    ends = []

    def on_event(event):
        if event.outcome is not None:
            ends.append((event.outcome.status, event.name))

    world = World(doings, seconds)
    watch = Watch(job, on_event, world.now, world.sleep)
    with contextlib.suppress(StopAsyncIteration):
        watch.run()
    return ends


def idle(times):
    return itertools.repeat(None, times)


def names(ends, status):
    return [name for found, name in ends if found == status]


def test_an_hour_in_fast_motion_none_missed_none_twice(run, tmp_path):
    trainer = Trainer(run)
    doings = itertools.chain.from_iterable(
        itertools.chain(trainer.save(), idle(2)) for _ in range(12)
    )
    ends = live(watch_job(run, tmp_path / "out"), doings)
    assert [status for status, _ in ends] == ["done"] * 12
    assert names(ends, "done") == [f"run-20270101T{n:06d}F000000" for n in range(1, 13)]
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert [x["step"] for x in index["checkpoints"]] == [100 * n for n in range(1, 13)]
    trees = [read_metrics(path) for path in (tmp_path / "out").glob("*.metrics.json")]
    assert all(tree["checkpoint"]["complete"] for tree in trees)
    assert len({tuple(tree["rollout"]["windows"]) for tree in trees}) == 1
    assert len({tree["checkpoint"]["sha256"] for tree in trees}) == 12


def test_a_restart_goes_on_and_repeats_nothing(run, tmp_path):
    trainer = Trainer(run, keep=3)
    job = watch_job(run, tmp_path / "out")
    first = live(job, itertools.chain(trainer.save(), trainer.save(), idle(2)))
    again = live(job, itertools.chain(trainer.save(), trainer.save(), idle(2)))
    assert len(names(first, "done")) == len(names(again, "done")) == 2
    assert [status for status, _ in again] == ["done"] * 2
    # All four are listed, though the first is deleted.
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert index["count"] == {"done": 4}
    assert live(job, idle(3)) == []


def test_the_windows_are_kept_though_the_replay_grows(run, tmp_path):
    trainer = Trainer(run)
    job = watch_job(run, tmp_path / "out")
    live(job, itertools.chain(trainer.save(), idle(1)))
    for number, chunk in enumerate(open_replay(run).chunks):
        name = f"20280101T000000F000000-{number:021d}z-0-{chunk.length}.npz"
        shutil.copy(chunk.path, chunk.path.with_name(name))
    live(job, itertools.chain(trainer.save(), idle(1)))
    trees = [read_metrics(path) for path in sorted((tmp_path / "out").glob("*.metrics.json"))]
    assert trees[0]["rollout"]["windows"] == trees[1]["rollout"]["windows"]
    ends = live(replace(job, force=True), idle(2))
    assert names(ends, "done") == ["run-20270101T000002F000000"]


def test_it_waits_for_a_replay_that_holds_enough(run, tmp_path):
    shutil.rmtree(run / "replay")
    trainer = Trainer(run)

    def doings():
        yield from trainer.save()
        yield from idle(20)
        make_replay(run)
        yield from idle(20)

    ends = live(watch_job(run, tmp_path / "out"), doings())
    statuses = [status for status, _ in ends]
    assert statuses[-1] == "done"
    assert set(statuses[:-1]) == {"waiting"}
    # Not at every look.
    assert len(statuses) <= 5


def test_without_done_it_waits_until_nothing_changes(run, tmp_path):
    trainer = Trainer(run)
    job = watch_job(run, tmp_path / "out")
    assert live(job, itertools.chain(trainer.save(stop_before="done"), idle(20))) == []
    ends = live(job, idle(40))
    assert [status for status, _ in ends] == ["done"]
    # The marker comes late: nothing is done again.
    (run / "ckpt/20270101T000001F000000/done").touch()
    assert names(live(job, idle(5)), "done") == []


def test_a_trainer_killed_while_writing_is_one_failure(run, tmp_path):
    trainer = Trainer(run, keep=5)
    whole = Trainer(run, keep=5)
    half = trainer.save()
    job = watch_job(run, tmp_path / "out")
    doings = itertools.chain(itertools.islice(half, 2), idle(100))
    ends = live(job, doings)
    assert [status for status, _ in ends] == ["failed"]
    whole.number = 1
    ends = live(job, itertools.chain(idle(40), whole.save(), idle(100)))
    assert names(ends, "done") == ["run-20270101T000002F000000"]
    assert len(names(ends, "failed")) == 1  # tried once again after the restart, and no more


def test_one_deleted_while_it_is_read_is_passed_over(run, tmp_path, monkeypatch):
    trainer = Trainer(run, keep=9)
    real = local.identify

    def vanish(job):
        known = real(job)
        if job.checkpoint.name.endswith("2F000000"):
            shutil.rmtree(job.checkpoint)
        return known

    monkeypatch.setattr(local, "identify", vanish)
    doings = itertools.chain(*(trainer.save() for _ in range(3)), idle(2))
    ends = live(watch_job(run, tmp_path / "out"), doings)
    assert [status for status, _ in ends] == ["done", "skipped", "done"]
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert index["count"] == {"done": 2}


def test_the_clock_takes_the_newest_and_makes_up_for_the_others_in_quiet(run, tmp_path):
    trainer = Trainer(run, keep=9)
    job = watch_job(run, tmp_path / "out", report_every=100)
    busy = itertools.chain.from_iterable(trainer.save() for _ in range(2))
    # 20 looks at 5 seconds each: due once, at 100.
    ends = live(job, itertools.chain(busy, idle(12)), seconds=5)
    assert names(ends, "done") == ["run-20270101T000002F000000"]
    assert live(job, idle(15), seconds=5) == []
    ends = live(job, idle(45), seconds=5)
    assert names(ends, "done") == ["run-20270101T000001F000000"]


def test_it_ends_at_a_step(run, tmp_path):
    trainer = Trainer(run, keep=9)
    doings = itertools.chain.from_iterable(trainer.save() for _ in range(9))
    world = World(doings)
    job = watch_job(run, tmp_path / "out", until_step=250)
    outcomes = Watch(job, now=world.now, sleep=world.sleep).run()
    assert [outcome.step for outcome in outcomes] == [100, 200, 300]
    # And at once, when it was there before.
    assert len(Watch(job, sleep=lambda seconds: pytest.fail("slept")).run()) == 3


def test_once_renders_what_is_there_and_ends(run, tmp_path):
    trainer = Trainer(run, keep=9)
    for _ in range(2):
        list(trainer.save())
    list(itertools.islice(trainer.save(), 2))
    job = watch_job(run, tmp_path / "out", once=True, report_every=1000)
    outcomes = Watch(job, sleep=lambda seconds: pytest.fail("slept")).run()
    assert [outcome.step for outcome in outcomes] == [100, 200]
    again = Watch(job, sleep=lambda seconds: pytest.fail("slept")).run()
    assert [outcome.status for outcome in again] == ["skipped"] * 2


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"report_every": 0}, OptionError, "zero means never"),
        ({"report_every": math.nan}, OptionError, "--report-every nan"),
        ({"run": "gone"}, CheckpointError, "no such folder"),
        ({"run": "run/config.yaml"}, CheckpointError, "expected a folder, found a file"),
        ({"kind": ".doc"}, OptionError, "unsupported extension"),
    ],
)
def test_mistakes_are_told_at_once(run, tmp_path, options, error, words):
    options = {k: tmp_path / v if k == "run" else v for k, v in options.items()}
    job = replace(watch_job(run, tmp_path / "out"), **options)
    with pytest.raises(error, match=words):
        Watch(job, sleep=lambda seconds: pytest.fail("slept")).run()
    assert not (tmp_path / "out").exists()


def reference_clock(every, times):
    """LocalClock of the reference, restated: its answers at these times, the first at the start."""
    answers, last = [], None
    for now in times:
        if every == 0 or every < 0:
            answers.append(every < 0)
        elif last is None:
            last = now
            answers.append(False)
        else:
            answers.append(now >= last + every)
            last = now if answers[-1] else last
    return answers


@pytest.mark.parametrize("every", [-1, 0, 3, 10, 0.5])
def test_the_clock_is_the_references(every):
    times = [0, 1, 2.5, 3, 3.5, 6.5, 6.75, 20, 29.9, 30, 30, 100]
    now = iter(times)
    current = [next(now)]
    clock = ReportClock(every, lambda: current[0])
    answers = [clock.due()] if every < 0 else [False]
    for current[0] in now:
        answers.append(clock.due())
    assert answers == reference_clock(every, times)
