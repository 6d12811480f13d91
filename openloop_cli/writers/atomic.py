"""Files that are there whole or not at all.

A result is written under another name in the same folder and renamed when it is done. Whatever
ends the writing (an error, Ctrl-C, a polite kill) takes the unfinished file away again, and a
file of that name from an earlier run stays as it was. Only a hard kill leaves one behind, named
`.<name>.<random>.partial<suffix>`.
"""

import errno
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from openloop_cli.errors import OutputError

PARTIAL = ".partial"


@contextmanager
def atomic_path(path: Path, *, expected_bytes: int | None = None) -> Iterator[Path]:
    """A name to write to, which becomes `path` if the body succeeds.

    Missing folders are made. A link is followed, so that it still is one afterwards.

    Args:
      path: Where the result shall lie.
      expected_bytes: The result's size if known, told when the disk is full.

    Raises:
      OutputError: The place cannot be written, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    partial = _partial_name(target)
    with _sigterm_raises():
        try:
            _check_target(path, target)
            target.parent.mkdir(parents=True, exist_ok=True)
            # An early and clear answer, before the body has spent its time.
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield partial
            partial.replace(target)
        except OSError as error:
            raise _explain(error, path, _size(partial), expected_bytes) from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file of bytes."""
    with atomic_path(path, expected_bytes=len(data)) as partial:
        partial.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole file of text, as UTF-8 with plain newlines."""
    write_bytes(path, text.encode())


def disk_full(path: Path, written: int, expected: int | None = None) -> OutputError:
    """The error for a disk that ran full, the same from every writer."""
    done = f"wrote {_readable(written)}" + (f" of {_readable(expected)}" if expected else "")
    return OutputError(
        f"{path}: the disk is full: {done}", hint="make room, or write to another disk"
    )


def _check_target(path: Path, target: Path) -> None:
    if target.is_dir():
        raise OutputError(
            f"{path}: expected a file's name, found a folder", hint="add a file name to it"
        )
    # Renaming onto a device such as /dev/null would replace the device itself.
    if target.exists() and not target.is_file():
        raise OutputError(f"{path}: expected a regular file, found something else there")


def _partial_name(target: Path) -> Path:
    # The name keeps its suffix, by which encoders know the kind, and stays below 255 bytes.
    stem = target.stem.encode()[:180].decode(errors="ignore")
    return target.parent / f".{stem}.{secrets.token_hex(4)}{PARTIAL}{target.suffix}"


def _explain(error: OSError, path: Path, written: int, expected: int | None) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(path, written, expected)
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    hint = ""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "choose a folder that you may write to"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        hint = "a file stands where a folder is needed"
    return OutputError(f"{path}: cannot be written: {reason}", hint=hint)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _readable(size: int) -> str:
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """A polite kill unwinds the stack, so that the partial file is removed.

    Only where nobody else has said what SIGTERM means, and only in the main thread, which is
    the one that Python lets set handlers.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(signum: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signum)
