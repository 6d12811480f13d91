"""Run folders of the official code: genuine ones, and every way in which one can be broken."""

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from openloop_cli.checkpoints import find_checkpoint, find_checkpoints, read_checkpoint
from openloop_cli.errors import CheckpointError, ParamsError
from tests.golden import RUNS, genuine

COUNTERS = {"updates": 5, "batches": 6, "actions": 70}


def save(folder: Path, params: dict | None = None, step: object = 10, done: bool = True) -> Path:
    """What the reference's Checkpoint.save leaves behind."""
    folder.mkdir(parents=True)
    if params is None:
        params = {"dyn/kernel": np.arange(6, dtype="f4").reshape(2, 3), "opt/mu": np.ones(4)}
    (folder / "agent.pkl").write_bytes(pickle.dumps({"params": params, "counters": COUNTERS}))
    if step is not None:
        (folder / "step.pkl").write_bytes(pickle.dumps(step))
    if done:
        (folder / "done").touch()
    return folder


@pytest.fixture
def run(tmp_path) -> Path:
    """Three checkpoints of the `train` script, the middle one without `done`."""
    for day, step in [(1, 10), (2, 20), (3, 30)]:
        save(tmp_path / "run" / "ckpt" / f"2026010{day}T000000F1", step=step, done=step != 20)
    (tmp_path / "run" / "ckpt" / "latest").write_text("20260103T000000F1")
    (tmp_path / "run" / "config.yaml").write_text("{}")
    return tmp_path / "run"


# Genuine runs


@pytest.mark.parametrize("run", RUNS)
def test_genuine_runs_read_like_pickle(run):
    for path in find_checkpoints(genuine(run)[0]):
        checkpoint = read_checkpoint(path)
        expected = pickle.loads((path / "agent.pkl").read_bytes())
        arrays = checkpoint.read_params(checkpoint.params)
        assert list(arrays) == list(expected["params"])
        for name, array in expected["params"].items():
            np.testing.assert_array_equal(arrays[name], array)
            assert arrays[name].dtype == array.dtype
        assert checkpoint.counters == expected["counters"]
        assert checkpoint.step == pickle.loads((path / "step.pkl").read_bytes())
        assert checkpoint.complete
        assert checkpoint.notes == ()
        assert checkpoint.nbytes == (path / "agent.pkl").stat().st_size


def test_a_genuine_run_is_found_from_anywhere_in_it(sample_run):
    run = sample_run
    latest = run / "ckpt" / (run / "ckpt" / "latest").read_text()
    for path in (run, run / "ckpt", latest, latest / "agent.pkl"):
        assert find_checkpoint(path) == latest
    first, second = find_checkpoints(run)
    assert (read_checkpoint(first).step, read_checkpoint(second).step) == (1190, 3670)


# Finding


def test_latest_is_followed(run):
    (run / "ckpt" / "latest").write_text("20260101T000000F1\n")
    assert read_checkpoint(run).step == 10
    assert read_checkpoint(run).notes == ()


@pytest.mark.parametrize(
    "content", ["20270101T000000F1", "", "../../elsewhere", "/", "\0", "x" * 9999, "ckpt"]
)
def test_latest_that_names_nothing_gives_the_newest_complete_one(run, content):
    (run / "ckpt" / "latest").write_text(content)
    shutil.rmtree(run / "ckpt" / "20260103T000000F1")
    checkpoint = read_checkpoint(run)
    assert checkpoint.path.name == "20260101T000000F1"  # the newer one has no `done`
    (note,) = checkpoint.notes
    assert "latest" in note
    assert "\n" not in note


def test_latest_missing_or_a_folder(run):
    (run / "ckpt" / "latest").unlink()
    assert read_checkpoint(run).step == 30
    (run / "ckpt" / "latest").symlink_to(run / "ckpt" / "20260101T000000F1")
    assert read_checkpoint(run).step == 30
    assert len(find_checkpoints(run)) == 3


def test_without_done_it_works_with_a_note(run):
    checkpoint = read_checkpoint(run / "ckpt" / "20260102T000000F1")
    assert not checkpoint.complete
    assert checkpoint.notes == ("no `done` file: the copy may be incomplete",)
    assert checkpoint.step == 20


def test_all_of_a_run_in_order(tmp_path, run):
    assert [read_checkpoint(path).step for path in find_checkpoints(run)] == [10, 20, 30]
    assert find_checkpoints(run / "ckpt") == find_checkpoints(run)
    one = run / "ckpt" / "20260102T000000F1"
    assert find_checkpoints(one) == find_checkpoints(one / "agent.pkl") == [one]
    for step in (1000, 200, 30):
        save(tmp_path / "named" / f"step_{step}", step=step)
    named = find_checkpoints(tmp_path / "named")
    assert [path.name for path in named] == ["step_30", "step_200", "step_1000"]


