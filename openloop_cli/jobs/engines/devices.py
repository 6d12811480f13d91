"""What each worker of `--parallel checkpoints` gets of this machine: a GPU, or some cores.

Which devices there are is asked in a process that ends at once: whoever starts CUDA holds memory
on every GPU that it sees, for as long as it lives.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from openloop_cli.cores import usable_cores
from openloop_cli.errors import OpenloopError, OptionError
from openloop_cli.jobs.engines.spawning import spawn

# More cores than these help one rollout little; further ones are better used by another.
CORES_OF_A_WORKER = 4
_CUDA, _ROCM = "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Share:
    """What one worker computes with.

    Attributes:
      name: For people, such as `gpu 1`.
      environment: To be set before jax starts.
      cores: The processor's cores that it keeps to; empty for all.
    """

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] = ()


@dataclass(frozen=True)
class Devices:
    """What jax finds on this machine, or why it finds nothing."""

    platform: str = ""
    count: int = 0
    rocm: bool = False
    error: OpenloopError | None = None


def find_shares(device: str | None, workers: int | None = None) -> list[Share]:
    """A share for each worker.

    Args:
      device: As `--device` has it: a platform, or None for jax's first.
      workers: How many; None: one for each GPU, or for each few cores.

    Raises:
      OptionError: There is no such platform, one device was named, or there are fewer.
    """
    platform, colon, _ = (device or "").partition(":")
    if colon:
        raise OptionError(
            f"--parallel checkpoints with --device {device}: that names one device",
            hint=f"use --device {platform}, or --parallel windows",
        )
    found = Devices("cpu") if platform == "cpu" else _ask(device)
    if found.error:
        raise found.error
    if found.platform == "cpu":
        return core_shares(usable_cores(), workers)
    if found.platform != "gpu":
        raise OptionError(
            f"--parallel checkpoints: expected GPUs or a CPU, found {found.platform}",
            hint="use --parallel windows",
        )
    if workers is not None and workers > found.count:
        raise OptionError(f"--workers {workers}: there are {found.count} GPUs, one for each worker")
    return gpu_shares(workers or found.count, found.rocm, os.environ)


def gpu_shares(count: int, rocm: bool, environment: Mapping[str, str]) -> list[Share]:
    """Each of the first GPUs, of those that this process may see."""
    name = _ROCM if rocm else _CUDA
    # ROCm obeys CUDA's variable where its own is not set.
    visible = environment.get(name) or environment.get(_CUDA) or ""
    listed = [text.strip() for text in visible.split(",") if text.strip()]
    if len(listed) < count:
        listed = [str(number) for number in range(count)]
    return [Share(f"gpu {i}", {name: listed[i]}) for i in range(count)]


def core_shares(cores: tuple[int, ...], workers: int | None) -> list[Share]:
    """Equally many cores for each.

    Raises:
      OptionError: More workers than cores.
    """
    count = workers or max(1, len(cores) // CORES_OF_A_WORKER)
    if count > len(cores):
        raise OptionError(f"--workers {count}: there are {len(cores)} cores")
    ends = [len(cores) * i // count for i in range(count + 1)]
    # Where an accelerator is there as well, workers on the CPU shall not start it.
    return [
        Share(f"cpu {i}", {"JAX_PLATFORMS": "cpu"}, cores[ends[i] : ends[i + 1]])
        for i in range(count)
    ]


def _ask(device: str | None) -> Devices:
    process, pipe = spawn(tell_devices, device)
    try:
        found: Devices = pipe.recv()
    except EOFError:
        process.join()
        raise OptionError(
            f"--parallel checkpoints: asked for its devices, jax ended with {process.exitcode}",
            hint="use --device cpu, or --parallel windows",
        ) from None
    finally:
        pipe.close()
        process.kill()
        process.join()
    return found


def tell_devices(pipe: Connection, device: str | None) -> None:
    """What the asked process does."""
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    from openloop_cli.models.model import find_devices

    try:
        found = find_devices(device)
    except OptionError as error:
        pipe.send(Devices(error=error))
        return
    version = str(found[0].client.platform_version)
    pipe.send(Devices(str(found[0].platform), len(found), rocm="rocm" in version.lower()))
