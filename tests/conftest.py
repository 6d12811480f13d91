"""What several tests stand on: the genuine runs, where they are."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Genuine run folders and what the reference computed on them, beside the checkout."""
    folder = ROOT.parent / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip("the genuine runs and golden results are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def sample_run() -> Path:
    """The run that the repository brings along."""
    return ROOT / "sample_data" / "dmc_cheetah_run"
