"""Tensors, wherever they lie, as our loggers, `Agg` and encoders take them."""

from typing import Any

import numpy as np
import torch

from openloop_cli.arrays import Array


def to_numpy(value: Any) -> Array:
    """A tensor or array as NumPy's; bfloat16, which it does not have, as float32."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype is torch.bfloat16 else value).numpy()
    return np.asarray(value)
