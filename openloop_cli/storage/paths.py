"""A path in a store on the network, with the methods of `pathlib.Path` that this package uses.

Why not a `UPath`: since 0.3 that is no `Path` either, and it prints credentials, asks the store
anew for each `exists()`, keeps listings for ever, and takes a signature in a query for a part of
the file's name. A `UPath` is taken where a user gives one, with the file system that it brings.

Text of a path (messages, metrics.json, pages) names the place without login and query.
"""

import fnmatch
import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from stat import S_IFDIR, S_IFREG
from typing import Any, TypeVar, cast

from openloop_cli.errors import RemoteError
from openloop_cli.storage import putting, stores
from openloop_cli.storage.stores import Entry

T = TypeVar("T")
R = TypeVar("R")
_AT_ONCE = 16
# Whole files are read as text or bytes up to here; checkpoints and chunks are read in ranges.
MOST_WHOLE = 256 << 20


@dataclass(frozen=True)
class RemoteStat:
    """Of `os.stat_result` what a store can tell; `version` changes with the contents."""

    st_mode: int
    st_size: int
    st_mtime: float
    version: str

    @property
    def st_mtime_ns(self) -> int | str:
        """What tells one state of a file from another: here the store's own version, if any."""
        return self.version or int(self.st_mtime * 1e9)


