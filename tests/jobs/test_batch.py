"""A batch: equal to single renders, goes on after stops, outlives what fails."""

import json
import os
import re
import shutil
import threading
from dataclasses import replace
from html import escape

import numpy as np
import pytest

from openloop_cli.errors import OptionError, OutputError
from openloop_cli.jobs.batch import run_batch
from openloop_cli.jobs.engines import local
from openloop_cli.jobs.records import FOLDER
from openloop_cli.jobs.report import run_job
from openloop_cli.replay import open_replay
from openloop_cli.results.metrics_file import read_metrics
from tests.golden import genuine

from .conftest import batch_of


def results(folder):
    """All that a batch measured and drew, recorded timings aside."""
    found = {}
    for path in sorted(folder.glob("*.metrics.json")):
        tree = read_metrics(path)
        del tree["timings"]
        found[path.name] = tree
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as arrays:
            found[path.name] = {key: x.tobytes() for key, x in arrays.items()}
    return found


def statuses(result):
    return [outcome.status for outcome in result.outcomes]


def no_partial_files(folder):
    return not [path for path in folder.rglob("*") if ".partial" in path.name]


@pytest.fixture
def read_again(monkeypatch):
    """The checkpoints whose parameters were rolled out."""
    seen = []
    real = local.roll_out_job

    def counted(job, loaded, clock):
        seen.append(job.checkpoint.name)
        return real(job, loaded, clock)

    monkeypatch.setattr(local, "roll_out_job", counted)
    return seen


def test_each_is_as_if_rendered_alone(run, tmp_path):
    job = batch_of(run, tmp_path / "out")
    result = run_batch(job)
    assert statuses(result) == ["done"] * 4
    together = results(tmp_path / "out")
    assert len(together) == 12
    windows = {tuple(x["rollout"]["windows"]) for n, x in together.items() if "metrics" in n}
    assert len(windows) == 1
    for outcome in result.outcomes:
        tree = together[f"{outcome.name}.metrics.json"]
        own = replace(
            job.settings,
            checkpoint=outcome.checkpoint,
            replay=(run,),
            windows=tuple(tree["rollout"]["windows"]),
            out=tmp_path / "alone" / f"{outcome.name}.npz",
        )
        run_job(own)
    assert results(tmp_path / "alone") == together


def test_windows_are_those_that_render_would_choose(run, tmp_path):
    job = batch_of(run, tmp_path / "out", names=[str(run / "ckpt" / "20260101T000000F000001")])
    run_batch(job)
    out = tmp_path / "alone.npz"
    source = job.sources[0]
    alone = run_job(
        replace(job.settings, checkpoint=source.checkpoint, replay=source.replay, out=out)
    )
    (tree,) = (x for n, x in results(tmp_path / "out").items() if "metrics" in n)
    assert tree["rollout"]["windows"] == alone.metrics["rollout"]["windows"]


def test_what_is_finished_is_skipped_and_forced_when_asked(run, tmp_path, read_again):
    job = batch_of(run, tmp_path / "out")
    run_batch(job)
    first = results(tmp_path / "out")
    read_again.clear()
    assert statuses(run_batch(job)) == ["skipped"] * 4
    assert read_again == []
    assert statuses(run_batch(replace(job, force=True))) == ["done"] * 4
    assert len(read_again) == 4
    assert results(tmp_path / "out") == first


def damage_output(out, name):
    path = out / f"{name}.npz"
    path.write_bytes(path.read_bytes()[:-1])


def damage_metrics(out, name):
    path = out / f"{name}.metrics.json"
    path.write_text(path.read_text().replace("{", "[", 1))


def remove_record(out, name):
    (out / FOLDER / f"{name}.json").unlink()


def damage_record(out, name):
    (out / FOLDER / f"{name}.json").write_text('{"version": 1, "files": {"arrays": ["../x", 1]}}')


