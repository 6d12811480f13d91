"""How long windows are, and how many, where nobody says."""

from dataclasses import replace

import pytest

from openloop_cli.errors import OptionError
from openloop_cli.jobs.loading import ReportJob, far_enough, open_job
from openloop_cli.jobs.report import _sure
from openloop_cli.jobs.selection import Selection


@pytest.fixture(scope="module")
def opened(sample_run):
    return open_job(ReportJob(sample_run))


def test_windows_are_as_long_as_the_replay_holds_enough_apart(opened):
    job, run = opened
    assert run.config.report_length == 32
    # 1,210 steps: 16 windows of 49 lie apart, of 65 they do not.
    for count, length in ((8, 64), (16, 48), (64, None)):
        assert far_enough(replace(job, num_windows=count), run).length == length


def test_what_is_said_is_done(opened):
    job, run = opened
    assert far_enough(replace(job, length=20), run).length == 20
    assert far_enough(replace(job, windows=("a:1",)), run).length is None
    assert far_enough(replace(job, context=40, num_windows=8), run).length == 64


def test_more_windows_are_measured_until_all_horizons_are_sure():
    def tree(*ends):
        horizons = [{"low": low, "high": high, "of": 25} for low, high in ends]
        return {"headline": {str(i): {"useful_horizon": x} for i, x in enumerate(horizons)}}

    assert _sure(tree((20, 25), (25, 25)))
    assert not _sure(tree((19, 25), (25, 25)))
    assert _sure(tree((None, None)))  # more windows of a still scene would tell no more
    assert _sure({"headline": {"x": {}}})


def test_a_batch_wants_a_number(sample_run, tmp_path):
    with pytest.raises(OptionError, match="--num-windows auto"):
        Selection(tmp_path).open(ReportJob(sample_run, grow=True))
