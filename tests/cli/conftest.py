"""The sample's checkpoints, measured once for all tests of commands."""

import json
from pathlib import Path

import pytest

from tests.conftest import made_once

LATER, EARLIER = "20261120T140338F302381", "20261120T130245F687877"


@pytest.fixture(scope="session")
def sample_comparison(sample_run, tmp_path_factory):
    """Both checkpoints compared: the folder that `compare --out` and `--video` filled."""
    if not sample_run.is_dir():
        pytest.skip("the sample run is not in this checkout")
    return made_once(tmp_path_factory, "comparison", lambda out: _compare(sample_run, out))


def _compare(sample_run: Path, out: Path) -> None:
    from openloop_cli.jobs.comparison import ComparisonJob, run_comparison
    from openloop_cli.jobs.report import ReportJob

    sources = tuple(sample_run / "ckpt" / name for name in (LATER, EARLIER))
    settings = ReportJob(sources[0], (sample_run,), Path("x.npz"), length=32, show=2)
    job = ComparisonJob(
        sources, settings, out=out / "files", video=out / "side.mp4", page=out / "page.html"
    )
    stages = []
    run_comparison(job, lambda stage, done: stages.append((stage, done)))
    (out / "stages.json").write_text(json.dumps(stages))


@pytest.fixture(scope="session")
def sample_metrics(sample_comparison):
    """metrics.json of the later and the earlier checkpoint."""
    return {
        name: next((sample_comparison / "files").glob(f"{number}-*.metrics.json"))
        for number, name in ((1, "later"), (2, "earlier"))
    }