@pytest.mark.parametrize("harm", [damage_output, damage_metrics, remove_record, damage_record])
def test_what_is_not_whole_is_made_again(run, tmp_path, read_again, harm):
    job = batch_of(run, tmp_path / "out")
    run_batch(job)
    whole = results(tmp_path / "out")
    name = sorted(whole)[2].split(".")[0]
    harm(tmp_path / "out", name)
    read_again.clear()
    assert sorted(statuses(run_batch(job))) == ["done", "skipped", "skipped", "skipped"]
    assert len(read_again) == 1
    assert results(tmp_path / "out") == whole


def test_other_options_or_parameters_are_made_again(run, tmp_path, read_again):
    run_batch(batch_of(run, tmp_path / "out"))
    read_again.clear()
    assert statuses(run_batch(batch_of(run, tmp_path / "out", show=1))) == ["done"] * 4
    assert statuses(run_batch(batch_of(run, tmp_path / "out", show=1, seed=1))) == ["done"] * 4
    read_again.clear()
    other, *_, target = sorted((run / "ckpt").glob("2026*"))
    shutil.copy(other / "agent.pkl", target / "agent.pkl")
    again = run_batch(batch_of(run, tmp_path / "out", show=1, seed=1))
    assert read_again == [target.name]
    assert statuses(again).count("skipped") == 3
    (run / "config.yaml").write_text((run / "config.yaml").read_text() + "\n")
    assert statuses(run_batch(batch_of(run, tmp_path / "out", show=1, seed=1))) == ["done"] * 4


def test_where_it_is_computed_makes_no_other_result(run, tmp_path):
    run_batch(batch_of(run, tmp_path / "out"))
    named = batch_of(run, tmp_path / "out", device="cpu")
    assert statuses(run_batch(named)) == ["skipped"] * 4


def test_a_mistaken_option_costs_no_results(run, tmp_path, read_again):
    job = batch_of(run, tmp_path / "out")
    run_batch(job)
    whole = results(tmp_path / "out")
    mistaken = run_batch(batch_of(run, tmp_path / "out", keys=("typo",)))
    assert statuses(mistaken) == ["failed"] * 4
    read_again.clear()
    assert statuses(run_batch(job)) == ["skipped"] * 4
    assert read_again == []
    assert results(tmp_path / "out") == whole


def test_what_was_rendered_of_a_half_deleted_checkpoint_stays(run, tmp_path):
    job = batch_of(run, tmp_path / "out")
    run_batch(job)
    (sorted((run / "ckpt").glob("2026*"))[1] / "agent.pkl").unlink()
    assert statuses(run_batch(job)) == ["skipped"] * 4


def test_a_copy_with_another_date_is_known_by_its_parameters(run, tmp_path, read_again):
    job = batch_of(run, tmp_path / "out")
    run_batch(job)
    read_again.clear()
    for file in run.rglob("agent.pkl"):
        os.utime(file, (1, 1))
    assert statuses(run_batch(job)) == ["skipped"] * 4
    assert read_again == []


