"""The trained sample run: the reference's numbers on two of its windows, found by their ids."""

from pathlib import Path

import jax
import numpy as np
import pytest

from openloop_cli import load_model, open_run, roll_out
from openloop_cli.rollout.result import OpenLoop

pytestmark = pytest.mark.usefixtures("compiled_in_full")

GOLDEN = Path(__file__).parent / "fixtures" / "sample_run.golden.npz"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN))


@pytest.fixture(scope="module")
def loop(golden: dict[str, np.ndarray], sample_run: Path) -> OpenLoop:
    run = open_run(sample_run, sample_run)
    windows = run.read_windows(golden["windows"].tolist(), length=24)
    return roll_out(load_model(run), windows, context=12, latents="mode", evaluate=True)


def test_latents(loop: OpenLoop, golden: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(loop.model.deter, golden["mode/open/deter"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(loop.model.logit, golden["mode/open/logit"], rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(loop.model.stoch, golden["mode/open/stoch"])


def test_heads(loop: OpenLoop, golden: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(loop.model.cont, golden["mode/open/con"], rtol=1e-4)
    # Bins reach ±4.9e8, and what they hold cancels: on another jax, float32 leaves 1e-3.
    atol = 1e-6 if jax.__version__ == "0.4.33" else 2e-3
    for ours, theirs in ((loop.model.reward, "reward"), (loop.model.value, "value")):
        np.testing.assert_allclose(ours, golden[f"mode/open/{theirs}"], rtol=1e-4, atol=atol)


def test_losses(loop: OpenLoop, golden: dict[str, np.ndarray]) -> None:
    ours = {**loop.evaluation.losses, **loop.evaluation.posterior.losses}
    ours["con"] = ours["con_discounted"]  # Computed by the trainer's own loss function.
    names = [name[10:] for name in golden if name.startswith("mode/loss/")]
    assert {"dyn", "rep", "rew", "con", "image", "position", "velocity"} <= set(names)
    for name in names:
        np.testing.assert_allclose(
            ours[name], golden[f"mode/loss/{name}"], rtol=1e-4, atol=1e-5, err_msg=name
        )