def test_folders_that_are_no_checkpoints_are_passed_over(run):
    (run / "ckpt" / "20260104T000000F1").mkdir()
    (run / "ckpt" / "20260104T000000F1" / "done").touch()
    save(run / "ckpt" / "20260105T000000F1")
    (run / "ckpt" / "20260105T000000F1" / "agent.pkl").rename(run / "ckpt" / "agent.pkl.old")
    assert len(find_checkpoints(run)) == 3


# The `parallel` script


@pytest.fixture
def parallel(tmp_path) -> Path:
    """Agent, replay and logger save by their own clocks; the step is a NumPy sum."""
    ckpt = tmp_path / "run" / "ckpt"
    save(ckpt / "agent" / "20260101T100000F1", step=None)
    save(ckpt / "agent" / "20260101T120000F1", step=None)
    (ckpt / "agent" / "latest").write_text("20260101T120000F1")
    for name, step in [("20260101T095900F1", 400), ("20260101T115900F1", 900)]:
        folder = ckpt / "logger" / name
        folder.mkdir(parents=True)
        (folder / "step.pkl").write_bytes(pickle.dumps(np.int64(step)))
    (ckpt / "replay" / "20260101T100000F1").mkdir(parents=True)
    (ckpt / "replay" / "20260101T100000F1" / "replay_train.pkl").write_bytes(pickle.dumps(None))
    return tmp_path / "run"


def test_parallel_layout(parallel):
    latest = parallel / "ckpt" / "agent" / "20260101T120000F1"
    for path in (parallel, parallel / "ckpt", parallel / "ckpt" / "agent", latest / "agent.pkl"):
        assert find_checkpoint(path) == latest
    assert [read_checkpoint(path).step for path in find_checkpoints(parallel)] == [400, 900]
    (note,) = read_checkpoint(parallel).notes
    assert "logger/20260101T115900F1" in note


def test_parallel_step_from_a_relative_path(parallel, monkeypatch):
    monkeypatch.chdir(parallel / "ckpt" / "agent" / "20260101T100000F1")
    assert read_checkpoint(Path("agent.pkl")).step == 400


def test_parallel_logger_that_saved_only_later_or_never(parallel):
    shutil.rmtree(parallel / "ckpt" / "logger" / "20260101T095900F1")
    assert read_checkpoint(find_checkpoints(parallel)[0]).step == 900
    shutil.rmtree(parallel / "ckpt" / "logger")
    assert read_checkpoint(parallel).step is None


def test_step_in_the_folder_name(tmp_path):
    save(tmp_path / "20260101T000000F1-000000012345", step=None)
    assert read_checkpoint(tmp_path).step == 12345


# Shards


def shard(folder: Path, number: int, params: dict, counters: dict = COUNTERS) -> Path:
    file = folder / f"agent-{number:04d}.pkl"
    file.write_bytes(pickle.dumps({"params": params, "counters": counters}))
    return file


def test_shards_are_merged(tmp_path):
    first = shard(tmp_path, 0, {"dyn/a": np.ones(3), "enc/b": np.zeros(2)})
    second = shard(tmp_path, 1, {"dec/c": np.full((2, 2), 7)})
    checkpoint = read_checkpoint(first)
    assert checkpoint.files == (first, second)
    assert list(checkpoint.params) == ["dyn/a", "enc/b", "dec/c"]
    assert checkpoint.params["dec/c"].path == second
    assert checkpoint.nbytes == first.stat().st_size + second.stat().st_size
    arrays = checkpoint.read_params(["dec/c", "dyn/a"])
    assert list(arrays) == ["dec/c", "dyn/a"]
    np.testing.assert_array_equal(arrays["dec/c"], np.full((2, 2), 7))


def test_shards_that_do_not_belong_together(tmp_path):
    shard(tmp_path, 0, {"a": np.ones(3)})
    third = shard(tmp_path, 2, {"c": np.ones(3)})
    with pytest.raises(CheckpointError, match=r"agent-0001\.pkl is missing"):
        read_checkpoint(tmp_path)
    third.unlink()
    shard(tmp_path, 1, {"a": np.ones(3)})
    with pytest.raises(CheckpointError, match=r"params/a: is in .*agent-0000\.pkl too"):
        read_checkpoint(tmp_path)
    shard(tmp_path, 1, {"b": np.ones(3)}, {"updates": 6})
    with pytest.raises(CheckpointError, match="counter updates is 6, in another shard 5"):
        read_checkpoint(tmp_path)


# Reading


def test_only_known_names_are_read(run):
    checkpoint = read_checkpoint(run)
    assert list(checkpoint.read_params(["dyn/kernel"])) == ["dyn/kernel"]
    assert checkpoint.read_params([]) == {}
    with pytest.raises(ParamsError, match=r"no parameter dyn/kernal among 2.*nearest.*dyn/kernel"):
        checkpoint.read_params(["dyn/kernal"])


