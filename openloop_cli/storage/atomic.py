"""Files that are there whole or not at all.

A result is written under another name in the same folder and renamed when it is done. Whatever
ends the writing (an error, Ctrl-C, a polite kill) takes the unfinished file away again, and a
file of that name from an earlier run stays as it was. Only a hard kill leaves one behind, named
`.<name>.<host>-<process>-<random>.partial<suffix>`; `sweep_partials` takes those away.

A result for a store on the network is written to a temporary folder here and put there in one
piece when it is done; stores show a file whole or not at all.
"""

import errno
import glob
import hashlib
import os
import re
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import NoReturn

from openloop_cli.errors import OutputError, RemoteError
from openloop_cli.storage import RemotePath, remote

PARTIAL = ".partial"
_PARTIAL_NAME = re.compile(
    r"\.(?P<stem>.+?)\.((?P<host>[0-9a-f]{4})-(?P<pid>[0-9]{1,9})-)?[0-9a-f]{8}\.partial(\.\w+)?",
    re.DOTALL,
)
_A_DAY = 86_400
_POLITE = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


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
    if (place := remote(path)) is not None:
        with _signals_raise(), _uploaded(place, expected_bytes) as local:
            yield local
        return
    target = resolved(path)
    partial = partial_name(target)
    with _signals_raise():
        try:
            _check_target(path, target)
            target.parent.mkdir(parents=True, exist_ok=True)
            _touch(partial)
            yield partial
            partial.replace(target)
        except OSError as error:
            raise unwritable(error, path, _size(partial), expected_bytes) from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """An early answer, before hours are spent on what cannot be kept; leaves nothing behind.

    Raises:
      OutputError: The place cannot be written.
    """
    if (place := remote(path)) is not None:
        _check_remote(place)
        return
    target = resolved(path)
    try:
        _check_target(path, target)
        with suppress(FileNotFoundError, NotADirectoryError):
            target.lstat()  # a name that is too long
        folder = next(folder for folder in target.parents if folder.exists())
        probe = folder / partial_name(target).name
        try:
            _touch(probe)
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(error, path) from error


def resolved(path: Path) -> Path:
    """Where a path leads, whether or not there is something.

    Raises:
      OutputError: It is relative to a folder that is gone.
    """
    if remote(path):
        return path
    try:
        return Path(os.path.realpath(path))
    except OSError as error:  # the folder that we stand in is gone
        raise unwritable(error, path) from error


@contextmanager
def signals_wait() -> Iterator[None]:
    """What would raise waits for the end of the body, which must be short: between the start of
    an encoder and the `try` that ends it nothing may come."""
    main = threading.current_thread() is threading.main_thread()
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in _POLITE
        if main and callable(signal.getsignal(number))
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file of bytes."""
    with atomic_path(path, expected_bytes=len(data)) as partial:
        partial.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole file of text, as UTF-8 with plain newlines."""
    # A file name that is no UTF-8 stands in our text as lone surrogates. Spelled out, they are
    # JSON's own way of writing them, so that a metrics.json still names that file.
    write_bytes(path, text.encode(errors="backslashreplace"))


def disk_full(path: Path, written: int, expected: int | None = None) -> OutputError:
    """The error for a disk that ran full, the same from every writer."""
    done = f"wrote {_readable(written)}" + (f" of {_readable(expected)}" if expected else "")
    return OutputError(
        f"{path}: the disk is full: {done}", hint="make room, or write to another disk"
    )


@contextmanager
def _uploaded(path: RemotePath, expected_bytes: int | None) -> Iterator[Path]:
    """A local name to write to, which is put to `path` if the body succeeds."""
    from openloop_cli.storage import putting

    try:
        putting.refuse_writing(path)
        with tempfile.TemporaryDirectory(prefix="openloop-") as folder:
            # The name keeps its suffix, by which encoders know the kind.
            local = Path(folder) / f"result{path.suffix}"
            try:
                yield local
            except OSError as error:
                raise unwritable(error, local, _size(local), expected_bytes) from error
            putting.put(path, local)
    except RemoteError as error:
        raise OutputError(error.message, hint=error.hint) from error


def _check_remote(path: RemotePath) -> None:
    """Whether the store takes files, and has no folder of this name; nothing is left there."""
    from openloop_cli.storage import putting

    try:
        if path.is_top:
            raise OutputError(f"{path}: expected a file's name", hint="add a file name to it")
        putting.check_writable(path)
        if path.is_dir():
            raise OutputError(
                f"{path}: expected a file's name, found a folder", hint="add a file name to it"
            )
    except RemoteError as error:
        raise OutputError(error.message, hint=error.hint) from error


def _touch(partial: Path) -> None:
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))


def _check_target(path: Path, target: Path) -> None:
    if target.is_dir():
        raise OutputError(
            f"{path}: expected a file's name, found a folder", hint="add a file name to it"
        )
    # Renaming onto a device such as /dev/null would replace the device itself.
    if target.exists() and not target.is_file():
        raise OutputError(f"{path}: expected a regular file, found something else there")


def sweep_partials(folder: Path, name: str) -> None:
    """Removes the unfinished files of results called `name` or `name.…` whose writer was killed.

    A writer that is alive, another batch in the same folder for one, keeps its own. One on another
    machine cannot be asked: what it left goes after a day.
    """
    if remote(folder):
        return  # stores show nothing half written
    with suppress(OSError):
        for path in folder.glob(f".{glob.escape(name)}.*{PARTIAL}*"):
            found = _PARTIAL_NAME.fullmatch(path.name)
            if found and (found["stem"] == name or found["stem"].startswith(f"{name}.")):
                with suppress(OSError):
                    # Before they told their writer, an earlier version wrote them.
                    if not found["host"] or _is_left_behind(path, found["host"], int(found["pid"])):
                        path.unlink(missing_ok=True)


def partial_name(target: Path) -> Path:
    """`.<name>.<host>-<process>-<random>.partial<suffix>` beside a file that is to be written."""
    # The name keeps its suffix, by which encoders know the kind, and stays below 255 bytes.
    stem = target.stem.encode(errors="ignore")[:180].decode(errors="ignore")
    own = f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
    return target.parent / f".{stem}.{own}{PARTIAL}{target.suffix}"


def _is_left_behind(path: Path, host: str, pid: int) -> bool:
    if host != _host():
        return time.time() - path.stat().st_mtime > _A_DAY
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's
        return False
    return False


@cache
def _host() -> str:
    """Four digits that tell this machine, or container, from the next."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:4]


def unwritable(
    error: OSError, path: Path, written: int = 0, expected: int | None = None
) -> OutputError:
    """The error for a place that refuses, the same from every writer.

    Args:
      written: Bytes that are there already.
      expected: The result's size if known.
    """
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
def _signals_raise() -> Iterator[None]:
    """A polite kill unwinds the stack, so that the partial file is removed.

    Only where nobody else has said what the signal means, and only in the main thread, which is
    the one that Python lets set handlers.
    """
    main = threading.current_thread() is threading.main_thread()
    ours = [number for number in _POLITE if main and signal.getsignal(number) is signal.SIG_DFL]
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        received.append(number)
        raise SystemExit(128 + number)

    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
    # Python drops what is raised inside a finalizer or a callback of the garbage collector.
    if received:
        raise SystemExit(128 + received[0])
