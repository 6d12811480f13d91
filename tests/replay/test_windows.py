import tracemalloc

import numpy as np
import pytest

from openloop_cli.errors import ReplayError
from openloop_cli.replay import choose_and_read, open_replay, parse_window, read_windows
from openloop_cli.replay.names import uuid_text
from tests.golden import genuine

from .synthetic import name, steps, uuid

GOLDEN = ["context5", "crafter_bf16", "crafter_f32", "dmc_proprio", "dummy_f32", "strided"]


@pytest.mark.parametrize("run", GOLDEN)
def test_what_the_reference_sampled(run):
    with np.load(genuine(run)[1]) as file:
        golden = {key.removeprefix("data/"): file[key] for key in file if key.startswith("data/")}
    del golden["consec"]
    firsts = [stepid.tobytes() for stepid in golden["stepid"][:, 0]]
    ids = [f"{uuid_text(first[:16])}:{int.from_bytes(first[16:], 'big')}" for first in firsts]
    replay_context = 5 if run == "context5" else 1
    replay = open_replay(genuine(run)[0])
    windows = read_windows(replay, ids, length=16, replay_context=replay_context)
    assert list(windows.data) == list(golden)
    for key, value in golden.items():
        assert windows.data[key].dtype == value.dtype, key
        np.testing.assert_array_equal(windows.data[key], value, err_msg=key)
    assert windows.ids == tuple(ids)


def read(replay, ids, length=10, replay_context=1, keys=None):
    return read_windows(replay, ids, length=length, replay_context=replay_context, keys=keys)


def test_windows_across_many_chunks(writer):
    data = writer.stream([3, 4, 2, 30], firsts=[0, 6, 20])
    replay = open_replay(writer.folder)
    ids = [f"{uuid(1)}:2", f"{uuid(4)}:5", f"{uuid(1)}:2", f"{uuid(2)}:0", f"{uuid(4)}:8"]
    starts = [2, 14, 2, 3, 17]
    windows = read(replay, ids)
    assert windows.ids == tuple(ids)
    assert windows.chunk_files == tuple(writer.paths)
    assert windows.replay_context == 1
    for row, start in enumerate(starts):
        for key in ("image", "reward", "action", "dyn/deter"):
            np.testing.assert_array_equal(windows.data[key][row], data[key][start : start + 11])
        is_first = data["is_first"][start : start + 11].copy()
        is_first[0] = True
        np.testing.assert_array_equal(windows.data["is_first"][row], is_first)
        # An abandoned episode ends where the next one starts; what follows the window is unknown.
        np.testing.assert_array_equal(windows.data["is_last"][row], [*is_first[1:], False])


def test_only_some_keys(writer):
    data = writer.stream([3, 20], firsts=[0, 6])
    replay = open_replay(writer.folder)
    windows = read(replay, [f"{uuid(1)}:0"], keys=["is_last", "reward", "is_last"])
    assert list(windows.data) == ["is_last", "reward"]
    assert list(np.flatnonzero(windows.data["is_last"][0])) == [5]
    np.testing.assert_array_equal(windows.data["reward"][0], data["reward"][:11])
    with pytest.raises(ReplayError, match="no key 'camera' in the replay") as caught:
        read(replay, [f"{uuid(1)}:0"], keys=["camera"])
    assert "image, reward" in caught.value.hint


def test_reading_opens_only_the_windows_chunks(writer, opened):
    writer.stream([8] * 50)
    replay = open_replay(writer.folder)
    read(replay, [f"{uuid(20)}:7", f"{uuid(21)}:0"])
    assert set(opened) == {writer.paths[n - 1] for n in (1, 20, 21, 22)}  # 1 for the keys


def test_stored_arrays_without_stepid(tmp_path):
    folder = tmp_path / "replay"
    folder.mkdir()
    data = steps(20)
    np.savez(folder / name(1, 0, 20), **data)
    windows = read(open_replay(folder), [f"{uuid(1)}:4"])
    np.testing.assert_array_equal(windows.data["image"][0], data["image"][4:15])


def test_a_short_spelling_of_the_uuid(writer):
    writer.stream([20])
    assert read(open_replay(writer.folder), ["1:4"]).ids == ("1:4",)


@pytest.mark.parametrize(
    "text",
    ["", "abc", "abc:", ":3", "abc:-1", "a_c:3", "abc:3:4", "Z" * 22 + ":1", "abc:٣", "a:1\n"],
)
def test_bad_spellings(text):
    with pytest.raises(ReplayError, match="expected CHUNK_UUID:INDEX"):
        parse_window(text)


def test_spelling():
    assert parse_window("5kQ9AC27pp3zxhi1jTwxzF:63") == ("5kQ9AC27pp3zxhi1jTwxzF", 63)