def test_large_parameters_go_through_several_groups(tmp_path):
    params = {f"dyn/{i}": np.full((5, 1_000_000), i, "f4") for i in range(8)}
    arrays = read_checkpoint(save(tmp_path / "x", params)).read_params(params)
    for name, array in params.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_the_file_changes_between_index_and_read(run):
    checkpoint = read_checkpoint(run)
    file = checkpoint.files[0]
    data = file.read_bytes()
    for changed in (data[:-200], data + b"x", b""):
        file.write_bytes(changed)
        with pytest.raises(CheckpointError, match=f"{len(data)} bytes when it was opened"):
            checkpoint.read_params(["dyn/kernel"])
    shutil.rmtree(file.parent)
    with pytest.raises(CheckpointError, match=r"agent\.pkl: no such file"):
        checkpoint.params["opt/mu"].read()


# Broken folders: one line each, which names the path


def broken(make):
    return pytest.param(make, id=make.__name__)


def missing(folder):
    return folder / "nowhere", "no such file or folder"


def empty_folder(folder):
    folder.mkdir()
    return folder, "no checkpoint in it"


def empty_ckpt(folder):
    (folder / "ckpt").mkdir(parents=True)
    return folder, "no checkpoint in it"


def wrong_file(folder):
    return save(folder) / "step.pkl", "expected agent.pkl or a folder"


def a_folder_named_agent_pkl(folder):
    (folder / "agent.pkl").mkdir(parents=True)
    return folder, "expected a file, found a folder"


def a_pipe(folder):
    folder.mkdir()
    os.mkfifo(folder / "agent.pkl")
    return folder, "expected a regular file"


def a_link_to_itself(folder):
    folder.symlink_to(folder)
    return folder, "cannot be read: Too many levels of symbolic links"


def a_file_as_folder(folder):
    return save(folder) / "agent.pkl" / "x", "cannot be read: Not a directory"


def empty_file(folder):
    (save(folder) / "agent.pkl").write_bytes(b"")
    return folder, "an empty file"


def a_number(folder):
    (save(folder) / "agent.pkl").write_bytes(pickle.dumps(5))
    return folder, "expected a dict with 'params'"


def no_params(folder):
    return save(folder, {}), "no parameters in it"


def params_of_numbers(folder):
    return save(folder, {"a": 5.0}), "params/a: expected an array: float"


def nested_params(folder):
    return save(folder, {"a": {"b": np.ones(2)}}), "params/a: expected an array: dict"


def numbered_params(folder):
    return save(folder, {3: np.ones(2)}), "params/3: expected an array"


def fractional_counter(folder):
    data = {"params": {"a": np.ones(2)}, "counters": {"updates": 1.5}}
    (save(folder) / "agent.pkl").write_bytes(pickle.dumps(data))
    return folder, "counters/updates: expected a whole number"


def counters_in_a_list(folder):
    data = {"params": {"a": np.ones(2)}, "counters": [1]}
    (save(folder) / "agent.pkl").write_bytes(pickle.dumps(data))
    return folder, "counters: expected a dict"


def step_of_words(folder):
    return save(folder, step="ten"), "step.pkl: expected a whole number"


def hostile_step(folder):
    (save(folder) / "step.pkl").write_bytes(b"\x80\x04cos\nsystem\n\x8c\x02id\x85R.")
    return folder, "step.pkl: refuses os.system"


def a_web_page(folder):
    (save(folder) / "agent.pkl").write_bytes(b"<html>404</html>")
    return folder, "not a pickle: an HTML or XML page"


@pytest.mark.parametrize(
    "make",
    [
        broken(make)
        for make in (
            missing, empty_folder, empty_ckpt, wrong_file, a_folder_named_agent_pkl, a_pipe,
            a_link_to_itself, a_file_as_folder, empty_file, a_number, no_params,
            params_of_numbers, nested_params, numbered_params, fractional_counter,
            counters_in_a_list, step_of_words, hostile_step, a_web_page,
        )
    ],
)  # fmt: skip
def test_broken_folders(tmp_path, make):
    path, says = make(tmp_path / "it")
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    line = str(caught.value)
    assert line.startswith(str(path))
    assert says in line
    assert "\n" not in line


def test_unreadable_file(run, monkeypatch):
    """By a stand-in, for root may read everything."""

    def denied(self, *args, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(CheckpointError, match=r"latest: permission denied"):
        read_checkpoint(run)
    with pytest.raises(CheckpointError, match=r"agent\.pkl: permission denied"):
        read_checkpoint(run / "ckpt" / "20260101T000000F1")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_unreadable_folder(run):
    folder = run / "ckpt" / "20260103T000000F1"
    folder.chmod(0)
    try:
        with pytest.raises(CheckpointError, match="permission denied"):
            read_checkpoint(folder)
    finally:
        folder.chmod(0o700)
