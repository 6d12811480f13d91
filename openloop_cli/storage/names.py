"""What a user wrote -> a place. Nothing is opened or imported for it."""

import os
import re
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from openloop_cli.errors import RemoteError
from openloop_cli.storage.paths import RemotePath
from openloop_cli.storage.stores import SCHEMES
from openloop_cli.storage.troubles import DeniedError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# pathlib folds the two slashes into one, and no name of a local folder ends in a colon.
_FOLDED = re.compile(rf"({'|'.join((*SCHEMES, 'file'))}):/[^/]")
_CHAIN = re.compile(r"[A-Za-z0-9+.:-]+://")


def place(text: "str | os.PathLike[str] | RemotePath") -> Path:
    """The place that a name means: local, `file://`, or of one of `SCHEMES`.

    A `UPath` keeps its own file system, and so its credentials and options.

    Raises:
      RemoteError: A scheme that is none of ours, or an address that is none.
    """
    if isinstance(text, RemotePath):
        return cast(Path, text)
    if hasattr(text, "fs") and hasattr(text, "storage_options"):
        return _of_upath(text)
    name = os.fspath(text)
    if isinstance(text, Path):
        if _FOLDED.match(name) and not text.exists():
            raise RemoteError(
                f"{name}: pathlib.Path folds the slashes of an address",
                hint="pass the address as text",
            )
        return text
    scheme = _SCHEME.match(name)
    if scheme is None:
        if _CHAIN.match(name):
            raise RemoteError(
                f"{_shown(name)}: chained protocols are not opened", hint=f"pass {_KNOWN}"
            )
        return Path(name)
    if scheme[1].lower() == "file":
        return _of_file_url(name)
    return cast(Path, _parse(scheme[1].lower(), name[scheme.end() :], name))


def remote(path: object) -> RemotePath | None:
    """The place as a remote one, None where it is on this machine."""
    return path if isinstance(path, RemotePath) else None


def may_read(path: Path) -> bool:
    """Whether there is a file that could as well be missing.

    In a store that hides what is not there, and with an address that is signed for one file, a
    refusal says no more than that.
    """
    try:
        return path.is_file()
    except DeniedError:
        return False


def within(folder: Path, name: str) -> Path:
    """A place below a folder, by a name that a file says, which may lead nowhere else.

    Raises:
      RemoteError: The folder is remote and the name leads out of it.
    """
    if remote(folder) is None:
        return place(name) if _SCHEME.match(name) else folder / name
    if _CHAIN.match(name) or name.startswith("/") or ".." in name.split("/"):
        raise RemoteError(
            f"{folder}: names another place, {_shown(name)!r}",
            hint="what is read from the network may only name what lies in its own folder",
        )
    return folder / name


_KNOWN = ", ".join(f"{scheme}://" for scheme in SCHEMES)


def _parse(scheme: str, rest: str, name: str) -> RemotePath:
    if scheme not in SCHEMES:
        raise RemoteError(
            f"{_shown(name)}: no known kind of place", hint=f"a local path, or {_KNOWN}"
        )
    if any(ord(c) < 32 or ord(c) == 127 for c in rest):
        raise RemoteError(f"{_shown(name)}: an address holds no control characters")
    login = query = ""
    if scheme in ("http", "https"):
        rest = rest.partition("#")[0]
        rest, _, query = rest.partition("?")
        host, slash, path = rest.partition("/")
        login, _, host = host.rpartition("@")
        rest = host + slash + path
    elif "@" in rest.partition("/")[0]:
        raise RemoteError(
            f"{scheme}://…@{_shown(rest.partition('/')[0].rpartition('@')[2])}: credentials in an"
            " address are not taken",
            hint=SCHEMES[scheme].credentials,
        )
    parts = [part for part in rest.split("/") if part]
    if not parts or any(part in (".", "..") for part in parts):
        raise RemoteError(
            f"{_shown(scheme + '://' + rest)}: expected {scheme}://{SCHEMES[scheme].form}"
        )
    return RemotePath(scheme, "/".join(parts), login=login, query=query)


def _of_file_url(name: str) -> Path:
    url = urlsplit(name)
    if url.netloc not in ("", "localhost"):
        raise RemoteError(f"{_shown(name)}: another machine's file", hint="file:///path")
    return Path(unquote(url.path))


def _of_upath(path: Any) -> Path:
    protocol = path.fs.protocol if isinstance(path.fs.protocol, str) else path.fs.protocol[0]
    if protocol in ("file", "local"):
        return Path(path.path)
    found = _parse({"gcs": "gs", "s3a": "s3"}.get(protocol, protocol), *_spelled(path, protocol))
    return cast(Path, RemotePath(found.scheme, found.key, found.login, found.query, fs=path.fs))


def _spelled(path: Any, protocol: str) -> tuple[str, str]:
    rest = _SCHEME.sub("", str(path.path)).lstrip("/")
    return rest, f"{protocol}://{rest}"


def _shown(text: str) -> str:
    """An address for a message, without what may be secret in it."""
    text = re.sub(r"//[^/@]*@", "//…@", text)
    return re.sub(r"[\x00-\x1f\x7f]", "?", text.partition("?")[0])[:200]
