"""Checked parameters, prepared for the layers that use them."""

import ml_dtypes
import numpy as np

from openloop_cli.arrays import Array, Params
from openloop_cli.config import ModelConfig
from openloop_cli.models.dreamerv3.nets import fold_pooling, fold_upsampling
from openloop_cli.spaces import Spaces


def fold_params(params: Params, config: ModelConfig, spaces: Spaces) -> dict[str, Array]:
    """`params` and, beside the first pooling and each upsampling kernel, its folded form.

    Taps are rounded to the compute dtype before they are summed, as the reference rounds them.
    """
    folded = dict(params)
    dtype = np.dtype(getattr(ml_dtypes, config.compute_dtype, config.compute_dtype))
    if spaces.encoded_images and not (config.enc.outer or config.enc.strided):
        folded["enc/cnn0/folded"] = fold_pooling(np.asarray(params["enc/cnn0/kernel"]))
    if spaces.images:
        names = [f"dec/conv{i}" for i in range(len(config.dec.mults) - 1)]
        for name in names if config.dec.outer else [*names, "dec/imgout"]:
            kernel = np.asarray(params[f"{name}/kernel"]).astype(dtype)
            folded[f"{name}/folded"] = fold_upsampling(kernel, strided=config.dec.strided)
    return folded
