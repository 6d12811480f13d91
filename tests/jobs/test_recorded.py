"""What a run recorded of itself: its trainer's last metrics, and how large it is."""

import json
import shutil

import pytest

from openloop_cli.jobs.recorded import recorded
from openloop_cli.run import open_run
from tests.conftest import ROOT

SAMPLE = ROOT / "sample_data" / "dmc_cheetah_run"


@pytest.fixture
def run(tmp_path):
    """The sample's later checkpoint, 3,670 steps with an action repeat of 2, below a new folder."""
    folder = tmp_path / "run"
    (folder / "ckpt").mkdir(parents=True)
    for name in ("config.yaml", "replay", "ckpt/20261120T140338F302381"):
        (folder / name).symlink_to(SAMPLE / name)
    return folder


def of(run):
    opened = open_run(run, SAMPLE)
    return recorded(opened, opened.read_params())


def lines(run, *rows):
    (run / "metrics.jsonl").write_text("".join(f"{row}\n" for row in rows))


def test_sizes_are_those_of_the_files(run):
    found = of(run)
    chunks = list((SAMPLE / "replay").glob("*.npz"))
    assert found["replay"]["bytes"] == sum(path.stat().st_size for path in chunks)
    assert found["replay"]["chunks"] == len(chunks)
    assert found["replay"]["streams"] == 1
    # One stream of 1,210 steps; the trainer samples 32 steps and one of replay context.
    assert found["replay"]["items"] == 1210 - 33 + 1
    assert sum(found["modules"].values()) == 1_600_115
    assert "train" not in found


def test_the_last_metrics_before_the_checkpoint(run):
    lines(
        run,
        json.dumps({"step": 7000, "train/loss": 1.0}),
        json.dumps({"step": 7340, "train/loss": 2.0, "episode/score": 3.0}),
        json.dumps({"step": 7340, "episode/score": 3.0}),
        json.dumps({"step": 7342, "train/loss": 4.0}),
    )
    assert of(run)["train"] == {"step": 7340, "metrics": {"train/loss": 2.0}}


def test_a_run_that_went_back_counts_by_its_later_lines(run):
    lines(
        run, *(json.dumps({"step": s, "train/x": x}) for s, x in ((6000, 1), (9000, 2), (6000, 3)))
    )
    assert of(run)["train"] == {"step": 6000, "metrics": {"train/x": 3.0}}


@pytest.mark.parametrize(
    "row",
    [
        "",
        "no JSON",
        '{"step": 10, "train/loss": ',
        '{"step": 10, "train/' + "x" * (1 << 21) + '": 1}',
        '{"step": 1' + "0" * 400 + ', "train/x": 1}',
        '{"train/x": 1}',
        "[" * 100_000,
    ],
)
def test_lines_that_are_none(run, row):
    (run / "metrics.jsonl").write_text(row + "\n" + json.dumps({"step": 5, "train/x": 1}) + "\n")
    assert of(run)["train"]["metrics"] == {"train/x": 1.0}
    (run / "metrics.jsonl").write_text(row)
    assert of(run).get("train", {}).get("metrics") in (None, {})


def test_only_numbers_are_taken(run):
    lines(run, '{"step": 5, "train/a": NaN, "train/b": "text", "train/c": [1], "train/d": 7}')
    assert of(run)["train"]["metrics"] == {"train/d": 7.0}


def test_the_genuine_log(run):
    shutil.copy(SAMPLE / "metrics.jsonl", run)
    train = of(run)["train"]
    assert train["step"] <= 7340
    assert train["metrics"]["train/loss/dyn"] == pytest.approx(2.647721, rel=1e-6)
