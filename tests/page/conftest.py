"""Pages to test: of a run made up, of the sample, and of a run without images."""

import dataclasses

import pytest

from openloop_cli.jobs.report import ReportJob, measure_job, run_job
from openloop_cli.page import PageEntry, page_html
from openloop_cli.page.of_report import report_media
from tests.synthetic_run import make_run


@dataclasses.dataclass(frozen=True)
class Made:
    """A report, its metrics tree and its media; `html` is its page."""

    report: object
    tree: dict
    media: object

    @property
    def html(self) -> str:
        return page_html([PageEntry(self.tree)], media=self.media)


def made(checkpoint, replay, folder, **options) -> Made:
    job = ReportJob(checkpoint, (replay,), folder / "unwritten.npz", **options)
    report, tree = measure_job(job)
    return Made(report, tree, report_media(report))


@pytest.fixture(scope="session")
def made_up_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("made_up") / "run")


@pytest.fixture(scope="session")
def small(made_up_run, tmp_path_factory) -> Made:
    """Images, vectors and classes; 8 windows of 8 steps; untrained."""
    folder = tmp_path_factory.mktemp("small")
    return made(made_up_run, made_up_run, folder, num_windows=8, samples=2, allow_resets=True)


@pytest.fixture(scope="session")
def alone(made_up_run, tmp_path_factory) -> Made:
    """A single window: no intervals, no other context."""
    folder = tmp_path_factory.mktemp("alone")
    return made(made_up_run, made_up_run, folder, num_windows=1, allow_resets=True)


@pytest.fixture(scope="session")
def sample_page(sample_run, tmp_path_factory):
    """The page of the sample as the command writes it, and its job's result."""
    if not sample_run.is_dir():
        pytest.skip("the sample run is not in this checkout")
    folder = tmp_path_factory.mktemp("sample")
    page = folder / "page.html"
    job = ReportJob(sample_run, (sample_run,), folder / "strip.png", length=50, report=page)
    return page, run_job(job)
