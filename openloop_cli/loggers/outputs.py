"""`NAME:TARGET` -> the output that it means.

A package adds an output of its own by an entry point in the group `openloop.loggers`: a function of
the target and of `tell`, which takes a line for the person who watches, that returns an `Output`.
"""

import os
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, runtime_checkable

from openloop_cli.errors import OptionError
from openloop_cli.loggers.values import Entry

Tell = Callable[[str], None]
GROUP = "openloop.loggers"


@runtime_checkable
class Output(Protocol):
    """Where metrics go. Both methods are called in one thread, one after the other."""

    def write(self, entries: Sequence[Entry]) -> None:
        """Writes entries, in order. What it raises is told, and the next entries come all the
        same."""

    def close(self) -> None:
        """Writes what is left. Nothing is written after that."""


def make_output(text: str, tell: Tell) -> Output:
    """The output that `NAME:TARGET` means.

    Raises:
      OptionError: There is none of this name, its target is missing, or its package is.
      OutputError: It cannot be written there.
    """
    if text.startswith("serve://"):
        text = f"serve:{text}"
    name, _, target = text.partition(":")
    if name == "expa":
        raise OptionError(f"--log {text}: expa has no public package", hint=_hint())
    make = _OWN.get(name) or _of_others(name)
    if make is None:
        raise OptionError(f"--log {text}: no output of this name", hint=_hint())
    if not target and name in _OWN and name != "terminal":
        raise OptionError(
            f"--log {text}: where to is missing", hint=f"write {name}:{_TARGETS[name]}"
        )
    return make(target, tell)


_TARGETS = {
    **dict.fromkeys(("jsonl", "scope", "tensorboard"), "FOLDER"),
    "wandb": "PROJECT[/RUN]",
    "mlflow": "URI, such as mlflow:sqlite:///m.db",
    "trackio": "PROJECT[/RUN]",
    "serve": "//HOST:PORT",
}


def _hint() -> str:
    return f"one of {', '.join(sorted({*_OWN, *entry_points(group=GROUP).names}))}"


def _of_others(name: str) -> Callable[[str, Tell], Output] | None:
    for found in entry_points(group=GROUP, name=name):
        make: Callable[[str, Tell], Output] = found.load()
        return make
    return None


def _terminal(target: str, tell: Tell) -> Output:
    from openloop_cli.loggers.terminal import Terminal

    return Terminal(target or None, tell)


def _jsonl(target: str, tell: Tell) -> Output:
    from openloop_cli.loggers.jsonl import Jsonl

    return Jsonl(Path(target), tell)


def _scope(target: str, tell: Tell) -> Output:
    from openloop_cli.loggers.scope import Scope

    return Scope(Path(target), tell)


def _tensorboard(target: str, tell: Tell) -> Output:
    from openloop_cli.loggers.tensorboard import TensorBoard

    return TensorBoard(Path(target), tell)


def _wandb(target: str, tell: Tell) -> Output:
    from openloop_cli.loggers.wandb import Wandb

    return Wandb(target, tell)


def _mlflow(target: str, tell: Tell) -> Output:
    from openloop_cli.loggers.mlflow import Mlflow

    return Mlflow(target, tell)


def _trackio(target: str, tell: Tell) -> Output:
    from openloop_cli.loggers.trackio import Trackio

    return Trackio(target, tell)


def _serve(target: str, tell: Tell) -> Output:
    from openloop_cli.loggers.serve import TOKEN, ServeOutput, address
    from openloop_cli.wire import check_installed

    check_installed()
    return ServeOutput(*address(target), token=os.environ.get(TOKEN, ""), tell=tell)


_OWN: dict[str, Callable[[str, Tell], Output]] = {
    "terminal": _terminal,
    "jsonl": _jsonl,
    "scope": _scope,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
    "trackio": _trackio,
    "serve": _serve,
}
