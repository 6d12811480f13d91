"""Numbers of a recording are measured once for each content, and nobody can spoil them."""

import numpy as np
import pytest

from openloop_cli.measures import recording
from openloop_cli.measures.recording import Recording


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(recording, "_kept", {})


class Counted:
    """Measures the same each time, and counts how often it was asked."""

    def __init__(self, values):
        self.values, self.times = values, 0

    def __call__(self):
        self.times += 1
        return {"mse": np.array(self.values)}


def truth(fill=1, shape=(2, 3, 4), dtype=np.uint8):
    return np.full(shape, fill, dtype)


def test_the_same_content_is_measured_once():
    measure = Counted([0.5])
    for _ in range(3):
        found = Recording(truth(), 1).numbers("persistence", measure)
        np.testing.assert_array_equal(found["mse"], [0.5])
    assert measure.times == 1


@pytest.mark.parametrize(
    "other",
    [
        (truth(2), 1, "persistence"),
        (truth(), 2, "persistence"),
        (truth(), 1, "climatology"),
        (truth(shape=(2, 4, 3)), 1, "persistence"),
        (truth(dtype=np.int8), 1, "persistence"),
    ],
)
def test_another_recording_context_or_name_is_measured_anew(other):
    Recording(truth(), 1).numbers("persistence", Counted([0.5]))
    content, context, name = other
    found = Recording(content, context).numbers(name, Counted([0.25]))
    np.testing.assert_array_equal(found["mse"], [0.25])


def test_what_a_caller_does_to_its_numbers_stays_with_it():
    measure = Counted([0.5])
    for _ in range(2):
        found = Recording(truth(), 1).numbers("persistence", measure)
        np.testing.assert_array_equal(found["mse"], [0.5])
        found["mse"][:] = np.nan


def test_no_more_are_kept_than_a_few():
    for fill in range(recording._MOST + 10):
        Recording(truth(fill), 1).numbers("persistence", Counted([fill]))
    assert 0 < len(recording._kept) <= recording._MOST
