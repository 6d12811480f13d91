"""What a store is asked: what is there, and ranges of bytes. `putting` is the other way.

All requests of this package go through the two, and all that fsspec and the stores' own libraries
raise becomes a FileNotFoundError or a `RemoteError` of one line.

One look at a folder asks many questions (is it there, is this in it, how long is that), so what a
listing said holds for `_FRESH` seconds, but for what we change ourselves. fsspec's own cache is
off: it never forgets, and a trainer writes on.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from errno import ENOENT, ENOTDIR
from typing import TYPE_CHECKING, Any

from openloop_cli.errors import RemoteError
from openloop_cli.storage.troubles import missing_extra, troubles

if TYPE_CHECKING:
    from openloop_cli.storage.paths import RemotePath

_FRESH = 2.0
# A range is fetched in parts of this size, some at once: one stream is slower than the line.
PART, AT_ONCE = 4 << 20, 16


_S3_LIMITS = {
    "connect_timeout": 10,
    "read_timeout": 30,
    "retries": {"mode": "standard", "total_max_attempts": 3},
}


@dataclass(frozen=True)
class Scheme:
    """A kind of store: fsspec's name, what must be installed, how it is written, what it wants."""

    protocol: str
    package: str
    form: str
    credentials: str


SCHEMES = {
    "s3": Scheme(
        "s3",
        "s3fs",
        "bucket/folder",
        "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY;"
        " for a public bucket FSSPEC_S3_ANON=true",
    ),
    "gs": Scheme(
        "gcs",
        "gcsfs",
        "bucket/folder",
        "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS;"
        " for a public bucket FSSPEC_GCS_TOKEN=anon",
    ),
    "hf": Scheme(
        "hf",
        "huggingface_hub",
        "datasets/owner/name/folder",
        "run `hf auth login`, or set HF_TOKEN",
    ),
    "http": Scheme("http", "aiohttp", "host/folder", "http://user:password@host/ logs in"),
    "https": Scheme("https", "aiohttp", "host/folder", "https://user:password@host/ logs in"),
    "memory": Scheme("memory", "fsspec", "folder", ""),
}


@dataclass(frozen=True)
class Entry:
    """A file or folder; `version` changes with the contents, where the store tells one."""

    folder: bool
    size: int = 0
    version: str = ""
    modified: float = 0


_listings: dict[tuple[Any, str], tuple[float, dict[str, Entry]]] = {}
_answers: dict[tuple[Any, str], tuple[float, Entry | None]] = {}
_folders: dict[tuple[Any, str], float] = {}
_lock = threading.Lock()


def filesystem(scheme: str) -> Any:
    """fsspec's file system for a scheme; the same one each time.

    Raises:
      RemoteError: fsspec or what it needs for this scheme is not installed.
    """
    kind = SCHEMES[scheme]
    # Where nobody listens Python prints what libraries log, with tracebacks; one line is ours.
    if not logging.getLogger(kind.package).handlers:
        logging.getLogger(kind.package).addHandler(logging.NullHandler())
    options: dict[str, Any] = {}
    if scheme in ("s3", "gs"):
        options["use_listings_cache"] = False
    try:
        import fsspec

        if scheme == "s3":
            # Its own ten attempts take half a minute where nobody is there. What the user has
            # set in fsspec's configuration goes before.
            own = fsspec.config.conf.get("s3", {}).get("config_kwargs", {})
            options["config_kwargs"] = _S3_LIMITS | (own if isinstance(own, dict) else {})

        if scheme in ("http", "https"):
            from openloop_cli.storage.web import client_options

            options["client_kwargs"] = client_options()
        with troubles(f"{scheme}://", kind.credentials):
            found = fsspec.filesystem(kind.protocol, **options)
    except ImportError as error:
        raise missing_extra(scheme, kind.package) from error
    if scheme == "s3":
        found.retries = 2  # each of what botocore makes of one
    return found


def look(path: "RemotePath") -> Entry:
    """What is at a path, as its folder's listing said where that is fresh.

    Raises:
      FileNotFoundError, RemoteError: Nothing is there, or the store does not answer.
    """
    parent = path.parent
    if path.is_top:
        return Entry(folder=True)  # a bucket: whether it is there shows when it is listed
    if not path.lists:
        return _asked(path)
    if _listing(path) is not None:
        return Entry(folder=True)
    if _listing(parent) is not None or _known_folder(parent):
        found = entries(parent).get(path.name)
        if found is None:
            raise _gone(path)
        return found
    return _asked(path)


def fresh(path: "RemotePath") -> Entry:
    """The same, asked of the store itself."""
    if not path.lists:
        from openloop_cli.storage import web

        return web.look(path)
    with troubles(path, SCHEMES[path.scheme].credentials):
        fs = path.fs
        if path.scheme == "hf":
            # It asks only where it has forgotten: its own `refresh` leaves out the version.
            fs.invalidate_cache(path.key)
        found = _entry(fs.info(path.key))
    if found.folder and path.scheme != "memory":
        with _lock:
            _folders[_key(path)] = time.monotonic()
    return found


