"""Observe the context, imagine the horizon, decode both: a model and windows -> OpenLoop.

NumPy at both ends, JAX in the middle. Each frame is encoded once, each state decoded once; what
all futures and baselines share, they share. One transfer back.
"""

from typing import Any

import jax
import numpy as np

from openloop_cli.errors import OptionError
from openloop_cli.models.dreamerv3.inputs import model_inputs, shuffled_actions
from openloop_cli.models.model import Model, on_device, place_model
from openloop_cli.replay import Windows
from openloop_cli.rollout.blocks import Blocks, gather
from openloop_cli.rollout.compiled import compiled
from openloop_cli.rollout.noise import make_noise
from openloop_cli.rollout.programs import drift
from openloop_cli.rollout.result import Evaluation, Futures, OpenLoop, Trace
from openloop_cli.run import Run


def load_model(run: Run, *, device: str | None = None) -> Model:
    """Reads a run's world model, checks it against its config, and places it on its devices.

    Raises:
      OpenloopError: Parameters that do not go with the config, or no such device.
    """
    return place_model(run.read_params(), run.config.model, run.spaces, device=device)


def roll_out(
    model: Model,
    windows: Windows,
    *,
    context: int,
    seed: int = 0,
    latents: str = "sample",
    samples: int = 1,
    evaluate: bool = False,
    cache: bool = True,
) -> OpenLoop:
    """Observes the first `context` steps of each window and imagines the others.

    Args:
      seed: Of the draws. A window draws the same whatever else is rolled out beside it.
      latents: `sample` draws each latent; `mode` takes its most likely class.
      samples: Imagined futures M of each window.
      evaluate: Also follow the posterior to the end and roll out the baselines.
      cache: Keep compiled programs in the user's cache folder (`OPENLOOP_CACHE_DIR`), and use
        those that are there.

    Raises:
      OptionError: A context that leaves nothing to observe or to imagine.
    """
    inputs = model_inputs(windows, model.spaces, model.config.dyn)
    batch, steps = inputs.resets.shape
    if not 1 <= context < steps:
        raise OptionError(
            f"--context {context}: expected 1 to {steps - 1}, below the {steps} steps of a window"
        )
    with on_device(model):
        noise = make_noise(seed, windows.ids) if latents == "sample" else None
        blocks = Blocks(model, inputs, context, samples * steps, keep=cache)
        seen, carry = blocks.observe(noise, steps if evaluate else context)
        own, actions = np.arange(batch), {k: x[:, context:] for k, x in inputs.actions.items()}
        ahead = blocks.imagine(carry, own, actions, noise, samples)
        baselines = {}
        if evaluate:
            mixed = shuffled_actions(inputs, context, seed)
            baselines["shuffled"] = blocks.imagine(carry, own, mixed, noise, 1)
            if batch > 1:
                baselines["other"] = blocks.imagine(carry, np.roll(own, 1), actions, noise, 1)
        still = None
        if samples > 1:
            still_seen, still_carry = blocks.observe(None, context)
            still = (still_seen, blocks.imagine(still_carry, own, actions, None, 1))
        seen, ahead, baselines, still = gather((seen, ahead, baselines, still), batch)
        evaluation = _evaluation(seen, ahead, baselines, blocks) if evaluate else None
    return OpenLoop(
        ids=windows.ids,
        context=context,
        truth={key: inputs.obs[key] for key in model.spaces.decoded},
        reward=inputs.reward,
        terminal=inputs.terminal,
        model=_joined(seen["trace"], ahead["trace"], context),
        futures=Futures(**ahead["futures"]) if samples > 1 else None,
        deterministic=_joined(still[0]["trace"], still[1]["trace"], context) if still else None,
        evaluation=evaluation,
        actions={key: np.asarray(x) for key, x in inputs.actions.items()},
        episodes=windows.episodes,
        apart=windows.apart,
    )


def _evaluation(
    seen: dict[str, Any],
    ahead: dict[str, Any],
    baselines: dict[str, Any],
    blocks: Blocks,
) -> Evaluation:
    posterior = Trace(**seen["trace"])
    # On one device also where there are several: it is small, and its arguments lie here.
    row = (seen["trace"]["logit"][:, blocks.context :], ahead["trace"]["logit"])
    options = {"unimix": blocks.model.config.dyn.unimix}
    apart = compiled(drift, blocks.model, row, options, keep=blocks.keep)(*row)
    return Evaluation(
        posterior=posterior,
        losses=seen["losses"],
        drift=np.asarray(apart),
        shuffled=Trace(**baselines["shuffled"]["trace"]),
        other=Trace(**baselines["other"]["trace"]) if "other" in baselines else None,
    )


def _joined(seen: dict[str, Any], ahead: dict[str, Any], context: int) -> Trace:
    """The context of one trace, then all of another."""
    return Trace(**jax.tree.map(lambda x, y: np.concatenate([x[:, :context], y], 1), seen, ahead))
