"""`openloop score` from end to end: a render's own numbers, any model's, several of one truth."""

import json
import re

import numpy as np
import pytest

from openloop_cli.jobs.report import ReportJob, run_job
from tests.conftest import ROOT
from tests.predictions.made import C, arrays, predicted, save, truth
from tests.synthetic_run import make_run

from .command import environment, listing, openloop, process


def score(*args):
    done = openloop("score", *args)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    return done


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A run made up, rendered with all arrays saved."""
    folder = tmp_path_factory.mktemp("rendered")
    run = make_run(folder / "run")
    out, saved = folder / "r.mp4", folder / "r.npz"
    run_job(ReportJob(run, (run,), out, length=8, num_windows=3, save_arrays=saved, page=False))
    return folder


def test_a_saved_rollout_has_the_numbers_of_its_render(rendered, tmp_path):
    score(rendered / "r.npz", "-o", tmp_path / "s.mp4", "--quiet")
    one = json.loads((rendered / "r.metrics.json").read_text())
    other = json.loads((tmp_path / "s.metrics.json").read_text())
    for tree in (one, other):
        for found in tree["observations"].values():
            for paths in (found["context"], found["imagined"]):
                for numbers in paths.values():
                    numbers.pop("log_likelihood", None)  # of the decoder's own distribution
    for part in ("headline", "observations", "frames", "reward"):
        assert other[part] == one[part], part
    assert other["rollout"]["windows"] == one["rollout"]["windows"]
    assert other["rollout"]["truth"] == one["rollout"]["truth"]
    assert other["checkpoint"]["step"] == one["checkpoint"]["step"]
    assert (tmp_path / "s.html").is_file()
    files = [rendered / "r.metrics.json", tmp_path / "s.metrics.json"]
    done = openloop("compare", *files)
    assert done.returncode == 0, done.stderr
    assert "not told apart" in done.stdout
    assert openloop("check", files[1], "--baseline", files[0]).returncode == 0


def test_any_model_needs_no_jax(tmp_path):
    """Nor a checkpoint, nor a replay."""
    save(tmp_path / "a.npz", **arrays())
    without = "import sys; sys.modules['jax'] = None"
    args = ["score", tmp_path / "a.npz", "-o", tmp_path / "out" / "a.mp4", "--step", 7, "--json"]
    done = process(*args, before=without, env=environment())
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["run"], told["step"], told["context"]) == ("a", 7, C)
    assert told["headline"]["image"]["skill"] > 0.5
    files = ["a.html", "a.metrics.json", "a.mp4", "a.windows.npz"]
    assert listing(tmp_path / "out") == files
    assert "None" not in (tmp_path / "out" / "a.html").read_text()


def test_the_example_of_the_documentation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "any-model.md").read_text()
    code = re.findall(r"^```python\n(import numpy as np\n\nwindows.*?)^```", text, re.S | re.M)
    exec(compile(code[0], "any-model.md", "exec"), {})  # our own text, not a stranger's
    score("rollouts.npz", "--out", "video.mp4", "--report", "page.html", "--quiet")
    tree = json.loads((tmp_path / "video.metrics.json").read_text())
    assert tree["headline"]["image"]["imagined"] == tree["headline"]["image"]["persistence"]
    assert (tmp_path / "page.html").is_file()


def test_several_predictions_of_one_truth(tmp_path):
    save(tmp_path / "good.npz", **arrays())
    save(tmp_path / "bad.npz", **arrays(**{"prediction/image": predicted(truth(), 0.2)}))
    names = [tmp_path / "good.npz", tmp_path / "bad.npz"]
    done = score(*names, "-o", tmp_path / "out")
    assert "good is better" in done.stdout or "good sees farther" in done.stdout
    made = {"good.mp4", "good.html", "bad.metrics.json", "comparison.html", "comparison.json"}
    assert made <= set(listing(tmp_path / "out"))
    save(tmp_path / "bad.npz", **arrays(**{"truth/image": truth(seed=9)}))
    done = score(*names, "-o", tmp_path / "other", "--no-report")
    assert "note: no comparison: " in done.stderr


def test_its_windows_are_no_others(tmp_path):
    """The same names do not make the same recordings."""
    ids = np.array([f"abc:{i}" for i in range(4)])
    save(tmp_path / "a.npz", **arrays(windows=ids))
    save(tmp_path / "b.npz", **arrays(windows=ids, **{"truth/image": truth(seed=9)}))
    for name in "ab":
        score(tmp_path / f"{name}.npz", "-o", tmp_path / f"{name}.png", "--quiet", "--no-report")
    done = openloop("compare", tmp_path / "a.metrics.json", tmp_path / "b.metrics.json")
    assert done.returncode == 1
    assert "truth of image" in done.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "expected predictions to score"),
        (["--truth", "gt"], "--truth and --prediction go together"),
        (["a.npz", "--truth", "gt", "--prediction", "p"], "not both"),
        (["a.npz", "b.npz", "--out", "x.mp4"], "2 predictions would all write it"),
        (["a.npz", "b.npz", "--report", "x.html"], "2 predictions would all write it"),
        (["a.npz", "a.npz", "--out", "x"], "the same predictions are named twice"),
        (["a.npz", "--save-arrays", "a.npz"], "this is an input"),
        (["a.npz", "--context", "0"], "--context 0: expected 1"),
    ],
)
def test_wrong_usage(tmp_path, monkeypatch, args, message):
    save(tmp_path / "a.npz", **arrays())
    monkeypatch.chdir(tmp_path)
    done = openloop("score", *args)
    assert done.returncode == 2
    assert message in done.stderr
    assert listing(tmp_path) == ["a.npz"]
