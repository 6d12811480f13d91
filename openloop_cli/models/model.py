"""A world model on its devices, ready to roll out.

Parameters are whole on each device; windows are shared out over them (`rollout.blocks`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from openloop_cli.arrays import Params
from openloop_cli.config import ModelConfig
from openloop_cli.errors import OpenloopError, OptionError
from openloop_cli.models.dreamerv3.params import fold_params
from openloop_cli.spaces import Spaces

WINDOWS = "windows"
"""The axis of a mesh of devices, along which windows are dealt out."""


@dataclass(frozen=True, repr=False)
class Model:
    """What `place_model` makes and `roll_out` takes.

    Attributes:
      devices: One, or several of one platform, each with all parameters.
    """

    params: Mapping[str, jax.Array]
    config: ModelConfig
    spaces: Spaces
    devices: tuple[Any, ...]

    def __repr__(self) -> str:
        count = sum(int(x.size) for x in self.params.values())
        return f"<Model of {count:,} parameters on {self.device_name}>"

    @property
    def device_name(self) -> str:
        """Such as `cpu`, `gpu NVIDIA H200` or `2 × gpu NVIDIA H200`."""
        platform, kind = str(self.devices[0].platform), str(self.devices[0].device_kind)
        name = platform if kind == platform else f"{platform} {kind}"
        return name if len(self.devices) == 1 else f"{len(self.devices)} × {name}"

    @property
    def mesh(self) -> Mesh | None:
        """The devices along the windows' axis; None where there is only one."""
        return make_mesh(self.devices)


def place_model(
    params: Params, config: ModelConfig, spaces: Spaces, *, device: str | None = None
) -> Model:
    """Puts checked parameters (`check_params`) on devices, with upsampling kernels folded.

    Args:
      device: As in `find_devices`.

    Raises:
      OptionError: There is no such device.
    """
    devices = find_devices(device)
    folded = fold_params(params, config, spaces)
    mesh = make_mesh(devices)
    where = NamedSharding(mesh, PartitionSpec()) if mesh else devices[0]
    return Model(jax.device_put(folded, where), config, spaces, devices)


def find_devices(name: str | None) -> tuple[Any, ...]:
    """All devices of this machine of a platform (`cpu`, `gpu`, `tpu`), or one of them, such as
    `gpu:1`; None: those of jax's first platform.

    Raises:
      OptionError: There is no such device.
    """
    platform, colon, index = (name or "").partition(":")
    try:
        with _cpu_computes_where_it_is_called():
            devices = jax.local_devices(backend=platform or None)
    except RuntimeError as error:
        raise OptionError(
            f"--device {name}: {str(error).splitlines()[0]}",
            hint="use --device cpu, or install the extra for your accelerator (openloop[cuda12])",
        ) from None
    if not colon:
        return tuple(devices)
    if not (index.isdecimal() and int(index) < len(devices)):
        raise OptionError(f"--device {name}: there are {len(devices)} {platform} devices, from 0")
    return (devices[int(index)],)


@contextmanager
def _cpu_computes_where_it_is_called() -> Iterator[None]:
    """A CPU client made here runs a program in the thread that calls it. By default one thread
    runs them all, one after the other, and the other cores stand by (`rollout.blocks`)."""
    name = "jax_cpu_enable_async_dispatch"
    before = jax.config.values[name]
    jax.config.update(name, False)
    try:
        yield
    finally:
        jax.config.update(name, before)


def make_mesh(devices: tuple[Any, ...]) -> Mesh | None:
    """The devices along one axis, None for one device: then nothing needs to be shared out."""
    return Mesh(np.asarray(devices), (WINDOWS,)) if len(devices) > 1 else None


@contextmanager
def on_device(model: Model) -> Iterator[None]:
    """The same bits from the same seed on every jax, float32 products in full on every device,
    and a device that is out of memory reported in one line."""
    precision = "float32" if model.config.compute_dtype == "float32" else None
    try:
        with (
            jax.threefry_partitionable(True),
            jax.default_matmul_precision(precision),
            jax.default_device(model.devices[0]),
        ):
            yield
    except RuntimeError as error:  # jax's own error class moved between its versions
        reason = (str(error).splitlines() or [""])[0]
        if "RESOURCE_EXHAUSTED" not in reason:
            raise
        raise OpenloopError(
            f"the device ran out of memory: {reason}",
            hint="use fewer --num-windows or --samples, a shorter --length, or --device cpu",
        ) from None
