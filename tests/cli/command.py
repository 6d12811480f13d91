"""`openloop` as a user types it: in this process where that is enough, else in one of its own."""

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from unittest import mock

from openloop_cli.cli import main


def program(before: str = "") -> list[str]:
    """`openloop` for a process of its own, which does some Python before."""
    return [sys.executable, "-c", f"{before}\nfrom openloop_cli.cli import main; main()"]


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said; like subprocess.CompletedProcess."""

    returncode: int
    stdout: str
    stderr: str


def openloop(*args) -> Done:
    """In this process, so that jax is imported and models are compiled once."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        mock.patch.object(sys, "argv", ["openloop", *map(str, args)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
    return Done(code, out.getvalue(), err.getvalue())


def process(*args, before: str = "", **options) -> subprocess.CompletedProcess:
    """In a process of its own."""
    options = {"capture_output": True, "text": True, "timeout": 240} | options
    return subprocess.run([*program(before), *map(str, args)], **options)


def environment(**more) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more}


def listing(folder) -> list[str]:
    """Everything in a folder, hidden files too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
