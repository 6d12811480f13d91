"""Compiled programs, each traced and compiled once: for the process, and for the next ones too.

jax's own compilation cache saves only the compiler: each process still traces and lowers a program
to find out what it is called there, which takes longer than the rollout of a small model. Here the
name of a program follows from what goes into it: the source code of the model, its settings, shapes
and dtypes, jax's settings, the device. What is kept is the executable as XLA writes it and the
names of its results as JSON, with a checksum; nothing is unpickled. Whatever is missing, damaged or
fails on its first run is compiled again.

jax's own cache is used instead for several devices, and wherever somebody has set its folder: XLA
loses functions of a program that it loaded when it writes it a second time ("NOT_FOUND: Function …
not found", jaxlib 0.10.2 on a CPU).
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import jax

from openloop_cli.cache import cache_folder, keep_program, read_program
from openloop_cli.errors import OutputError
from openloop_cli.models.model import Model

Compiled = Callable[..., Any]
Tree = Any
"""Nested dictionaries whose leaves are places in a list: a program's results."""

_COMPILED: dict[Any, Compiled] = {}
# On GPUs XLA times dozens of Triton kernels for every matrix product before it picks one, or the
# library's. On an H200 that took 98 s of a cold render, 18.7 s without (jax 0.11.2); which kernel
# wins, and with it the last digits, would also differ from run to run.
_OPTIONS = {"gpu": {"xla_gpu_enable_triton_gemm": False}}
# All that a program's outcome depends on and its arguments do not show.
_SOURCES = ("models/**/*.py", "rollout/*.py", "config/*.py", "arrays.py", "spaces.py")


def compiled(
    program: Any, model: Model, row: tuple[Any, ...], options: Mapping[str, Any], *, keep: bool
) -> Compiled:
    """A jitted function compiled for arguments like `row`, on the model's one device.

    Args:
      program: Of `rollout.programs`; its results are arrays in nested dictionaries.
      options: Static arguments by name.
      keep: Look for it in the cache folder, and leave it there.
    """
    leaves, form = jax.tree.flatten(row)
    shapes = tuple((x.shape, x.dtype.name) for x in leaves)
    key = (program, model.devices, tuple(options.items()), form, shapes, _settings())
    if key not in _COMPILED:
        name = _name(program, model.devices[0], options, str(form), shapes)
        keep = keep and not jax.config.values.get("jax_compilation_cache_dir")

        def compile_it() -> Compiled:
            made = _compile(program.lower(*row, **options), model.devices[0])
            if keep:
                _keep(name, made)
            return made

        kept = _read(name, model.devices[0]) if keep else None
        _COMPILED[key] = _Kept(kept, compile_it) if kept else compile_it()
    return _COMPILED[key]


def _compile(lowered: Any, device: Any) -> Compiled:
    made: Compiled
    if options := _OPTIONS.get(device.platform):
        try:
            made = lowered.compile(options)
            return made
        except RuntimeError as error:
            if "compile option" not in str(error):  # else: this XLA does not know it
                raise
    made = lowered.compile()
    return made


class _Kept:
    """A program from the cache folder, compiled again if its first run fails. Safe in threads."""

    def __init__(self, call: Compiled, compile_it: Callable[[], Compiled]) -> None:
        self._call, self._compile, self._lock, self._proven = call, compile_it, Lock(), False

    def __call__(self, *row: Any) -> Any:
        call = self._call
        if self._proven:
            return call(*row)
        try:
            # Blocks, since a program that lacks a function fails only when it gets there.
            outs = jax.block_until_ready(call(*row))
            self._proven = True
            return outs
        except (RuntimeError, TypeError, ValueError):
            with self._lock:
                if self._call is call:
                    self._call, self._proven = self._compile(), True
            return self._call(*row)


def use_jax_cache() -> None:
    """Lets jax keep what it compiles, for several devices; a choice that was made is left alone."""
    if jax.config.values.get("jax_compilation_cache_dir"):
        return
    try:
        folder = cache_folder()
    except (OSError, RuntimeError, OutputError):
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _keep(name: str, program: Any) -> None:
    """Writes what `_read` reads: a line of JSON, then the executable."""
    try:
        executable = program.runtime_executable()
        client = executable.client
        write = getattr(client, "serialize_executable", None)
        data: bytes = write(executable) if write else executable.serialize()
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return  # this jax or device cannot: the next process compiles again
    count = program.out_tree.num_leaves
    head = {
        "name": name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "results": jax.tree.unflatten(program.out_tree, range(count)),
    }
    keep_program(name, json.dumps(head).encode() + b"\n" + data)


def _read(name: str, device: Any) -> Compiled | None:
    head, _, data = (read_program(name) or b"").partition(b"\n")
    try:
        known = json.loads(head)
        if known["name"] != name or known["sha256"] != hashlib.sha256(data).hexdigest():
            return None
        return _loaded(_deserialize(data, device), known["results"], device)
    except (AttributeError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return None


def _deserialize(data: bytes, device: Any) -> Any:
    """Devices are a sequence in new versions of jaxlib, a list of its own before that, and in
    0.4.33 they are read from the executable."""
    from jaxlib import xla_client

    own = getattr(xla_client, "DeviceList", None)
    forms: list[Any] = [(device,), *([own((device,))] if own else []), None]
    for devices in forms:
        try:
            return device.client.deserialize_executable(data, devices)
        except TypeError:
            continue
    raise NotImplementedError("this jaxlib loads executables in another way")


def _loaded(executable: Any, results: Tree, device: Any) -> Compiled:
    execute = executable.execute_sharded

    def call(*row: Any) -> Any:
        arrays = jax.device_put(jax.tree.leaves(row), device)
        outs = execute(arrays).disassemble_into_single_device_arrays()
        return jax.tree.map(lambda place: outs[place][0], results)

    return call


def _name(
    program: Any, device: Any, options: Mapping[str, Any], form: str, shapes: tuple[Any, ...]
) -> str:
    parts = [
        program.__name__,
        repr(sorted(options.items())),
        form,
        repr(shapes),
        f"{device.platform} {device.device_kind} {device.id}",
        device.client.platform_version,
        *(f"{name}={os.environ.get(name)}" for name in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")),
        _settings(),
        _source(),
    ]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"{program.__name__}-{digest[:32]}"


def _settings() -> str:
    """jax's settings, less those that change nothing in a program."""
    apart = ("cache", "log", "platforms", "async_dispatch", "traceback", "device")
    found = jax.config.values.items()
    return repr(sorted((k, repr(x)) for k, x in found if not any(word in k for word in apart)))


@cache
def _source() -> str:
    """A digest of the code that programs are traced from."""
    top = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for file in sorted(file for name in _SOURCES for file in top.glob(name)):
        digest.update(f"{file.relative_to(top)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