def test_windows_that_are_not_there(writer):
    writer.stream([20, 5])
    writer.stream([8, 8], last_succ=3)  # 3 -> 4 -> 3
    writer.chunk(steps(8), 5, 5)  # its own successor
    replay = open_replay(writer.folder)
    for text, message in [
        (f"{uuid(77)}:0", f"window {uuid(77)}:0: no chunk {uuid(77)} in this replay"),
        (f"{uuid(1)}:20", "-20.npz has only 20 steps, from 0"),
        (f"{uuid(2)}:0", "11 steps needed, 5 there: .*000002-.* has no further successor"),
        (f"{uuid(4)}:6", "11 steps needed, 10 there: .*000003-.* has no further successor"),
        (f"{uuid(5)}:0", "11 steps needed, 8 there"),
    ]:
        with pytest.raises(ReplayError, match=message):
            read(replay, [f"{uuid(1)}:0", text])
    assert read(replay, [f"{uuid(3)}:5"]).data["reward"].shape == (1, 11)
    assert replay.damaged == {}


@pytest.mark.parametrize("flags", [np.zeros((20, 2), bool), np.full(20, "no")])
@pytest.mark.parametrize("key", ["is_first", "is_last"])
def test_flags_that_are_none(writer, key, flags):
    writer.stream([20], extra={key: flags})
    replay = open_replay(writer.folder)
    with pytest.raises(ReplayError, match=f"'{key}' is not one number for each step"):
        read(replay, [f"{uuid(1)}:0"])
    assert read(replay, [f"{uuid(1)}:0"], keys=["reward"]).ids


def test_flags_that_are_numbers(writer):
    extra = {key: np.zeros(20, np.float32) for key in ("is_first", "is_last")}
    extra["is_first"][7] = 1
    writer.stream([20], extra=extra)
    data = read(open_replay(writer.folder), [f"{uuid(1)}:2"]).data
    assert list(np.flatnonzero(data["is_first"][0])) == [0, 5]
    assert list(np.flatnonzero(data["is_last"][0])) == [4]
    assert data["is_last"].dtype == np.float32


def test_no_windows(writer):
    writer.stream([20])
    with pytest.raises(ReplayError, match="no windows asked for"):
        read(open_replay(writer.folder), [])


def damage(path, key, offset=200):
    """Flip a byte amid an array's packed bytes."""
    raw = bytearray(path.read_bytes())
    at = raw.index(f"{key}.npy".encode()) + offset
    raw[at] ^= 0xFF
    path.write_bytes(raw)


def test_a_damaged_chunk_that_is_asked_for(writer):
    writer.stream([20, 20, 20])
    damage(writer.paths[1], "image")
    replay = open_replay(writer.folder)
    assert len(read(replay, [f"{uuid(1)}:0", f"{uuid(3)}:0"]).chunk_files) == 2
    with pytest.raises(ReplayError, match=f"window {uuid(1)}:15: .*000002-.*'image' is damaged"):
        read(replay, [f"{uuid(1)}:0", f"{uuid(1)}:15"])
    assert replay.damaged == {writer.paths[1]: "'image' is damaged"}


def test_a_chunk_under_another_name(writer):
    writer.stream([20, 20])
    path = writer.folder / name(7, 0, 20)
    writer.paths[1].rename(path)
    replay = open_replay(writer.folder)
    with pytest.raises(ReplayError, match="'stepid' names other steps than its file name"):
        read(replay, [f"{uuid(7)}:0"])


def test_a_chunk_that_vanishes(writer):
    writer.stream([20, 20])
    replay = open_replay(writer.folder)
    read(replay, [f"{uuid(2)}:0"])
    writer.paths[1].unlink()
    with pytest.raises(ReplayError, match="it is gone"):
        read(replay, [f"{uuid(2)}:0"])


def test_choosing_works_around_damage_that_shows_on_reading(writer):
    writer.stream([40] * 8)
    for n in (0, 2, 3, 6):
        damage(writer.paths[n], "image")
    replay = open_replay(writer.folder)
    options = {"length": 10, "replay_context": 1, "context": 5, "count": 6, "seed": 0}
    choice, windows = choose_and_read(replay, **options)
    assert windows.ids == choice.ids
    assert len(windows.ids) == 6
    assert set(windows.chunk_files) <= {writer.paths[n] for n in (1, 4, 5, 7)}
    assert choose_and_read(open_replay(writer.folder), **options)[0] == choice
    # Who does not look at the images need not care.
    unseen = choose_and_read(open_replay(writer.folder), keys=["reward"], **options)[1]
    assert len(unseen.chunk_files) > 4
    for n in (1, 4, 5, 7):
        damage(writer.paths[n], "image")
    with pytest.raises(ReplayError, match="8 damaged"):
        choose_and_read(open_replay(writer.folder), **options)


def test_memory_follows_the_windows_not_the_chunk(writer):
    data = {"is_first": np.zeros(1000, bool), "image": np.zeros((1000, 64, 64, 3), np.uint8)}
    writer.chunk(data, 1)
    replay = open_replay(writer.folder)
    tracemalloc.start()
    try:
        windows = read(replay, [f"{uuid(1)}:{index}" for index in (5, 600, 980)])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * windows.data["image"].nbytes + 2_000_000 < data["image"].nbytes / 3
