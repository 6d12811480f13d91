"""Whether the latent states that a replay stores are the checkpoint's own.

The trainer keeps its model's latent states in the replay, and a window starts from one. Another
model's states are noise to it, though their shapes may be the same. One step from a stored state
tells: the model's next state, which follows from state and action alone, against the stored one.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from openloop_cli.arrays import Array, Params
from openloop_cli.errors import ReplayError
from openloop_cli.models.dreamerv3 import rssm
from openloop_cli.models.dreamerv3.encoder import join_actions
from openloop_cli.models.model import Model, on_device
from openloop_cli.replay import LATENTS, Windows
from openloop_cli.rollout.compiled import compiled
from openloop_cli.rollout.programs import Static

# Measured on genuine runs: 0.87 to 1.00 with the run's own last checkpoint, 0.69 to 0.72 with the
# sample's early one on states of later models, 0.26 to 0.27 with the same function under other
# numbers of its latents, the hardest of all foreign models.
LEAST = 0.5
# Steps of each window, and how many there must be in all.
_STEPS, _FEWEST = 8, 8


def start_windows(
    model: Model, windows: Windows, start: str | None, *, keep: bool = True
) -> tuple[Windows, list[str]]:
    """The windows with the latent states that they start from, and a note where that is no matter
    of course.

    Args:
      start: `stored` or `zeros`; None finds out whether the stored states are the model's own.
      keep: As of `latents_belong`.

    Raises:
      ReplayError: Stored states were asked for, and there are none.
    """
    if not windows.replay_context:
        return windows, []
    why = ""
    if not windows.starts_stored:
        if start == "stored":
            raise ReplayError(
                "--start stored: the replay stores no latent states", hint="use --start zeros"
            )
        why = "the replay stores no latent states"
    elif start is None:
        why = _foreign(model, windows, keep)
    if start != "zeros" and not why:
        return windows, []
    note = "all windows start from zeros"
    return windows.from_zeros(), [f"{why}: {note}" if why else note]


def _foreign(model: Model, windows: Windows, keep: bool) -> str:
    """Why the stored states are not the model's own; empty where they are."""
    dyn, stored = model.config.dyn, [windows.data[key] for key in LATENTS]
    shapes = tuple(x.shape[2:] for x in stored)
    if any(x.dtype.kind not in "biuf" for x in stored):
        return "the replay's latent states are no numbers"
    if not all(np.isfinite(x).all() for x in stored):
        return "the replay's latent states are not numbers everywhere"
    if shapes != ((dyn.deter,), (dyn.stoch, dyn.classes)):
        part, size = ("stoch", 1) if shapes[0] == (dyn.deter,) else ("deter", 0)
        return f"the replay's latent states are of a model with {part} {shapes[size]}"
    if (found := latents_belong(model, windows, keep=keep)) < LEAST:
        return (
            "the replay's latent states are another model's (a step from them correlates by"
            f" {found:.2f} with the next, where its own do by {LEAST} or more)"
        )
    return ""


def latents_belong(model: Model, windows: Windows, *, keep: bool = True) -> float:
    """The partial correlation of the predicted with the stored next `deter`, given the present one.

    Each unit less its own mean, all units together. Without the present state taken out, two that
    hardly change in a step would agree whatever the model; with only their changes compared, two
    that fall back to a mean.

    Args:
      windows: With their stored states, of the model's own shapes.
      keep: Keep the compiled program for the next process.

    Returns:
      1 where nothing can be told: too few states follow one another, or nothing changes.
    """
    data = {key: x[:, : _STEPS + 1] for key, x in windows.data.items()}
    inside = ~data["is_first"][:, 1:].astype(bool)
    if inside.sum() < _FEWEST:
        return 1.0
    stored: Array = data["dyn/deter"].astype(np.float32)
    deter, after = stored[:, :-1], stored[:, 1:]
    actions = {key: data[key][:, :-1] for key in model.spaces.actions}
    params = {name: x for name, x in model.params.items() if name.startswith("dyn/")}
    if model.mesh:
        params = jax.tree.map(lambda x: x.addressable_data(0), params)
    static = Static(model.config, model.spaces, 0, None)
    row = (params, deter, data["dyn/stoch"][:, :-1].astype(np.float32), actions)
    with on_device(model):
        found = compiled(_step, model, row, {"static": static}, keep=keep)(*row)["deter"]
    present, predicted, next_ = (
        (rows - rows.mean(0)).ravel()
        for rows in (np.asarray(x, np.float64)[inside] for x in (deter, found, after))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b, c = np.corrcoef([present, predicted, next_])[np.triu_indices(3, 1)]
        partial_ = (c - a * b) / np.sqrt((1 - a**2) * (1 - b**2))
    return float(partial_) if np.isfinite(partial_) else 1.0


@partial(jax.jit, static_argnames="static", keep_unused=True)
def _step(
    params: Params, deter: jax.Array, stoch: jax.Array, actions: Any, *, static: Static
) -> dict[str, jax.Array]:
    """(B, T, …) states and the actions taken in them -> the states that follow, (B, T, D)."""
    dtype = jnp.dtype(static.config.compute_dtype)
    joined = join_actions(actions, static.spaces.actions, dtype)
    deters, stochs, joineds = (
        x.reshape((-1, *x.shape[2:])).astype(dtype) for x in (deter, stoch, joined)
    )
    carry = rssm.Carry(deters, stochs)
    after = rssm.core(rssm.rounded(params, dtype), static.config.dyn, carry, joineds)
    return {"deter": after.reshape(deter.shape).astype(jnp.float32)}
