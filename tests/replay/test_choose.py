import numpy as np
import pytest

from openloop_cli.errors import OptionError, ReplayError
from openloop_cli.replay import choose_windows, open_replay, parse_window, summarize
from openloop_cli.replay.names import uuid_bytes

from .synthetic import steps

ALL = 10**6


def choose(replay, *, length=10, replay_context=1, context=5, count=4, seed=0, **kw):
    return choose_windows(
        replay,
        length=length,
        replay_context=replay_context,
        context=context,
        count=count,
        seed=seed,
        **kw,
    )


def places(choice) -> list[tuple[int, int]]:
    """(chunk number, index) of each window."""
    pairs = [parse_window(text) for text in choice.ids]
    return [(int.from_bytes(uuid_bytes(uuid), "big"), index) for uuid, index in pairs]


def random_replay(writer, rng):
    """number -> (successor, is_first), as written: links, gaps, forks and loops."""
    layout = {}
    chunks = int(rng.integers(3, 12))
    for number in range(1, chunks + 1):
        succ = int(rng.choice([0, number + 1, number + 1, number + 1, rng.integers(1, chunks + 1)]))
        length = int(rng.choice([1, 2, 5, 9, 20]))
        is_first = rng.random(length) < 0.04
        data = steps(length, np.flatnonzero(is_first))
        writer.chunk(data, number, succ)
        layout[number] = (succ, is_first)
    return layout


def oracle(layout, imagined, total, damaged=()):
    """Every valid start and every safe one, one step at a time."""
    valid, safe = [], []
    for number, (_, is_first) in layout.items():
        for index in range(len(is_first)):
            at, i, seen, flags, touched = number, index, {number}, [], set()
            while len(flags) < total:
                if i == len(layout[at][1]):
                    at, i = layout[at][0], 0
                    if at not in layout or at in seen:
                        break
                    seen.add(at)
                flags.append(bool(layout[at][1][i]))
                touched.add(at)
                i += 1
            if len(flags) == total:
                valid.append((number, index))
                if not any(flags[imagined:]) and not touched & set(damaged):
                    safe.append((number, index))
    return valid, safe


@pytest.mark.parametrize("seed", range(40))
def test_against_brute_force(writer, seed):
    rng = np.random.default_rng(seed)
    layout = random_replay(writer, rng)
    context = int(rng.integers(0, 4))
    valid, safe = oracle(layout, 1 + context, 7)
    replay = open_replay(writer.folder)
    options = {"length": 6, "context": context, "seed": seed}
    if not safe:
        with pytest.raises(ReplayError):
            choose(replay, count=ALL, **options)
        return
    everything = choose(replay, count=ALL, **options)
    assert places(everything) == safe
    assert everything.candidates == len(valid)
    assert everything.shortfall == ALL - len(safe)
    some = choose(replay, count=3, **options)
    assert len(some.ids) == min(3, len(safe))
    assert set(places(some)) <= set(safe)
    anything = choose(replay, count=ALL, allow_resets=True, **options)
    assert places(anything) == valid
    assert anything.passed_over == 0


@pytest.mark.parametrize("seed", range(20))
def test_damaged_chunks_against_brute_force(writer, seed):
    rng = np.random.default_rng(100 + seed)
    layout = random_replay(writer, rng)
    damaged = [int(n) for n in rng.choice(list(layout), 2, replace=False)]
    for number in damaged:
        path = writer.paths[number - 1]
        path.write_bytes(path.read_bytes()[:-30])
    valid, safe = oracle(layout, 1, 5, damaged)
    replay = open_replay(writer.folder)
    options = {"length": 4, "context": 0, "count": ALL}
    if not safe:
        with pytest.raises(ReplayError):
            choose(replay, **options)
        return
    choice = choose(replay, **options)
    assert places(choice) == safe
    assert choice.candidates == len(valid)
    assert set(replay.damaged) <= {writer.paths[number - 1] for number in damaged}


def test_no_episode_starts_in_the_imagined_part(writer):
    # Steps 0 .. 99, an episode every 20: the imagined part of a window at i is i + 6 .. i + 10.
    writer.stream([30, 30, 40], firsts=range(0, 100, 20))
    choice = choose(open_replay(writer.folder), count=ALL)
    starts = [index + {1: 0, 2: 30, 3: 60}[chunk] for chunk, index in places(choice)]
    assert starts == [
        i for i in range(90) if not any(i + 6 <= f <= i + 10 for f in (20, 40, 60, 80))
    ]
    assert choice.candidates == 90
    assert 1 <= choice.passed_over <= 20


def test_a_start_before_the_imagined_part_is_fine(writer):
    writer.stream([11], firsts=[0, 5])
    assert choose(open_replay(writer.folder)).ids
    writer.stream([11], firsts=[6])
    assert len(choose(open_replay(writer.folder)).ids) == 1