class RemotePath:
    """`scheme://key`; immutable, hashable, picklable."""

    __slots__ = ("_fs", "_signed", "key", "login", "query", "scheme")

    def __init__(
        self,
        scheme: str,
        key: str,
        login: str = "",
        query: str = "",
        fs: Any = None,
        signed: tuple[str, str] = ("", ""),
    ) -> None:
        self.scheme, self.key, self.login, self.query, self._fs = scheme, key, login, query, fs
        self._signed = signed  # a file in this folder that was named with a query, and the query

    def __reduce__(self) -> tuple[Any, ...]:
        own = (self.scheme, self.key, self.login, self.query, self._fs, self._signed)
        return RemotePath, own

    @property
    def fs(self) -> Any:
        """The fsspec file system.

        Raises:
          RemoteError: Its package is not installed.
        """
        return self._fs if self._fs is not None else stores.filesystem(self.scheme)

    @property
    def url(self) -> str:
        """The whole address, with what must not be shown; for http alone."""
        login = f"{self.login}@" if self.login else ""
        return f"{self.scheme}://{login}{self.key}" + (f"?{self.query}" if self.query else "")

    @property
    def lists(self) -> bool:
        """Whether the store tells what lies in a folder; the web does not."""
        return self.scheme not in ("http", "https")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.key}"

    def __repr__(self) -> str:
        return f"place({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: object) -> bool:
        return str(self) < str(other)

    def __gt__(self, other: object) -> bool:
        return str(self) > str(other)

    # The name alone.

    @property
    def _pure(self) -> PurePosixPath:
        return PurePosixPath(self.key)

    @property
    def name(self) -> str:
        """The last part."""
        return self._pure.name

    @property
    def is_top(self) -> bool:
        """Whether it is a bucket, a host or a repository itself."""
        return self.key.count("/") < self._depth and self.scheme != "memory"

    @property
    def _depth(self) -> int:
        """How many parts of the key make a bucket, a host or a repository."""
        if self.scheme != "hf":
            return 1
        return 3 if self.key.partition("/")[0] in ("datasets", "spaces", "buckets") else 2

    @property
    def stem(self) -> str:
        """The name without its last ending."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The name's last ending."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "RemotePath":
        """The folder above; a bucket is its own."""
        above = self._with(self.key.rpartition("/")[0] or self.key)
        if self.query:
            above._signed = (self.name, self.query)
        return above

    @property
    def parents(self) -> "tuple[RemotePath, ...]":
        """All folders above, the nearest first."""
        parts = self.key.split("/")
        ends = range(len(parts) - 1, self._depth - 1, -1)
        return tuple(self._with("/".join(parts[:n])) for n in ends)

    def __truediv__(self, name: "str | PurePosixPath") -> "RemotePath":
        parts = [part for part in str(name).split("/") if part not in ("", ".")]
        if ".." in parts:
            raise RemoteError(f"{self}: no way leads up from a store's folder: {name!s:.200}")
        if not parts:
            return self
        below = self._with("/".join([self.key, *parts]))
        if parts == [self._signed[0]]:
            below.query = self._signed[1]
        return below

    def with_name(self, name: str) -> "RemotePath":
        """Another name in the same folder."""
        return self.parent / name

    def relative_to(self, folder: object) -> PurePosixPath:
        """The way from a folder above."""
        if not isinstance(folder, RemotePath) or folder.scheme != self.scheme:
            raise ValueError(f"{self} does not lie in {folder}")
        return self._pure.relative_to(folder.key)

    def absolute(self) -> "RemotePath":
        """Itself: there is no other spelling."""
        return self

    resolve = expanduser = absolute

    def _with(self, key: str) -> "RemotePath":
        # A signature is for one file, which `parent` and `/` lead back to.
        return RemotePath(self.scheme, key, self.login, fs=self._fs)

    # What is there.

    def exists(self) -> bool:
        """Whether there is a file or folder."""
        return self._entry() is not None

    def is_dir(self) -> bool:
        """Whether there is a folder."""
        entry = self._entry()
        return entry is not None and entry.folder

    def is_file(self) -> bool:
        """Whether there is a file."""
        entry = self._entry()
        return entry is not None and not entry.folder

    def stat(self) -> RemoteStat:
        """Size and version.

        Raises:
          FileNotFoundError, RemoteError: It is not there, or not to be reached.
        """
        entry = stores.look(self)
        mode = S_IFDIR if entry.folder else S_IFREG
        return RemoteStat(mode, entry.size, entry.modified, entry.version)

    lstat = stat

    def _entry(self) -> Entry | None:
        try:
            return stores.look(self)
        except FileNotFoundError:
            return None

    def iterdir(self) -> "Iterator[RemotePath]":
        """What lies in the folder.

        Raises:
          FileNotFoundError, RemoteError: There is no such folder, or it cannot be listed.
        """
        return iter([self / name for name in sorted(stores.entries(self))])

    def glob(self, pattern: str) -> "Iterator[RemotePath]":
        """Matches below this folder, part by part; nothing where there is no folder."""
        found = [self]
        for part in pattern.split("/"):
            found = [x for inner in each(_listed, found) for x in inner if _fits(x.name, part)]
        return iter(found)

    # What stands in it.

    def open(self, mode: str = "rb", buffering: int = -1) -> Any:
        """A file to read bytes from: raw with `buffering=0`."""
        from openloop_cli.storage.files import RemoteFile

        if mode != "rb":
            raise ValueError(f"mode {mode!r}: remote files are opened to be read as bytes")
        file = RemoteFile(self)
        return file if buffering == 0 else io.BufferedReader(file)

    def read_bytes(self) -> bytes:
        """The whole file, of bounded size."""
        size = self.stat().st_size
        if size > MOST_WHOLE:
            raise RemoteError(f"{self}: {size} bytes, too large to be read as a whole")
        return stores.fetch(self, [(0, size)])[0]

    def read_text(self, encoding: str = "utf-8") -> str:
        """The whole file as text."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, data: bytes) -> int:
        """Puts a whole file there, at once."""
        putting.put(self, data)
        return len(data)

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes a file."""
        try:
            putting.remove(self)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: folders of a store are a part of names."""


def each(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Like `map`; where the first item is remote several are on the way at once."""
    items = list(items)
    if len(items) < 2 or not isinstance(items[0], RemotePath):
        return [function(item) for item in items]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(function, items))


def _listed(folder: RemotePath) -> list[RemotePath]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def _fits(name: str, pattern: str) -> bool:
    if not fnmatch.fnmatchcase(name, pattern):
        return False
    return not name.startswith(".") or pattern.startswith(".")


def as_path(path: RemotePath) -> Path:
    """For signatures: functions that say `Path` mean either."""
    return cast(Path, path)
