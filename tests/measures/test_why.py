"""Why a model sees as far as it does, in words, where the answer is known; and intervals that stay
within what a number can be."""

import numpy as np
import pytest

from openloop_cli.measures.measure import Observation
from openloop_cli.measures.series import Series, resolve
from openloop_cli.measures.why import why

B, H = 16, 10


def observation(*, kind="continuous", dimensions=None, **levels):
    """Errors of each path, a little different in each window; `other_context` by step."""
    luck = np.random.default_rng(0).lognormal(0, 0.2, (B, 1))
    metric = {"image": "mse", "continuous": "symlog_mse"}[kind]
    imagined = {path: {metric: luck * np.ones((B, H)) * x} for path, x in levels.items()}
    found = None if dimensions is None else np.tile(np.array(dimensions, float), (B, 1))
    return Observation(kind, (4,), {}, imagined, dimensions=found)


def test_a_model_that_listens_and_remembers():
    found = observation(kind="image", model=2, floor=1.5, shuffled_actions=6, other_context=5)
    assert why(found) == (
        "listens to its actions (shuffled: 3 times the error); uses its context to the end;"
        " 75% of its error is blur"
    )


def test_a_model_that_does_neither():
    found = observation(model=2, floor=0.5, shuffled_actions=2, other_context=2)
    assert why(found) == (
        "it does not show whether it listens to its actions (shuffled: 1 times the error);"
        " does not use its context; 75% of its error is dynamics"
    )


def test_a_context_that_is_forgotten():
    other = np.where(np.arange(H) < 4, 5.0, 2.0)
    found = observation(model=2, floor=1, shuffled_actions=2.1, other_context=other)
    assert "hardly listens to its actions (shuffled: 1.1 times the error)" in why(found)
    assert "forgets its context after 4 steps" in why(found)


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ([1, 1, 1, 9, 1, 1], "dimension 3 has 64% of it"),
        ([1, 7, 1, 6, 1, 1], "dimensions 1 and 3 have 76% of it"),
        ([1, 1, 1, 1, 1, 1], ""),
        ([1, 9], ""),
        ([0, 0, 0], ""),
    ],
)
def test_the_dimensions_that_fail(errors, told):
    found = why(observation(model=2, floor=1, dimensions=errors))
    assert found == "; ".join(filter(None, ["50% of its error is the decoder's", told]))


def test_intervals_stay_within_what_a_number_can_be():
    rng = np.random.default_rng(1)
    seldom = (rng.random((8, 5)) < 0.2).astype(float)
    skewed = rng.lognormal(0, 2, (8, 5))
    found = resolve(
        {
            "mistakes": Series(seldom, limits=(0, 1)),
            "accuracy": Series(1 - seldom, limits=(0, 1)),
            "mse": Series(skewed, limits=(0, None)),
            "psnr": Series(1e-3 * skewed, decibels=True),
        }
    )
    for name, (low, high) in {"mistakes": (0, 1), "accuracy": (0, 1), "mse": (0, np.inf)}.items():
        ends = np.concatenate([found[name]["low"], found[name]["high"]])
        assert (ends >= low).all()
        assert (ends <= high).all()
    psnr = found["psnr"]
    assert (psnr["low"] <= psnr["per_step"]).all()
    assert (psnr["per_step"] <= psnr["high"]).all()
    assert psnr["mean_high"] - psnr["mean"] < 30  # a number, not the 100 dB of a perfect copy
