"""http and https, for reading: one range to a request, and never more bytes than asked for.

fsspec's own reader takes whatever a server sends. Here a server that sends everything where a
range was asked for is refused, unless the whole is small; what a server says of a file must stay
the same from answer to answer; and what it sends too much is not read.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from errno import ENOENT
from typing import TYPE_CHECKING, Any, TypeVar

from openloop_cli.errors import RemoteError
from openloop_cli.storage.troubles import troubles
from openloop_cli.text import clean

if TYPE_CHECKING:
    from openloop_cli.storage.paths import RemotePath
    from openloop_cli.storage.stores import Entry

T = TypeVar("T")
# Files up to here are read as a whole from servers that send nothing less.
MOST_WHOLE = 8 << 20
_CONNECT, _SILENCE, _SLOWEST = 15.0, 30.0, 20_000
_AT_ONCE = 8
_HOPS = 5
# Endings of files. Any other name on the web is taken for a folder's, without asking.
_FILES = frozenset([".pkl", ".npz", ".yaml", ".yml", ".json", ".csv", ".md", ".html"])
_MARKS = ("done", "latest")


def client_options() -> dict[str, Any]:
    """For aiohttp's session."""
    import aiohttp

    limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_SILENCE)
    return {"trust_env": True, "timeout": limits}


def look(path: "RemotePath") -> "Entry":
    """Size and version, from the answer to a request for one byte: not every server, and no
    signed address, answers HEAD."""
    from openloop_cli.storage.stores import Entry

    if path.suffix not in _FILES and path.name not in _MARKS:
        return Entry(folder=True)

    async def ask(session: Any) -> Entry:
        async with _answer(session, path, 0, 1) as answer:
            return _told(path, answer)

    return _run(path, ask)


def fetch(path: "RemotePath", parts: Sequence[tuple[int, int]]) -> list[bytes]:
    """The parts, several at once, all of the same state of the file."""

    async def ask(session: Any) -> list[bytes]:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(start: int, stop: int) -> tuple[str, bytes]:
            async with slots:
                return await _part(session, path, start, stop)

        return _same_state(path, await asyncio.gather(*(one(*part) for part in parts)))

    return _run(path, ask)


def _same_state(path: "RemotePath", found: Sequence[tuple[str, bytes]]) -> list[bytes]:
    if len({version for version, _ in found}) > 1:
        raise RemoteError(
            f"{path}: changed while it was being read", hint="read it again when it is whole"
        )
    return [data for _, data in found]


def _run(path: "RemotePath", ask: Callable[[Any], Awaitable[T]]) -> T:
    fs = path.fs
    from fsspec.asyn import sync

    async def asked() -> T:
        return await ask(await fs.set_session())

    with troubles(path, "the address may want a login, or its signature has run out"):
        found: T = sync(fs.loop, asked)
        return found


async def _part(session: Any, path: "RemotePath", start: int, stop: int) -> tuple[str, bytes]:
    async with _answer(session, path, start, stop) as answer:
        version = _told(path, answer).version
        if answer.status == 206:
            begin, last, _ = _content_range(path, answer)
            if begin != start or last >= stop:
                raise _broken(path, f"sends bytes {begin} to {last}, not {start} to {stop - 1}")
            return version, await _read(path, answer, stop - start)
        whole = await _read(path, answer, _told(path, answer).size)
        if len(whole) < stop:
            raise _broken(path, f"sends {len(whole)} bytes, expected {stop}")
        return version, whole[start:stop]


async def _read(path: "RemotePath", answer: Any, count: int) -> bytes:
    """Exactly `count` bytes; what comes after them is left unread."""
    if answer.status == 200 and count > MOST_WHOLE:
        raise RemoteError(
            f"{path}: the server sends only whole files, and this one has {count} bytes",
            hint="download it, or use a server that answers range requests",
        )
    data = bytearray()
    while len(data) < count:
        piece = await answer.content.read(min(count - len(data), 1 << 20))
        if not piece:
            raise _broken(path, f"ends early, {count - len(data)} bytes are missing")
        data += piece
    return bytes(data)


@asynccontextmanager
async def _answer(session: Any, path: "RemotePath", start: int, stop: int) -> AsyncIterator[Any]:
    headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    most = _CONNECT + _SILENCE + (stop - start) / _SLOWEST
    async with asyncio.timeout(most):
        async with _followed(session, path, headers) as answer:
            if answer.status in (404, 410):
                raise FileNotFoundError(ENOENT, "no such file", str(path))
            if answer.status in (401, 403):
                raise PermissionError
            if answer.status not in (200, 206, 416):
                raise _broken(path, f"answers with status {answer.status}")
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise _broken(path, "sends the file packed, though it was asked not to")
            yield answer


@asynccontextmanager
async def _followed(
    session: Any, path: "RemotePath", headers: dict[str, str]
) -> AsyncIterator[Any]:
    """The answer at the end of at most `_HOPS` redirects.

    Downloads are often handed on to another host, so that is followed, but only to https, and
    without the login or the signature that the address was named with. A redirect within the host
    keeps them.
    """
    from yarl import URL

    url = first = URL(path.url)
    for _ in range(_HOPS + 1):
        async with session.get(url, headers=headers, allow_redirects=False) as answer:
            target = answer.headers.get("Location")
            if answer.status not in (301, 302, 303, 307, 308) or not target:
                yield answer
                return
        url = _next_url(path, first, url, target)
    raise _broken(path, f"redirects more than {_HOPS} times")


def _next_url(path: "RemotePath", first: Any, url: Any, target: str) -> Any:
    """Where a redirect leads, checked."""
    from yarl import URL

    try:
        found = url.join(URL(target))
        same = (found.host, found.port) == (first.host, first.port)
    except ValueError:
        raise _broken(path, "redirects to an address that is none") from None
    if same and found.scheme == first.scheme:
        return found.with_user(first.user).with_password(first.password)
    if found.scheme != "https":
        where = clean(f"{found.scheme}://{found.host or ''}", 80)
        raise RemoteError(
            f"{path}: the server redirects to {where}, which is not followed",
            hint="give that address itself, if you trust it",
        )
    return found.with_user(None)


def _told(path: "RemotePath", answer: Any) -> "Entry":
    """What an answer says of the whole file."""
    from openloop_cli.storage.stores import Entry

    version = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    if answer.status == 206:
        return Entry(False, _content_range(path, answer)[2], version)
    if answer.status == 416:
        if answer.headers.get("Content-Range", "").strip() in ("bytes */0", ""):
            return Entry(False, 0, version)
        raise _broken(path, "has fewer bytes than it said")
    length = answer.headers.get("Content-Length", "")
    if not (length.isascii() and length.isdecimal() and len(length) < 19):
        raise _broken(path, "does not say how long the file is")
    return Entry(False, int(length), version)


def _content_range(path: "RemotePath", answer: Any) -> tuple[int, int, int]:
    """First and last byte, and the size of the whole."""
    text = answer.headers.get("Content-Range", "")
    numbers = text.removeprefix("bytes ").replace("/", "-").split("-")
    if len(numbers) != 3 or not all(x.isascii() and x.isdecimal() and len(x) < 19 for x in numbers):
        raise _broken(path, "sends a range without saying which of how many bytes")
    begin, last, size = (int(x) for x in numbers)
    if not begin <= last < size:
        raise _broken(path, f"sends an impossible range, {text[:60]!r}")
    return begin, last, size


def _broken(path: "RemotePath", words: str) -> RemoteError:
    return RemoteError(f"{path}: the server {words}", hint="try again, or download it")
