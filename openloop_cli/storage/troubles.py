"""What the network and its libraries raise -> FileNotFoundError, or a `RemoteError` of one line."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOENT

from openloop_cli.errors import RemoteError

# The roots of what each library raises; looked up only when something was raised, and only in
# libraries that were imported.
_FOREIGN = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("huggingface_hub.errors", "HfHubHTTPError"),
    ("httpx", "HTTPError"),
    ("httpx2", "HTTPError"),
    ("requests", "RequestException"),
    ("fsspec.exceptions", "FSTimeoutError"),
)
_DENIED = re.compile(
    r"\b(401|403|Forbidden|Access ?Denied|Unauthorized|InvalidAccessKeyId"
    r"|SignatureDoesNotMatch|ExpiredToken|does not have [\w.]+ access)\b",
    re.IGNORECASE,
)
_NO_CREDENTIALS = re.compile(
    r"(unable to locate|could not be found|no|default) credentials", re.IGNORECASE
)
_MOST_WORDS = 200


class DeniedError(RemoteError):
    """The store answers, and refuses."""


@contextmanager
def troubles(place: object, credentials: str) -> Iterator[None]:
    """For the calls into a library and nothing else: whatever it raises is about `place`."""
    try:
        yield
    except RemoteError:
        raise
    except FileExistsError:
        raise
    except FileNotFoundError as error:
        if "bucket" in str(error).lower():
            raise RemoteError(f"{place}: there is no such bucket", hint=_SPELLING) from None
        raise FileNotFoundError(ENOENT, "no such file or folder", str(place)) from None
    except _library_errors() as error:
        raise told(place, error, credentials) from None


def told(place: object, error: BaseException, credentials: str) -> RemoteError:
    """One line for what a library raised."""
    words = _words(error)
    if _NO_CREDENTIALS.search(words):
        return RemoteError(f"{place}: no credentials", hint=credentials)
    if isinstance(error, PermissionError) or _DENIED.search(words):
        return DeniedError(f"{place}: permission denied", hint=credentials)
    if isinstance(error, TimeoutError) or "timeout" in type(error).__name__.lower():
        words = "no answer in time"
    return RemoteError(f"{place}: cannot be reached: {words}", hint=_REACH)


def missing_extra(scheme: str, package: str) -> RemoteError:
    """What to install."""
    return RemoteError(
        f"{scheme}://: {package} is not installed", hint="pip install 'openloop[remote]'"
    )


_REACH = "check the address and the network, then try again"
_SPELLING = "check how it is spelled, and under which account"


def _library_errors() -> tuple[type[BaseException], ...]:
    found: list[type[BaseException]] = [OSError, ValueError]
    for module, name in _FOREIGN:
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and issubclass(kind, BaseException):
            found.append(kind)
    return tuple(found)


def _words(error: BaseException) -> str:
    """What happened, on one line, without addresses, which may hold what is secret."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    text = re.sub(r"[a-z]+://[^\s'\"]*", "…", " ".join(str(text).split()))
    text = re.sub(r"[\x00-\x1f\x7f]", "?", text)
    return text[:_MOST_WORDS]
