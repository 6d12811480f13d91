"""Which windows are of one episode, and how many share no step."""

import numpy as np
import pytest

from openloop_cli.replay import choose_windows, open_replay, parse_window, read_windows
from openloop_cli.replay.names import uuid_bytes


def read(replay, count, *, steps=10, seed=0):
    ids = choose_windows(
        replay, length=steps, replay_context=0, context=0, count=count, seed=seed, allow_resets=True
    ).ids
    starts = [parse_window(text) for text in ids]
    chunks = [int.from_bytes(uuid_bytes(uuid), "big") for uuid, _ in starts]
    found = read_windows(replay, ids, length=steps, replay_context=0, keys=["is_first"])
    return found, chunks, [index for _, index in starts]


@pytest.mark.parametrize("seed", range(5))
def test_the_episode_is_that_of_the_last_step(writer, seed):
    rng = np.random.default_rng(seed)
    firsts = np.flatnonzero(rng.random(200) < 0.03)
    writer.stream([30, 5, 65, 40, 60], firsts=firsts)
    before = dict(zip(range(1, 6), (0, 30, 35, 100, 140), strict=True))
    found, chunks, indices = read(open_replay(writer.folder), 12, seed=seed)
    lasts = [before[c] + i + 9 for c, i in zip(chunks, indices, strict=True)]
    expected = np.searchsorted(firsts, lasts, side="right")
    assert found.episodes == tuple(np.unique(expected, return_inverse=True)[1])


def test_no_chunk_is_opened_that_cannot_matter(writer, monkeypatch):
    """Before the first window, and where the stream is another one."""
    writer.stream([40] * 6)
    replay = open_replay(writer.folder)
    names = [f"{chunk.uuid}:5" for chunk in replay.chunks]
    read_windows(replay, [names[3]], length=10, replay_context=0, keys=["is_first"])
    assert set(replay._firsts) == {replay.chunks[3].path}
    both = [names[1], names[4]]
    found = read_windows(replay, both, length=10, replay_context=0, keys=["is_first"])
    assert found.episodes == (0, 0)
    assert replay.chunks[0].path not in replay._firsts


def test_how_many_share_no_step(writer):
    writer.stream([50, 50])
    replay = open_replay(writer.folder)
    one, two = (chunk.uuid for chunk in replay.chunks)
    for starts, apart in (
        ([f"{one}:0", f"{one}:10", f"{one}:20"], 3),
        ([f"{one}:0", f"{one}:9", f"{one}:19"], 2),
        ([f"{one}:45", f"{two}:4", f"{two}:5"], 2),
        ([f"{one}:0"] * 3, 1),
    ):
        found = read_windows(replay, starts, length=10, replay_context=0, keys=["is_first"])
        assert found.apart == apart
