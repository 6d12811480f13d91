"""A listener for everything that a hostile pickle would want to do."""

import sys

import pytest

# An audit hook cannot be taken off again, so there is one, which listens when asked to.
_FORBIDDEN = {"import", "exec", "compile", "pickle.find_class", "os.system", "os.exec", "os.fork"}
_heard: list[str] | None = None


def _listen(event: str, args: tuple) -> None:
    if _heard is not None and event in _FORBIDDEN:
        _heard.append(f"{event} {args}")


sys.addaudithook(_listen)


@pytest.fixture
def watched():
    """Everything that ran, was compiled, imported or looked up by name."""
    global _heard
    _heard = []
    yield _heard
    _heard = None
