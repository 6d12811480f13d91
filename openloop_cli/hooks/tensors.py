"""Tensors of a collected batch, wherever they lie -> the numbers that are logged of it.

Shapes: a batch is (*B, T); rewards (*B, T, [agents,] objectives); done (*B, T, [agents,] 1); the
mask of the steps that were really taken (*B, T).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase
from torch import Tensor

from openloop_cli.arrays import Array

Key = str | tuple[str, ...]
MASK = ("collector", "mask")


def nested_key(key: str | Sequence[str] | None, default: Key) -> Key:
    """A key as tensordict takes it: configurations write lists for tuples."""
    if key is None:
        return default
    return key if isinstance(key, str) else tuple(key)


def real_steps(batch: TensorDictBase) -> Tensor | None:
    """Which steps were really taken, bool (*B, T); None where all were."""
    mask = batch.get(MASK, None)
    return None if mask is None else mask.reshape(batch.batch_size).bool()


def count_steps(batch: TensorDictBase) -> int:
    """How many steps were really taken."""
    real = real_steps(batch)
    return batch.numel() if real is None else int(real.sum())


def only_real(values: Tensor, real: Tensor | None) -> Tensor:
    """Of values (*B, T, …) those of the real steps, (N, …); wherever the tensors lie."""
    return values if real is None else values[real.to(values.device)]


def without_last(done: Tensor, batch_dims: int) -> Tensor:
    """Done (*B, T, [agents,] 1) without its last dimension."""
    return done.squeeze(-1) if done.ndim > batch_dims and done.shape[-1] == 1 else done


def statistics(name: str, values: Tensor, reduce_stats: bool | None) -> dict[str, Tensor]:
    """Few numbers of many, each of rank 0; none of none.

    Args:
      reduce_stats: True: `<name>_min`, `_mean`, `_max`. False: the first element. None: the three
        of more than one element, the bare name of exactly one.
    """
    values = as_float(values).reshape(-1)
    if not values.numel():
        return {}
    if reduce_stats is False or (reduce_stats is None and values.numel() == 1):
        return {name: values[0]}
    low, high = values.aminmax()
    return {f"{name}_min": low, f"{name}_mean": values.mean(), f"{name}_max": high}


def scalarised(values: Tensor, weights: Sequence[float] | None) -> Tensor:
    """Returns (N, [agents,] objectives) -> (N,): the mean over agents; of several objectives the
    sum, weighted if there are weights.

    Raises:
      ValueError: Another number of weights than of objectives.
    """
    if values.ndim == 1:
        return values
    values = as_float(values)
    if values.ndim > 2:
        values = values.flatten(1, -2).mean(1)
    if values.shape[-1] == 1:
        return values.squeeze(-1)
    if weights is None:
        return values.sum(-1)
    if len(weights) != values.shape[-1]:
        raise ValueError(
            f"episode_reward_weights: {len(weights)} weights for {values.shape[-1]} objectives"
        )
    return values @ torch.tensor(weights, dtype=values.dtype, device=values.device)


def as_float(values: Tensor) -> Tensor:
    """Detached, float32 unless float64."""
    values = values.detach()
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def fetched(numbers: Mapping[str, Tensor]) -> dict[str, float]:
    """Tensors of rank 0 as floats; one transfer for each device, not one for each number."""
    by_device: dict[Any, list[str]] = {}
    for name, value in numbers.items():
        by_device.setdefault((value.device, value.dtype), []).append(name)
    found: dict[str, float] = {}
    for names in by_device.values():
        values = torch.stack([numbers[name] for name in names]).tolist()
        found |= dict(zip(names, values, strict=True))
    return {name: found[name] for name in numbers}


def to_numpy(value: Any) -> Array:
    """A tensor or array as our loggers, `Agg` and encoders take it; bfloat16, which NumPy does not
    have, as float32."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype is torch.bfloat16 else value).numpy()
    return np.asarray(value)