def test_the_others_go_on_past_what_fails(run, tmp_path):
    first, second, third, _ = sorted(path for path in (run / "ckpt").iterdir() if path.is_dir())
    data = (first / "agent.pkl").read_bytes()
    (first / "agent.pkl").write_bytes(data[: len(data) // 2])
    (third / "agent.pkl").write_bytes(b"no pickle")
    names = [str(run), str(run / "ckpt" / "gone")]
    result = run_batch(batch_of(run, tmp_path / "out", names=names))
    found = {outcome.checkpoint.name: outcome for outcome in result.outcomes}
    assert found[second.name].status == "done"
    assert statuses(result).count("failed") == 3
    assert {x.checkpoint.name for x in result.failures} == {first.name, third.name, "gone"}
    assert all("\n" not in x.error and x.error for x in result.failures)
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert index["count"] == {"done": 2, "failed": 3}
    assert "gone" in (tmp_path / "out/index.html").read_text()
    assert no_partial_files(tmp_path / "out")
    # Once it is whole, only what failed is done.
    (first / "agent.pkl").write_bytes(data)
    again = run_batch(batch_of(run, tmp_path / "out", names=names))
    assert statuses(again).count("skipped") == 2
    assert len(again.failures) == 2


def test_one_that_vanishes_while_it_is_read_fails_alone(run, tmp_path, monkeypatch):
    victim = sorted((run / "ckpt").glob("2026*"))[1]
    real = local.identify

    def vanish(job):
        known = real(job)
        if job.checkpoint == victim:
            shutil.rmtree(victim)
        return known

    monkeypatch.setattr(local, "identify", vanish)
    result = run_batch(batch_of(run, tmp_path / "out"))
    assert statuses(result) == ["done", "failed", "done", "done"]
    assert victim.name in result.failures[0].error


def test_results_outlive_their_checkpoint(run, tmp_path):
    names = [str(path) for path in sorted((run / "ckpt").glob("2026*"))]
    run_batch(batch_of(run, tmp_path / "out", names=names))
    shutil.rmtree(names[0])
    assert statuses(run_batch(batch_of(run, tmp_path / "out", names=names))) == ["skipped"] * 4


def test_another_architecture_in_between(run, tmp_path):
    other = genuine("dmc_proprio")[0]
    job = batch_of(run, tmp_path / "out", names=[str(run), str(other)])
    result = run_batch(job)
    assert statuses(result)[:4] == ["done"] * 4
    assert set(statuses(result)[4:]) == {"failed"}


def test_windows_stay_when_the_replay_grows(run, tmp_path):
    first, *rest = (str(path) for path in sorted((run / "ckpt").glob("2026*")))
    run_batch(batch_of(run, tmp_path / "out", names=[first]))
    # A chunk of another stream: other windows would be chosen.
    before = open_replay(run).chunks
    for number, chunk in enumerate(before):
        time, _, _, length = chunk.path.stem.split("-")
        name = f"{time[:-1]}9-{number:021d}z-0-{length}.npz"
        shutil.copy(chunk.path, chunk.path.with_name(name))
    assert len(open_replay(run).chunks) == 2 * len(before)
    run_batch(batch_of(run, tmp_path / "out", names=[first, *rest]))
    trees = [x for n, x in results(tmp_path / "out").items() if "metrics" in n]
    assert len({tuple(x["rollout"]["windows"]) for x in trees}) == 1
    fresh = run_batch(batch_of(run, tmp_path / "out", names=[first, *rest], force=True))
    assert statuses(fresh) == ["done"] * 4


def test_shards_do_everything_once_and_the_last_lists_all(run, tmp_path, read_again):
    job = batch_of(run, tmp_path / "out", compare=True)
    one = run_batch(replace(job, shard="1/3"))
    assert json.loads(one.files["index"].read_text())["count"] == {"done": 2, "waiting": 2}
    run_batch(replace(job, shard="2/3"))
    last = run_batch(replace(job, shard="3/3"))
    assert sorted(read_again) == sorted(x.checkpoint.name for x in job.sources)
    assert json.loads(last.files["index"].read_text())["count"] == {"done": 4}
    assert last.files["comparison.json"].is_file()
    apart = results(tmp_path / "out")
    run_batch(replace(job, folder=tmp_path / "whole"))
    assert results(tmp_path / "whole") == apart


def test_the_index_leads_to_the_comparisons_page(run, tmp_path):
    job = batch_of(run, tmp_path / "out", compare=True)
    assert "comparison" not in run_batch(job).files
    result = run_batch(replace(job, page=True))
    assert result.files["comparison"] == tmp_path / "out" / "comparison.html"
    assert "of 3 checkpoints" in result.files["comparison"].read_text()
    links = re.findall('href="([^"]+)"', result.files["index page"].read_text())
    assert links[1:4] == ["comparison.html", "comparison.md", "comparison.json"]
    assert all((tmp_path / "out" / link).is_file() for link in links[1:])


def test_what_a_hard_kill_left_is_swept_away_and_no_more(run, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    name = f"run-{sorted((run / 'ckpt').glob('2026*'))[0].name}"
    for left in (f".{name}.0123abcd.partial.npz", f".{name}.metrics.0123abcd.partial.json"):
        (out / left).touch()
    others = out / ".someone-else.0123abcd.partial.npz"
    others.touch()
    run_batch(batch_of(run, out))
    assert [path for path in out.iterdir() if ".partial" in path.name] == [others]


def test_an_interrupt_leaves_nothing_half_written(run, tmp_path, monkeypatch):
    real = local.write_job
    calls = []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(local, "write_job", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_batch(batch_of(run, tmp_path / "out"))
    monkeypatch.setattr(local, "write_job", real)
    assert no_partial_files(tmp_path / "out")
    for thread in threading.enumerate():
        if thread.name.startswith("openloop-batch"):
            thread.join(60)
            assert not thread.is_alive()
    assert statuses(run_batch(batch_of(run, tmp_path / "out"))) == ["skipped", *["done"] * 3]


def test_our_own_bugs_are_not_hidden(run, tmp_path, monkeypatch):
    def bug(*args):
        raise ZeroDivisionError("a bug")

    for stage in ("identify", "roll_out_job", "write_job"):
        with monkeypatch.context() as patch:
            patch.setattr(local, stage, bug)
            with pytest.raises(ZeroDivisionError):
                run_batch(batch_of(run, tmp_path / stage))


def test_no_more_than_two_of_anything_are_held(run, tmp_path, monkeypatch):
    held = {"read": 0, "most": 0}
    lock = threading.Lock()
    real_read, real_roll = local._Line._read, local._Line._roll_out

    def read(self, item):
        with lock:
            held["read"] += 1
            held["most"] = max(held["most"], held["read"])
        return real_read(self, item)

    def roll_out(self, work):
        done = real_roll(self, work)
        with lock:
            held["read"] -= 1
        return done

    monkeypatch.setattr(local._Line, "_read", read)
    monkeypatch.setattr(local._Line, "_roll_out", roll_out)
    assert statuses(run_batch(batch_of(run, tmp_path / "out"))) == ["done"] * 4
    assert held["most"] <= 2


def test_several_runs_with_their_own_replays_are_compared_apart(run, tmp_path):
    from openloop_cli.jobs.sources import from_runs
    from tests.synthetic_run import make_run

    make_run(tmp_path / "run2")
    shutil.rmtree(tmp_path / "run2/replay")
    shutil.copytree(run / "replay", tmp_path / "run2/replay")
    sources, _ = from_runs(str(tmp_path / "run*"))
    job = replace(batch_of(run, tmp_path / "out", compare=True), sources=tuple(sources))
    result = run_batch(job)
    assert statuses(result) == ["done"] * 6
    # The same steps lie in both replays, so all can be compared.
    assert (tmp_path / "out/comparison.json").is_file()
    other = replace(job, settings=replace(job.settings, seed=5), sources=job.sources[:4])
    mixed = run_batch(other)
    assert statuses(mixed) == ["done"] * 4


def test_the_index_page_tells_what_there_is_to_say_of_checkpoints(run, tmp_path):
    (min((run / "ckpt").glob("2026*")) / "done").unlink(missing_ok=True)
    run_batch(batch_of(run, tmp_path / "out"))
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    told = {(entry["name"], note) for entry in index["checkpoints"] for note in entry["notes"]}
    assert told
    page = (tmp_path / "out" / "index.html").read_text()
    for name, note in told:
        assert any(name in x and escape(note) in x for x in page.split("<li>")[1:]), note


def test_mistakes_are_told_before_anything_is_done(run, tmp_path):
    with pytest.raises(OptionError, match="--length 1"):
        run_batch(batch_of(run, tmp_path / "out", length=1))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="expected a folder"):
        run_batch(batch_of(run, tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot be written"):
        run_batch(batch_of(run, tmp_path / "file" / "out"))
    with pytest.raises(OptionError, match="no checkpoints"):
        run_batch(replace(batch_of(run, tmp_path / "out"), sources=()))
    assert not (tmp_path / "out").exists()
