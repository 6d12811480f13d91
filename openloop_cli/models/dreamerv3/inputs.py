"""Windows as replay holds them -> inputs as the model takes them. NumPy only.

The arithmetic of `_apply_replay_context` in the reference's agent.py.
"""

from typing import Any, NamedTuple

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.config import RSSMConfig
from openloop_cli.errors import ReplayError
from openloop_cli.replay import Windows
from openloop_cli.spaces import Spaces


class Inputs(NamedTuple):
    """T steps after the replay context. Fields are arrays, or dictionaries of arrays by key.

    obs (B, T, …) as recorded; actions (B, T, …), each the one before its step; resets (B, T);
    reward (B, T); terminal (B, T); the initial state deter (B, D), stoch (B, S, L).
    """

    obs: Any
    actions: Any
    resets: Any
    reward: Any
    terminal: Any
    deter: Any
    stoch: Any


def model_inputs(windows: Windows, spaces: Spaces, config: RSSMConfig) -> Inputs:
    """Applies the replay context.

    Windows without stored latent states start from zeros, as an episode does.

    Raises:
      ReplayError: The stored latent states are of another model's shape.
    """
    data, start = windows.data, windows.replay_context
    for key, space in spaces.obs:
        _check_classes(key, data[key], space.classes + 1 if space.classes else 0, space.classes)
    for key, space in spaces.act:
        _check_classes(key, data[key], space.classes, space.classes)
    if start:
        actions = {key: data[key][:, start - 1 : -1] for key, _ in spaces.act}
    else:
        actions = {key: _delayed(data[key]) for key, _ in spaces.act}
    resets = data["is_first"][:, start:]
    if start and not windows.starts_stored:
        resets = resets.copy()
        resets[:, 0] = True
    return Inputs(
        obs={key: data[key][:, start:] for key, _ in spaces.obs},
        actions=actions,
        resets=resets,
        reward=data["reward"][:, start:].astype(np.float32),
        terminal=data["is_terminal"][:, start:],
        deter=_state(windows, "dyn/deter", (config.deter,)),
        stoch=_state(windows, "dyn/stoch", (config.stoch, config.classes)),
    )


def shuffled_actions(inputs: Inputs, context: int, seed: int) -> dict[str, Array]:
    """(B, T - context, …) by key: the imagined part's actions, shuffled between windows.

    One permutation over all windows and steps, for all keys together, so that each action still
    is one that the policy took.
    """
    actions = {key: x[:, context:] for key, x in inputs.actions.items()}
    batch, steps = inputs.resets[:, context:].shape
    order = np.random.default_rng(seed).permutation(batch * steps)
    return {k: x.reshape((-1, *x.shape[2:]))[order].reshape(x.shape) for k, x in actions.items()}


def _check_classes(key: str, found: Array, below: int, classes: int) -> None:
    """(B, K + T, …): one-hot encoding would turn a class that is not there into zeros.

    Of observations one is let pass: the reference takes the highest value of an integer `Box` for
    the number of its classes, one too few, and trains on zeros where it is seen.
    """
    if classes and found.size and found.max() >= below:
        raise ReplayError(
            f"{key!r} in the replay: class {found.max()}, the model has {classes} from 0",
            hint="pass the replay of the same run as the checkpoint",
        )


def unclassed(windows: Windows, spaces: Spaces) -> dict[str, tuple[int, int]]:
    """Discrete observations with a value that has no class: key -> the value, and how often."""
    found = {}
    for key, space in spaces.obs:
        if space.classes and (count := int((windows.data[key] == space.classes).sum())):
            found[key] = space.classes, count
    return found


def _delayed(action: Array) -> Array:
    """(B, T, …) -> the same one step later, zeros first."""
    return np.concatenate([np.zeros_like(action[:, :1]), action[:, :-1]], 1)


def _state(windows: Windows, key: str, shape: tuple[int, ...]) -> Array:
    """The latent state before the first step: as stored, or zeros."""
    if not windows.starts_stored:
        return np.zeros((len(windows.ids), *shape), np.float32)
    found = windows.data[key][:, windows.replay_context - 1]
    if found.shape[1:] != shape or found.dtype.kind not in "biuf":
        raise ReplayError(
            f"{key} in the replay: expected {shape}, found {found.dtype} {found.shape[1:]}",
            hint="use --start zeros, or pass the replay of the same run as the checkpoint",
        )
    return found
