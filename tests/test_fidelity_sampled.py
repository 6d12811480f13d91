"""Sampled latents agree with the reference in distribution: 32 draws of ours, 32 of its own."""

import numpy as np
import pytest

from openloop_cli.measures import metrics
from tests.golden import genuine, run_case

DRAWS = 32
IMAGE_RUNS = ("context5", "crafter_bf16", "crafter_f32", "dummy_f32", "strided")


@pytest.mark.parametrize("name", IMAGE_RUNS)
def test_mean_image_error_per_step(name: str) -> None:
    case = run_case(*genuine(name))
    ours = []
    for seed in range(DRAWS):
        loop = case.roll_out(seed=seed)
        truth = loop.truth["image"].astype(np.float32) / 255
        ours.append(metrics.mse(truth, loop.model.prediction["image"]))
    mine, theirs = np.stack(ours), case.golden["sampled/mse/image"]
    assert mine.std(0).min() > 0, "the draws do not differ"
    error = np.sqrt((mine.var(0, ddof=1) + theirs.var(0, ddof=1)) / DRAWS)
    # Windows are independent: per step, the mean over them and its standard error.
    difference = (mine.mean(0) - theirs.mean(0)).mean(0)
    allowed = 3 * np.sqrt(np.square(error).sum(0)) / len(error)
    assert (np.abs(difference) <= allowed).all(), difference / allowed * 3


def test_a_window_draws_the_same_whatever_is_beside_it() -> None:
    case = run_case(*genuine("strided"))
    both = case.roll_out(seed=3).model.stoch
    second = type(case.windows)(
        case.windows.ids[1:], {k: x[1:] for k, x in case.windows.data.items()}, 1, ()
    )
    case.windows = second
    np.testing.assert_array_equal(case.roll_out(seed=3).model.stoch, both[1:])


def test_the_first_future_is_the_only_one() -> None:
    case = run_case(*genuine("strided"))
    one, three = case.roll_out(seed=5), case.roll_out(seed=5, samples=3)
    np.testing.assert_array_equal(one.model.stoch, three.model.stoch)
    assert three.futures.losses["image"].shape == (3, 2, case.steps - case.steps // 2)
    assert np.ptp(three.futures.losses["image"], axis=0).max() > 0
