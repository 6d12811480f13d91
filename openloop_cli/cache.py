"""The persistent compilation cache: compiled programs, in the user's own cache folder.

XLA loads what it finds there as native code, so the folder has to be the user's alone: mode
0700, and left alone, with a note, when somebody else owns it or can write to it. A folder for
each jax, jaxlib and processor keeps a cache that moved between machines from breaking a run; an
entry that cannot be read is compiled again, by jax itself.
"""

import hashlib
import os
import platform
import shutil
import stat
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from openloop_cli.errors import OutputError

PRIVATE = 0o700


@dataclass(frozen=True)
class CacheInfo:
    """Where the cache lies, how many files it holds, and their bytes."""

    folder: Path
    files: int
    nbytes: int


def cache_root() -> Path:
    """`$OPENLOOP_CACHE_DIR`, else `openloop` in the user's cache folder."""
    own = os.environ.get("OPENLOOP_CACHE_DIR")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "openloop"


def enable_cache() -> str | None:
    """Lets jax keep what it compiles; call it before the first compilation.

    Returns:
      None, or one line that says why there will be no cache. Never raises: a run without its
      cache is only slower.
    """
    try:
        folder = _prepare(cache_root())
    except (OSError, RuntimeError, OutputError) as error:
        return f"no compilation cache: {error}"
    import jax

    # An entry that cannot be written, on a full disk, or read is compiled again; nobody has to act.
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return None


def cache_info() -> CacheInfo:
    """What the cache holds now."""
    root = cache_root()
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    return CacheInfo(root, len(files), sum(path.stat().st_size for path in files))


def clear_cache() -> CacheInfo:
    """Removes the cache and returns what it held.

    Raises:
      OutputError: The folder is not the user's own, so nothing in it is touched.
    """
    held = cache_info()
    if held.folder.exists():
        _check_private(held.folder)
        shutil.rmtree(held.folder)
    return held


def _prepare(root: Path) -> Path:
    for folder in (root, root / _key()):
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        _check_private(folder)
    return root / _key()


def _check_private(folder: Path) -> None:
    """Refuses a folder that somebody else owns, can write to, or put a link in the place of."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise OutputError(f"{folder}: not a folder", hint="set OPENLOOP_CACHE_DIR to another")
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        raise OutputError(f"{folder}: belongs to another user", hint="set OPENLOOP_CACHE_DIR")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OutputError(
            f"{folder}: others can write to it",
            hint=f"chmod 700 {folder}, or set OPENLOOP_CACHE_DIR",
        )


def _key() -> str:
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
