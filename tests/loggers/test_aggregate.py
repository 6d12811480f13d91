"""Reductions, rates, times and clocks against hand calculations and the reference's meaning."""

import threading

import numpy as np
import pytest

from openloop_cli.loggers.aggregate import FPS, Agg, Clock, Timer

NAN = float("nan")


class Time:
    now = 10.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("how", "values", "expected"),
    [
        (None, [1, 2, 6], 3),
        ("avg", [1, NAN, 3], 2),
        ("mean", [NAN, 4], 4),
        ("mean", [NAN, NAN], NAN),
        ("sum", [1, 2, NAN], 3),
        ("min", [3, 1, 2], 1),
        ("max", [NAN, 1, 2], 2),
        ("max", [[1, 5], [3, NAN], [2, 4]], [2, 5]),
        (None, ["a", "b"], "b"),
        (None, [[1, 2], [3]], [1, 2, 3]),
        ("stack", [1, 2], [1, 2]),
        ("stack", [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ("last", [1, 2], 2),
    ],
)
def test_reductions(how, values, expected):
    agg = Agg()
    for value in values:
        agg.add("a", value, how)
    np.testing.assert_array_equal(agg.result()["a"], expected)
    assert agg.result() == {}


def test_several_reductions_at_once():
    agg = Agg()
    for value in (1, 2, 6):
        agg.add("log/x", value, agg=("avg", "max", "sum"))
    assert agg.result() == {"log/x/avg": 3, "log/x/max": 6, "log/x/sum": 9}


def test_videos_of_several_batches_are_never_joined_in_time():
    agg = Agg()
    for value in (1, 2):
        agg.add({"video": np.full((5, 4, 4, 3), value, np.uint8)}, prefix="report")
    found = agg.result(reset=False, prefix="x")["x/report/video"]
    assert found.shape == (5, 4, 4, 3)
    assert found.dtype == np.uint8
    assert (found == 2).all()
    assert list(agg.result()) == ["report/video"]


def test_what_is_passed_is_never_changed():
    value = np.zeros(3)
    value.flags.writeable = False
    agg = Agg()
    for how in ("sum", "concat", "last"):
        agg.add({how: value}, agg=how)
        agg.add({how: value + 1}, agg=how)
    own = np.ones(3)
    agg.add("own", own, "sum")
    agg.add("own", own, "sum")
    own[:] = 7
    assert agg.result()["own"].tolist() == [2, 2, 2]
    assert value.tolist() == [0, 0, 0]


def test_rows_are_bounded_from_the_first_value_on():
    agg = Agg()
    agg.add("a", np.zeros(1_500_000, np.uint8))
    agg.add("a", np.zeros(5, np.uint8))
    assert len(agg.result()["a"]) == 1_000_000


@pytest.mark.parametrize(
    ("values", "how", "said"),
    [
        ([1], "median", "unknown reduction 'median'"),
        ([1], "concat", "cannot be joined"),
        ([1, ("sum", 2)], "mean", "a: reduced by mean, not by sum"),
    ],
)
def test_what_does_not_fit_is_told(values, how, said):
    agg = Agg()

    def add():
        for value in values:
            agg.add("a", *(value[::-1] if isinstance(value, tuple) else (value, how)))

    with pytest.raises(ValueError, match=said):
        add()


def test_rates():
    clock = Time()
    fps = FPS(clock)
    assert fps.result() == 0
    fps.step(30)
    fps.step()
    clock.now += 2
    assert fps.result(reset=False) == 15.5
    assert fps.result() == 15.5
    clock.now += 1
    assert fps.result() == 0


def test_times():
    clock = Time()
    timer = Timer(clock)
    assert timer.stats() == {"summary": ""}
    for seconds in (1, 3):
        with timer.section("train"), timer.section("load"):
            clock.now += seconds

    def elsewhere():
        with timer.section("load"):
            clock.now += 4

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    found = timer.stats()
    assert found["train/load/sum"] == 4
    assert (found["train/load/min"], found["train/load/max"]) == (1, 3)
    assert (found["train/load/mean"], found["train/load/count"]) == (2, 2)
    assert found["train/frac"] == 0.5
    assert found["load/sum"] == 4
    assert found["summary"].splitlines()[0].split() == ["50.0%", "train/load"]


@pytest.mark.parametrize(
    ("every", "expected"),
    [(0, [0, 0, 0, 0]), (-1, [1, 1, 1, 1]), (2, [0, 0, 1, 0])],
)
def test_zero_is_never_and_negative_always(every, expected):
    clock = Time()
    due, found = Clock(every, clock=clock), []
    for _ in range(4):
        found.append(due())
        clock.now += 1
    assert found == list(map(bool, expected))


def test_a_skipped_clock_is_untouched_and_the_first_call_may_be_due():
    clock = Time()
    due = Clock(2, first=True, clock=clock)
    assert not due(skip=True)
    assert due()
    clock.now += 5
    assert not due(skip=True)
    assert due()
    clock.now += 1
    assert not due()
