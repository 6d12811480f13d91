"""--show: six windows in a video, three in a still, and what was asked for in either."""

import numpy as np
import pytest
from PIL import Image

from openloop_cli.errors import OptionError
from openloop_cli.jobs.report import ReportJob, run_job
from tests.synthetic_run import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("shown") / "made_up")


def height(run, folder, **options):
    out = folder / "x.png"
    run_job(ReportJob(run, (run,), out, length=8, num_windows=7, keys=("image",), **options))
    return np.asarray(Image.open(out)).shape[0]


def test_a_still_shows_three_windows_or_as_many_as_asked_for(run, tmp_path):
    heights = {n: height(run, tmp_path, show=n, evaluate=False) for n in (None, 3, 6)}
    assert heights[None] == heights[3] < heights[6]


def test_arrays_show_six(run, tmp_path):
    shapes = {}
    for show in (None, 6, 2):
        out = tmp_path / f"{show}.npz"
        job = ReportJob(run, (run,), out, length=8, num_windows=7, show=show, evaluate=False)
        run_job(job)
        shapes[show] = np.load(out)["grid/image"].shape
    assert shapes[None] == shapes[6] != shapes[2]


def test_nothing_to_show_is_refused(run, tmp_path):
    with pytest.raises(OptionError, match="--show 0"):
        height(run, tmp_path, show=0)
