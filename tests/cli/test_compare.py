"""`openloop compare`: both kinds of sources, its files, refusals."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from openloop_cli.compare.compare import compare
from openloop_cli.errors import OpenloopError
from openloop_cli.jobs.comparison import (
    ComparisonJob,
    Pictures,
    labelled,
    run_comparison,
    write_video,
)
from openloop_cli.jobs.report import ReportJob
from openloop_cli.results.entries import Entry
from openloop_cli.results.metrics_file import read_metrics, write_metrics
from tests.trees import errors, tree_of
from tests.videos import decoded


def openloop(*args):
    code = "from openloop_cli.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def pair(tmp_path):
    """Metrics of two checkpoints, the second worse."""
    paths = tmp_path / "a.json", tmp_path / "b.json"
    for path, step, scale in zip(paths, (2000, 1000), (1, 1.5), strict=True):
        paths_of = errors()
        tree = tree_of({"image": paths_of | {"model": paths_of["model"] * scale}})
        tree["checkpoint"]["step"] = step
        write_metrics(path, tree)
    return paths


def test_the_table(pair):
    done = openloop("compare", *pair)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert done.stdout.splitlines()[0].startswith("step 2,000 is better: image, skill ")
    del lines[:2]
    assert lines[0] == ["image", "PSNR", "in", "dB,", "higher", "is", "better"]
    assert lines[1] == ["useful", "horizon", "skill", "+1", "+5", "+8"]
    assert lines[2][:4] == ["step", "2,000", "≥", "8"]
    assert lines[3].count("▼") == 4
    assert "▼" not in lines[2]
    assert "paired bootstrap" in done.stdout
    turned = openloop("compare", *pair, "--against", pair[1]).stdout
    told = [x for x in done.stdout.splitlines() if "image skill" in x][-1].split()
    assert told[:4] == ["step", "1,000", "image", "skill"]
    change, low, high = (float(told[i]) for i in (4, 5, 7))
    assert low < change < high < 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert turned.count("▲") == 5
    assert turned.count("▼") == 1


def test_json_on_stdout_is_what_the_file_holds(pair, tmp_path):
    done = openloop("compare", *pair, "--json", "--out", tmp_path / "c.json")
    assert json.loads(done.stdout) == json.loads((tmp_path / "c.json").read_text())
    assert openloop("compare", *pair, "-q", "--out", tmp_path / "c.md").stdout == ""
    assert (tmp_path / "c.md").read_text().startswith("### step 2,000 is better: image, skill ")


def test_other_seeds_are_refused_in_one_line(pair):
    tree = json.loads(pair[1].read_text())
    tree["rollout"]["seed"] = 5
    pair[1].write_text(json.dumps(tree))
    done = openloop("compare", *pair)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == f"error: {pair[1]} and {pair[0]} differ in seed (0 and 5)"
    allowed = openloop("compare", *pair, "--allow-different")
    assert allowed.returncode == 0
    assert "note: " in allowed.stderr


def test_wrong_usage(pair, tmp_path):
    assert openloop("compare").returncode == 2
    assert openloop("compare", *pair, "--against", tmp_path / "c.json").returncode == 2


def job(*sources, **options):
    replay = options.pop("replay", ())
    settings = ReportJob(sources[0], replay)
    return ComparisonJob(tuple(sources), settings, **options)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda a, b, d: job(a), "expected two or more"),
        (lambda a, b, d: job(a, a), "twice"),
        (lambda a, b, d: job(a, d), "no folder above it has a replay"),
        (lambda a, b, d: job(a, b, video=d / "v.mp4"), "no pictures"),
        (lambda a, b, d: job(a, b, video=d / "v.avi"), "--video .*v.avi: unsupported extension"),
        (lambda a, b, d: job(a, b, out=d / "c.txt"), "--out .*c.txt: unsupported extension"),
        (lambda a, b, d: job(a, b, page=d / "c.txt"), "--report .*c.txt: unsupported extension"),
        (lambda a, b, d: job(a, d / "no.json"), "cannot be read"),
        (lambda a, b, d: job(a, d / "no", replay=(d,)), "no"),
    ],
)
def test_refusals(pair, tmp_path, make, told):
    with pytest.raises(OpenloopError, match=told) as error:
        run_comparison(make(*pair, tmp_path))
    assert "\n" not in str(error.value)


def test_the_sample_says_which_is_worse(sample_comparison):
    tree = json.loads((sample_comparison / "files" / "comparison.json").read_text())
    assert [x["step"] for x in tree["checkpoints"]] == [3670, 1190]
    verdicts = {(row["key"], row["number"]): row["cells"][1]["verdict"] for row in tree["table"]}
    # Its 16 windows are of three episodes, of which one differs: not all is told apart.
    assert verdicts["velocity", "+15"] == verdicts["reward", "imagined"] == "worse"
    assert "better" not in verdicts.values()
    assert [x["verdict"] for x in tree["checkpoints"]] == ["same", "same"]  # by the image
    assert tree["curves"]["by_step"]["image"]["steps"] == [1190, 3670]
    assert (sample_comparison / "files" / "comparison.md").is_file()


def test_both_were_rolled_out_alike(sample_metrics):
    later, earlier = (
        read_metrics(sample_metrics[name], windows=True) for name in ("later", "earlier")
    )
    for name in ("windows", "length", "context", "seed", "latents"):
        assert later["rollout"][name] == earlier["rollout"][name], name
    assert later["checkpoint"]["sha256"] != earlier["checkpoint"]["sha256"]
    # Climatology is the windows' own: the same recordings were measured.
    both = [tree["observations"]["image"]["per_window"]["climatology"] for tree in (later, earlier)]
    np.testing.assert_array_equal(*both)


def test_metrics_of_a_comparison_can_be_compared(sample_metrics, sample_comparison):
    done = openloop("compare", sample_metrics["later"], sample_metrics["earlier"], "--json")
    tree = json.loads((sample_comparison / "files" / "comparison.json").read_text())
    assert json.loads(done.stdout)["table"] == tree["table"]


def test_progress_grows(sample_comparison):
    stages = json.loads((sample_comparison / "stages.json").read_text())
    shares = [done for _, done in stages]
    assert shares == sorted(shares)
    assert stages[-1] == ["done", 1.0]
    assert any(stage.startswith("2/2 ") for stage, _ in stages)


def test_the_video_of_the_sample(sample_comparison):
    _, frames = decoded(sample_comparison / "side.mp4")
    steps, height, width, _ = frames.shape
    assert steps == 32
    # Truth and two checkpoints, two windows, tiles of 128 pixels.
    assert height > 3 * 128
    assert width > 2 * 128


def test_the_video_has_truth_on_top_and_a_row_for_each(pair, tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (3, 2, 3, 8, 8, 3), dtype=np.uint8)
    entries = [Entry("", read_metrics(path, windows=True), str(path)) for path in pair]
    pictures = Pictures(1, {"im": rows[0]})
    pictures.predictions.update({pair[0]: {"im": rows[1]}, pair[1]: {"im": rows[2]}})
    found = compare(labelled(entries))
    video = tmp_path / "v.apng"
    assert write_video(job(*pair), video, found, pictures) == {"video/im": video}
    with Image.open(video) as image:
        assert image.n_frames == 3
        for step in range(3):
            image.seek(step)
            frame = np.array(image.convert("RGB"))
            for window in range(2):
                places = [place_of(frame, row[window, step]) for row in rows]
                assert places == sorted(places)
                assert len({x for _, x in places}) == 1


def place_of(frame, picture):
    """Where a picture stands in a frame, 16 pixels for each of its own: (y, x)."""
    tile = picture.repeat(16, 0).repeat(16, 1)
    for y in range(len(frame) - len(tile) + 1):
        at = frame[y].tobytes().find(tile[0].tobytes())
        if at >= 0 and at % 3 == 0:
            x = at // 3
            np.testing.assert_array_equal(frame[y : y + 128, x : x + 128], tile)
            return y, x
    raise AssertionError("the picture is not in the frame")


def test_the_page_of_metrics_files(pair, tmp_path):
    page = tmp_path / "page.html"
    assert openloop("compare", *pair, "--report", page, "-q").returncode == 0
    text = page.read_text()
    assert text.count("▼ worse") >= 4
    assert "step 2,000" in text
    assert "<video" not in text


def test_the_page_of_the_sample(sample_comparison):
    text = (sample_comparison / "page.html").read_text()
    assert text.count("<video") == 1
    assert len(text) < 5_000_000
    assert "Video of image: truth, step 3,670, step 1,190 of " in text
