"""The cache of compiled programs, in the user's own cache folder.

What lies there is loaded as native code, so the folder must be the user's alone: mode 0700, and
left alone, with a note, when somebody else owns it or can write to it. Programs lie in a subfolder
for each jax, jaxlib and processor, so that a cache that moved between machines breaks nothing.
Each subfolder holds a marker, and `clear_cache` deletes only what is marked.
"""

import hashlib
import os
import platform
import secrets
import shutil
import stat
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from openloop_cli.errors import OutputError

PRIVATE = 0o700
# https://bford.info/cachedir/: backup programs skip a folder with this file.
MARKER = "CACHEDIR.TAG"
MARK = """Signature: 8a477f597d28d172789f06886806bc55
# Compiled programs of openloop. It compiles them again when they are deleted.
"""


@dataclass(frozen=True)
class CacheInfo:
    """Where the cache lies, how many files it holds, and their bytes."""

    folder: Path
    files: int
    nbytes: int


def cache_root() -> Path:
    """`$OPENLOOP_CACHE_DIR`, else `openloop` in the user's cache folder.

    Raises:
      RuntimeError: The user has no home folder.
    """
    own = os.environ.get("OPENLOOP_CACHE_DIR")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "openloop"


def cache_folder() -> Path:
    """The folder for the programs of this jax and processor; makes it if it is missing.

    Raises:
      OutputError, OSError, RuntimeError: There can be none, or it is not the user's alone.
    """
    root = cache_root()
    folder = root / _machine()
    for made in (root, folder):
        made.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        _check_private(made)
    if not _is_marked(folder):
        _write(folder / MARKER, MARK.encode())
    return folder


def cache_note() -> str | None:
    """None, or one line that says why no compiled programs can be kept."""
    try:
        folder = cache_folder()
        if os.access(folder, os.W_OK | os.X_OK):
            return None
        reason = f"{folder}: not writable"
    except (OSError, RuntimeError, OutputError) as error:
        reason = str(error)
    return f"no compilation cache: {reason}"


def read_program(key: str) -> bytes | None:
    """The kept file of that key, None if there is none or it cannot be read."""
    try:
        return (cache_folder() / key).read_bytes()
    except (OSError, RuntimeError, OutputError):
        return None


def keep_program(key: str, data: bytes) -> None:
    """Keeps a file for the next process. Where that fails, the next process compiles again."""
    try:
        _write(cache_folder() / key, data)
    except (OSError, RuntimeError, OutputError):
        return


def cache_info() -> CacheInfo:
    """What the cache contains now, the markers aside."""
    root = cache_root()
    files = [
        path
        for folder in _marked(root)
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and path.name != MARKER
    ]
    return CacheInfo(root, len(files), sum(path.stat().st_size for path in files))


def clear_cache() -> CacheInfo:
    """Deletes the marked subfolders, and the cache folder if it is empty then.

    Returns:
      What was deleted.

    Raises:
      OutputError: The folder is not the user's own, or nothing in it was made by this program:
        nothing is deleted.
    """
    held = cache_info()
    if held.folder.is_dir() and any(held.folder.iterdir()):
        _check_private(held.folder)
        folders = _marked(held.folder)
        if not folders:
            raise OutputError(
                f"{held.folder}: not a cache of openloop, nothing was deleted",
                hint="set OPENLOOP_CACHE_DIR to the cache, or delete the folder yourself",
            )
        for folder in folders:
            shutil.rmtree(folder)
        if not any(held.folder.iterdir()):
            held.folder.rmdir()
    return held


def _marked(root: Path) -> list[Path]:
    """The subfolders that this program made."""
    if not root.is_dir():
        return []
    return [
        path for path in sorted(root.glob("jax-*")) if not path.is_symlink() and _is_marked(path)
    ]


def _is_marked(folder: Path) -> bool:
    try:
        return (folder / MARKER).read_bytes() == MARK.encode()
    except OSError:
        return False


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, also with several processes at once."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _check_private(folder: Path) -> None:
    """Refuses a folder that somebody else owns, can write to, or replaced with a link."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise OutputError(f"{folder}: not a folder", hint="set OPENLOOP_CACHE_DIR to another")
    if found.st_uid != os.getuid():
        raise OutputError(f"{folder}: belongs to another user", hint="set OPENLOOP_CACHE_DIR")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OutputError(
            f"{folder}: others can write to it",
            hint=f"chmod 700 {folder}, or set OPENLOOP_CACHE_DIR",
        )


@cache
def _machine() -> str:
    """A name for all that compiled code depends on: jax, jaxlib, the processor's own features."""
    parts = [version("jax"), version("jaxlib"), platform.machine(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        parts += sorted(
            {line for line in lines if line.startswith(("flags", "Features", "model name"))}
        )
    except OSError:
        parts.append(platform.platform())
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    return f"jax-{parts[0]}-{digest}"
