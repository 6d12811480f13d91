"""A writer of made-up replays, and a list of the files that were opened."""

from pathlib import Path

import pytest

from .synthetic import Writer


@pytest.fixture
def writer(tmp_path) -> Writer:
    return Writer(tmp_path / "replay")


@pytest.fixture
def opened(monkeypatch) -> list[Path]:
    """The files that are opened for reading bytes, in order."""
    seen: list[Path] = []
    genuine = Path.open

    def spy(self, mode="r", *args, **kwargs):
        if mode == "rb":
            seen.append(self)
        return genuine(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", spy)
    return seen
