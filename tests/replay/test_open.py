import os
from pathlib import Path

import pytest

from openloop_cli.errors import ReplayError
from openloop_cli.replay import index, open_replay, summarize
from openloop_cli.replay.names import uuid_text
from tests.golden import genuine

from .synthetic import name, steps


def uuids(replay) -> list[int]:
    texts = [uuid_text(n.to_bytes(16, "big")) for n in range(100)]
    return [texts.index(chunk.uuid) for chunk in replay.chunks]


def test_replay_folder_run_folder_and_files_are_the_same(writer):
    writer.stream([5, 6, 7])
    folder = open_replay(writer.folder)
    assert uuids(folder) == [1, 2, 3]
    assert [chunk.length for chunk in folder.chunks] == [5, 6, 7]
    assert open_replay(writer.folder.parent).chunks == folder.chunks
    assert open_replay(writer.paths[::-1]).chunks == folder.chunks
    assert open_replay([writer.folder, *writer.paths]).chunks == folder.chunks
    assert open_replay([writer.folder, *writer.paths]).duplicates == ()
    assert open_replay(writer.paths[1]).chunks == folder.chunks[1:2]


def test_replicas_lie_one_folder_deeper(writer):
    writer.stream([5, 6], folder=writer.folder / "00000")
    writer.stream([7], folder=writer.folder / "00001")
    writer.stream([8], folder=writer.folder / "backup")
    assert uuids(open_replay(writer.folder)) == [1, 2, 3]
    assert uuids(open_replay(writer.folder.parent)) == [1, 2, 3]
    assert uuids(open_replay(writer.folder / "00001")) == [3]


def test_a_copied_chunk_counts_once(writer):
    data = writer.stream([5, 6])
    part = {key: value[:5] for key, value in data.items()}
    copy = writer.chunk(part, 1, 2, folder=writer.folder / "00000")
    shorter = writer.chunk({k: v[:4] for k, v in part.items()}, 1, folder=writer.folder / "00001")
    replay = open_replay(writer.folder)
    assert [chunk.length for chunk in replay.chunks] == [5, 6]
    assert sorted(replay.duplicates) == sorted(
        {writer.paths[0], copy, shorter} - {replay.chunks[0].path}
    )


def test_other_files_are_ignored(writer):
    writer.stream([5])
    (writer.folder / "foo.npz").write_bytes(b"")
    (writer.folder / "notes.txt").write_bytes(b"")
    (writer.folder / name(7, 0, 3)).mkdir()
    (writer.folder / "00000").symlink_to(writer.folder / "00000")
    (writer.folder / name(8, 0, 3)).symlink_to(writer.folder / name(8, 0, 3))
    replay = open_replay(writer.folder)
    assert uuids(replay) == [1, 8]
    assert summarize(replay).chunks == 1
    assert list(replay.damaged) == [writer.folder / name(8, 0, 3)]


def test_a_pipe_is_not_waited_for(writer):
    writer.stream([5])
    pipe = writer.folder / name(8, 0, 3)
    os.mkfifo(pipe)
    replay = open_replay(writer.folder)
    assert summarize(replay).damaged == {pipe: "it is not a file"}


def test_the_index_opens_nothing(writer, opened):
    writer.stream([5] * 20)
    assert len(open_replay(writer.folder).chunks) == 20
    assert opened == []


def test_keys_come_from_the_first_readable_chunk(writer, opened):
    data = writer.stream([5, 5, 5])
    writer.paths[0].write_bytes(b"PK")
    replay = open_replay(writer.folder)
    assert list(replay.keys) == [*data, "stepid"]
    assert replay.keys["image"].shape == (4, 6, 3)
    assert replay.keys["image"].dtype == "uint8"
    assert replay.keys["reward"].shape == ()
    assert set(replay.damaged) == {writer.paths[0]}
    assert opened == writer.paths[:2]


def test_no_chunk_is_readable(writer):
    writer.stream([5, 5])
    for path in writer.paths:
        path.write_bytes(b"")
    replay = open_replay(writer.folder)
    with pytest.raises(
        ReplayError, match=r"no chunk can be read; 2 damaged, the first is .*not an"
    ):
        _ = replay.keys
    assert summarize(replay).keys == {}


def missing(folder: Path) -> list[Path]:
    return [folder / "nowhere"]


def nothing(folder: Path) -> list[Path]:
    return []


def empty(folder: Path) -> list[Path]:
    (folder / "empty").mkdir()
    return [folder / "empty"]


def empty_run(folder: Path) -> list[Path]:
    (folder / "run" / "replay").mkdir(parents=True)
    return [folder / "run"]


def other_file(folder: Path) -> list[Path]:
    (folder / "foo.npz").write_bytes(b"")
    return [folder / "foo.npz"]


def missing_chunk(folder: Path) -> list[Path]:
    return [folder / name(1, 0, 5)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (missing, "nowhere: no such file or folder"),
        (nothing, "no replay given"),
        (empty, "empty: no chunks here, expected files <time>-<uuid>-<succ>-<length>.npz"),
        (empty_run, "replay: no chunks here"),
        (other_file, "foo.npz: not a chunk's name, expected <time>"),
        (missing_chunk, "no such file or folder"),
    ],
)
def test_refused(tmp_path, make, message):
    with pytest.raises(ReplayError, match=message) as caught:
        open_replay(make(tmp_path))
    assert "\n" not in str(caught.value)


def test_summary_counts(writer):
    writer.stream([5, 6, 7], firsts=[0, 8])
    writer.stream([4, 4], firsts=[0], last_succ=4)  # 4 -> 5 -> 4
    writer.stream([9, 9, 9], firsts=[0, 1, 26])
    broken = writer.paths[6]
    broken.write_bytes(broken.read_bytes()[:-10])
    summary = summarize(open_replay(writer.folder))
    assert (summary.chunks, summary.steps) == (7, 5 + 6 + 7 + 4 + 4 + 9 + 9)
    assert summary.streams == 1 + 1 + 2  # the last one falls apart
    assert summary.episodes == 2 + 1 + 3
    assert summary.bytes == sum(p.stat().st_size for p in writer.paths if p != broken)
    assert (summary.oldest, summary.newest) == ("20260101T000000F000001", "20260101T000000F000008")
    assert list(summary.damaged) == [broken]
    assert list(summary.keys) == [*steps(1), "stepid"]


def test_summary_of_a_genuine_run():
    summary = summarize(open_replay(genuine("dummy_f32")[0]))
    assert summary.streams == 2
    assert summary.damaged == {}


@pytest.mark.parametrize("data", [b"", b"PK", b"x" * 100])
def test_a_name_that_claims_a_billion_steps_costs_nothing(tmp_path, data):
    """What is counted for each step would be gigabytes; the file cannot hold them."""
    folder = tmp_path / "replay"
    folder.mkdir()
    for number in range(1, 4):
        (folder / f"20260101T000000F000000-{number}-0-999999999.npz").write_bytes(data)
    replay = open_replay(folder)
    assert replay.chunks == ()
    assert len(replay.damaged) == 3


def test_many_names_that_each_claim_a_little_cost_no_more(tmp_path, monkeypatch):
    """Beyond so many steps in all, files have to be what their names say."""
    monkeypatch.setattr(index, "_BELIEVED_IN_ALL", 2500)
    for number in range(1, 6):
        (tmp_path / f"2026010{number}T000000F000000-{number}-0-1000.npz").write_bytes(b"")
    replay = open_replay(tmp_path)
    assert [chunk.uuid for chunk in replay.chunks] == ["1", "2"]
    assert [path.name[7] for path in replay.damaged] == ["3", "4", "5"]
