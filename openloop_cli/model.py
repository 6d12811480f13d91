"""A world model on its device, ready to roll out."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax

from openloop_cli.arrays import Params
from openloop_cli.config import ModelConfig
from openloop_cli.errors import OpenloopError, OptionError
from openloop_cli.run import Run
from openloop_cli.spaces import Spaces
from openloop_cli.world_model.params import fold_params


@dataclass(frozen=True)
class Model:
    """What `place_model` makes and `roll_out` takes."""

    params: Mapping[str, jax.Array]
    config: ModelConfig
    spaces: Spaces
    device: Any

    @property
    def device_name(self) -> str:
        """Such as `cpu` or `gpu NVIDIA H200`."""
        platform, kind = str(self.device.platform), str(self.device.device_kind)
        return platform if kind == platform else f"{platform} {kind}"


def load_model(run: Run, *, device: str | None = None) -> Model:
    """Reads a run's world model, checks it against its config, and places it on a device.

    Raises:
      OpenloopError: Parameters that do not go with the config, or no such device.
    """
    return place_model(run.read_params(), run.config.model, run.spaces, device=device)


def place_model(
    params: Params, config: ModelConfig, spaces: Spaces, *, device: str | None = None
) -> Model:
    """Puts checked parameters (`check_params`) on a device, with upsampling kernels folded.

    Args:
      device: `cpu`, `gpu`, `tpu`, or one of several, such as `gpu:1`; None: jax's first.

    Raises:
      OptionError: There is no such device.
    """
    chosen = find_device(device)
    folded = fold_params(params, config, spaces)
    return Model(jax.device_put(folded, chosen), config, spaces, chosen)


def find_device(name: str | None) -> Any:
    """The jax device of that name, such as `cpu` or `gpu:1`."""
    platform, _, index = (name or "").partition(":")
    try:
        devices = jax.devices(platform or None)
    except RuntimeError as error:
        raise OptionError(
            f"--device {name}: {str(error).splitlines()[0]}",
            hint="use --device cpu, or install the extra for your accelerator (openloop[cuda12])",
        ) from None
    if index and not (index.isdigit() and int(index) < len(devices)):
        raise OptionError(f"--device {name}: there are {len(devices)} {platform} devices, from 0")
    return devices[int(index or 0)]


@contextmanager
def on_device(model: Model) -> Iterator[None]:
    """The same bits from the same seed on every jax, float32 products in full on every device,
    and a device that is out of memory told in one line."""
    precision = "float32" if model.config.compute_dtype == "float32" else None
    try:
        with (
            jax.threefry_partitionable(True),
            jax.default_matmul_precision(precision),
            jax.default_device(model.device),
        ):
            yield
    except RuntimeError as error:  # jax's own error class moved between its versions
        reason = (str(error).splitlines() or [""])[0]
        if "RESOURCE_EXHAUSTED" not in reason:
            raise
        raise OpenloopError(
            f"the device ran out of memory: {reason}",
            hint="use fewer --sequences or --samples, a shorter --length, or --device cpu",
        ) from None