def entries(path: "RemotePath") -> dict[str, Entry]:
    """All that lies in a folder, by name.

    Raises:
      FileNotFoundError, RemoteError: It is not there, or cannot be listed.
    """
    if not path.lists:
        raise RemoteError(
            f"{path}: a folder on the web cannot be listed",
            hint="name a checkpoint's folder or agent.pkl, and each chunk of the replay",
        )
    known = _listing(path)
    if known is not None:
        return known
    with troubles(path, SCHEMES[path.scheme].credentials):
        fs = path.fs
        more = {} if path.scheme == "memory" else {"refresh": True}
        listed = fs.ls(path.key, detail=True, **more)
    own = path.key.strip("/")
    found = {}
    for item in listed:
        name = str(item["name"]).strip("/")
        if name == own and item["type"] != "directory":
            raise NotADirectoryError(ENOTDIR, "not a folder", str(path))
        # A marker for the folder itself, or what is no name below it, is passed over.
        name = name.rpartition("/")[2]
        if name and name not in (".", "..") and str(item["name"]).strip("/") != own:
            found[name] = _entry(item)
    _remember(path, found)
    return found


def fetch(path: "RemotePath", ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """The bytes from each start up to each stop, in few requests at once.

    Raises:
      FileNotFoundError, RemoteError: Of other lengths than asked for, or no answer.
    """
    parts = [
        (at, min(at + PART, stop)) for start, stop in ranges for at in range(start, stop, PART)
    ]
    pieces = iter(_fetch_parts(path, parts) if parts else [])
    found = []
    for start, stop in ranges:
        count = len(range(start, stop, PART))
        own = [next(pieces) for _ in range(count)]
        found.append(own[0] if count == 1 else b"".join(own))
    return found


def _fetch_parts(path: "RemotePath", parts: Sequence[tuple[int, int]]) -> list[bytes]:
    if not path.lists:
        from openloop_cli.storage import web

        return web.fetch(path, parts)
    starts, stops = [start for start, _ in parts], [stop for _, stop in parts]
    with troubles(path, SCHEMES[path.scheme].credentials):
        fs = path.fs
        if getattr(fs, "async_impl", False):
            keys = [path.key] * len(parts)
            pieces = fs.cat_ranges(keys, starts, stops, batch_size=AT_ONCE, on_error="raise")
        else:
            pieces = _in_threads(fs, path, parts)
    for piece, (start, stop) in zip(pieces, parts, strict=True):
        if len(piece) != stop - start:
            raise RemoteError(
                f"{path}: {stop - start} bytes asked for at {start}, {len(piece)} came",
                hint="the file changed while it was being read, or the store is out of order",
            )
    return [bytes(piece) for piece in pieces]


def _in_threads(fs: Any, path: "RemotePath", parts: Sequence[tuple[int, int]]) -> list[bytes]:
    """For stores whose file systems do one thing at a time."""
    from concurrent.futures import ThreadPoolExecutor

    # Else a part is fetched with as much again for what may be read next.
    options = {"cache_type": "none"} if path.scheme == "hf" else {}

    def cat(part: tuple[int, int]) -> bytes:
        return bytes(fs.cat_file(path.key, start=part[0], end=part[1], **options))

    if path.scheme == "memory" or len(parts) == 1:
        return [cat(part) for part in parts]
    with ThreadPoolExecutor(min(AT_ONCE, len(parts))) as pool:
        return list(pool.map(cat, parts))


def forget(path: "RemotePath") -> None:
    """Lets the next look at a path and its folders ask anew."""
    with _lock:
        for folder in (path, *path.parents):
            _listings.pop(_key(folder), None)
            _answers.pop(_key(folder), None)


def _entry(item: dict[str, Any]) -> Entry:
    if item["type"] == "directory":
        return Entry(folder=True)
    version = ""
    for name in ("ETag", "etag", "blob_id", "md5Hash", "mtime", "created"):
        if item.get(name):
            version = str(item[name]).strip('"')
            break
    modified = item.get("LastModified") or item.get("updated") or item.get("mtime") or 0
    stamp = getattr(modified, "timestamp", None)
    return Entry(False, int(item["size"] or 0), version, float(stamp()) if stamp else 0.0)


def _asked(path: "RemotePath") -> Entry:
    """The store's own answer, or the one that it gave a moment ago."""
    with _lock:
        when, known = _answers.get(_key(path), (-_FRESH, None))
    if time.monotonic() - when >= _FRESH:
        try:
            known = fresh(path)
        except FileNotFoundError:
            known = None
        if path.scheme != "memory":
            with _lock:
                _drop_old(time.monotonic())
                _answers[_key(path)] = (time.monotonic(), known)
    if known is None:
        raise _gone(path)
    return known


def _gone(path: "RemotePath") -> FileNotFoundError:
    return FileNotFoundError(ENOENT, "no such file or folder", str(path))


def _key(path: "RemotePath") -> tuple[Any, str]:
    return (path.scheme, id(path._fs)), path.key


def _listing(path: "RemotePath") -> dict[str, Entry] | None:
    with _lock:
        when, found = _listings.get(_key(path), (-_FRESH, {}))
        return found if time.monotonic() - when < _FRESH else None


def _known_folder(path: "RemotePath") -> bool:
    """Whether it was a folder a moment ago, so that listing it answers more than one question."""
    with _lock:
        return time.monotonic() - _folders.get(_key(path), -_FRESH) < _FRESH


def _remember(path: "RemotePath", found: dict[str, Entry]) -> None:
    if path.scheme == "memory":
        return
    now = time.monotonic()
    with _lock:
        _drop_old(now)
        _listings[_key(path)] = (now, found)
        for name, entry in found.items():
            if entry.folder:
                _folders[_key(path / name)] = now


def _drop_old(now: float) -> None:
    for known in (_listings, _answers):
        for key in [key for key, (when, _) in known.items() if now - when >= _FRESH]:
            del known[key]
    for key in [key for key, when in _folders.items() if now - when >= _FRESH]:
        del _folders[key]