def test_windows_spread_over_all_strata(writer):
    writer.stream([100] * 20)
    replay = open_replay(writer.folder)
    for seed in range(5):
        choice = choose(replay, count=16, seed=seed)
        starts = np.array([(chunk - 1) * 100 + index for chunk, index in places(choice)])
        strata = np.searchsorted([choice.candidates * n // 16 for n in range(17)], starts, "right")
        assert list(strata) == list(range(1, 17))
        assert (np.diff(starts) >= 11).all()


def test_each_start_has_the_same_chance(writer):
    writer.stream([20], firsts=[13])
    replay = open_replay(writer.folder)
    safe = places(choose(replay, length=6, count=ALL, context=3))
    drawn = [places(choose(replay, length=6, count=1, context=3, seed=s))[0] for s in range(3000)]
    counts = np.array([drawn.count(place) for place in safe])
    assert counts.sum() == 3000
    expected = 3000 / len(safe)
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_a_stratum_without_safe_starts_gives_its_place_away(writer):
    writer.stream([100, 100], firsts=range(100, 200, 2))
    choice = choose(open_replay(writer.folder), count=8)
    assert choice.shortfall == 0
    assert len(choice.ids) == 8
    assert {chunk for chunk, _ in places(choice)} == {1}
    starts = np.array([index for _, index in places(choice)])
    assert choice.passed_over >= 1
    assert len(set(starts)) == 8


def test_windows_overlap_only_when_they_must(writer):
    writer.stream([44])
    replay = open_replay(writer.folder)
    for seed in range(10):
        starts = np.array([i for _, i in places(choose(replay, count=2, seed=seed))])
        assert (np.diff(starts) >= 11).all()
    crowded = choose(replay, count=20)
    assert (len(set(crowded.ids)), crowded.shortfall) == (20, 0)


def test_the_choice_follows_from_seed_and_files_alone(writer):
    writer.stream([40] * 12, firsts=range(0, 480, 37))
    writer.paths[3].write_bytes(b"")
    writer.paths[7].write_bytes(b"")
    fresh = open_replay(writer.folder)
    first = choose(fresh, count=6, seed=3)
    assert choose(fresh, count=6, seed=3) == first
    looked_at = open_replay(writer.paths[::-1])
    summarize(looked_at)
    assert len(looked_at.damaged) == 2
    assert choose(looked_at, count=6, seed=3) == first
    assert choose(fresh, count=6, seed=4) != first


def test_the_same_seed_draws_the_same_windows_with_every_numpy(writer):
    writer.stream([40] * 6, firsts=range(0, 240, 37))
    choice = choose(open_replay(writer.folder), count=6, seed=7)
    assert places(choice) == [(1, 4), (2, 15), (3, 27), (4, 29), (5, 11), (5, 35)]
    assert choice.passed_over == 1


def test_a_thousand_chunks_are_not_opened(writer, opened):
    data = {"is_first": np.zeros(4, bool), "image": np.zeros((4, 2, 2, 1), np.uint8)}
    for number in range(1, 1001):
        writer.chunk(data, number, number + 1)
    opened.clear()
    replay = open_replay(writer.folder)
    choice = choose(replay, length=6, count=16)
    assert (len(choice.ids), choice.candidates) == (16, 3994)
    assert len(set(opened)) <= 16 * 3
    needed = {chunk + n for chunk, _ in places(choice) for n in (0, 1)}
    assert needed <= {writer.paths.index(path) + 1 for path in opened}


def test_missing_keys_are_damage(writer):
    data = writer.stream([30, 30])
    for number, change in ((3, {"image": None}), (4, {"image": np.zeros((30, 8, 8, 3), np.uint8)})):
        part = {key: value[:30] for key, value in data.items()} | change
        writer.chunk({key: value for key, value in part.items() if value is not None}, number)
    replay = open_replay(writer.folder)
    choice = choose(replay, count=ALL, keys=["image", "reward"])
    assert {chunk for chunk, _ in places(choice)} == {1, 2}
    assert "no 'image'" in replay.damaged[writer.paths[2]]
    assert (
        "(8, 8, 3) for each step, in other chunks uint8 (4, 6, 3)"
        in (replay.damaged[writer.paths[3]])
    )


def test_flags_that_cannot_be_read_are_damage(writer):
    data = writer.stream([30])
    no_flag = {key: value[:30] for key, value in data.items() if key != "is_first"}
    writer.chunk(no_flag, 2)
    writer.chunk(no_flag | {"is_first": np.zeros((30, 2), bool)}, 3)
    writer.chunk(no_flag | {"is_first": np.full(30, "no")}, 4)
    replay = open_replay(writer.folder)
    assert {chunk for chunk, _ in places(choose(replay, count=ALL))} == {1}
    assert len(replay.damaged) == 3
    anything = choose(open_replay(writer.folder), count=ALL, allow_resets=True)
    assert {chunk for chunk, _ in places(anything)} == {1, 2, 3, 4}


def test_too_short(writer):
    writer.stream([20, 15, 5])
    writer.stream([30], last_succ=99)
    with pytest.raises(ReplayError) as caught:
        choose(open_replay(writer.folder), length=64)
    assert str(caught.value) == (
        "no window of 1 + 64 steps: the longest linked stream has 40 (use --length 39 or less)"
    )
    assert choose(open_replay(writer.folder), length=39).candidates == 1
    with pytest.raises(ReplayError, match="this replay is too short"):
        choose(open_replay(writer.folder), replay_context=40)


def test_nothing_is_safe(writer):
    writer.stream([60], firsts=range(0, 60, 3))
    with pytest.raises(
        ReplayError, match=r"without an episode start.* of 50; none is damaged"
    ) as caught:
        choose(open_replay(writer.folder))
    assert "--allow-resets" in caught.value.hint
    assert choose(open_replay(writer.folder), allow_resets=True).ids


def test_nothing_is_readable(writer):
    writer.stream([20, 20])
    for path in writer.paths:
        path.write_bytes(b"PK")
    with pytest.raises(ReplayError, match=r"can be read: \d damaged, the first is .*cut short"):
        choose(open_replay(writer.folder))


@pytest.mark.parametrize(
    "wrong",
    [
        {"length": 0},
        {"count": 0},
        {"context": 11},
        {"context": -1},
        {"replay_context": -1},
        {"seed": -1},
    ],
)
def test_impossible_options(writer, wrong):
    writer.stream([20])
    with pytest.raises(OptionError):
        choose(open_replay(writer.folder), **wrong)
