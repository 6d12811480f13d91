"""Inputs that people really have, as the command line takes them."""

import json
import pickle
import re
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from openloop_cli.cli.app import app
from openloop_cli.errors import OpenloopError
from openloop_cli.jobs.comparison import ComparisonJob, run_comparison
from openloop_cli.jobs.report import ReportJob, measure_job, run_job
from openloop_cli.page.of_report import _by_channel
from openloop_cli.results.metrics_file import read_metrics
from openloop_cli.results.table import metrics_rows
from tests.conftest import ROOT
from tests.golden import architecture_case

CASES = ROOT / "tests" / "fixtures" / "cases"
PREFIX, ALONE = "06-names-below-a-prefix/prefix", "06-names-below-a-prefix/world-model-only"


def rendered(checkpoint, replay=None, **options):
    job = ReportJob(
        CASES / checkpoint,
        (CASES / (replay or checkpoint),),
        **{"length": 12, "num_windows": 4, "evaluate": False} | options,
    )
    return measure_job(job)


def notes(tree):
    return "\n".join(tree["notes"])


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_highest_value_of_an_integer_box():
    ids = ("089SAx5MReDQtqoL6oHESv:29", "089SAx5MReDQtqoL6oHESv:42", "089SAx5MReDQtqoL6oHESv:14")
    report, tree = rendered("01-box-int-high/run", length=16, windows=ids, latents="mode")
    golden = np.load(CASES / "01-box-int-high" / "golden.npz")
    np.testing.assert_allclose(report.loop.model.deter, golden["deter"], rtol=0, atol=1e-5)
    assert re.search("'grid' is 3 in [0-9]+ places", notes(tree))


def test_the_same_function_under_other_numbers_ties(tmp_path):
    """Each of two runs on the replay of one of them: no state that this one stored counts."""
    job = ComparisonJob(
        tuple(CASES / "02-other-run" / name for name in "ab"),
        ReportJob(CASES, (CASES / "02-other-run" / "a",), length=12, context=1, latents="mode",
                  num_windows=8),
        out=tmp_path / "c",
    )  # fmt: skip
    result = run_comparison(job)
    first, second = (read_metrics(result.files[f"metrics/{x} step 120"]) for x in "ab")
    for tree in (first, second):
        assert tree["rollout"]["start"] == "zeros"
    numbers = [{row[2:6]: row.value for row in metrics_rows(x)} for x in (first, second)]
    assert len(numbers[0]) > 50
    for name, value in numbers[0].items():
        other = numbers[1][name]
        assert (value is None) == (other is None), name
        assert value is None or other == pytest.approx(value, rel=1e-4, abs=1e-6), name
    assert any("several runs: all windows start from zeros" in x for x in result.tree["notes"])


def test_another_runs_states_are_told_and_not_used():
    _, own = rendered("02-other-run/a", num_windows=16)
    _, foreign = rendered("02-other-run/b", "02-other-run/a", num_windows=16)
    assert (own["rollout"]["start"], foreign["rollout"]["start"]) == ("stored", "zeros")
    assert "latent states are another model's" in notes(foreign)
    assert "latent states" not in notes(own)
    _, forced = rendered("02-other-run/b", "02-other-run/a", num_windows=16, start="stored")
    assert forced["rollout"]["start"] == "stored"


def test_keys_that_the_model_does_not_see_are_left_out():
    report, tree = rendered("03-keys-the-model-does-not-see/run")
    assert list(report.loop.truth) == ["image", "state"]
    assert "qpos, qvel: in the replay, but not seen by the model" in notes(tree)


def test_what_an_option_leaves_out_is_not_called_unknown():
    run = "03-keys-the-model-does-not-see/run"
    report, tree = rendered(run, encode=("image", "state"), decode=("image",))
    assert list(report.loop.truth) == ["image"]
    assert "state: encoded and not decoded, so not drawn, as the options say" in notes(tree)
    assert "widths" not in notes(tree)
    assert "no parameter" not in notes(tree)


def test_keys_that_are_only_encoded_or_only_decoded():
    """Against the reference's own modules, with other keys for the encoder than the decoder."""
    case = architecture_case(CASES / "split_keys.npz")
    spaces = case.model.spaces
    assert (spaces.only_encoded, spaces.only_decoded) == (("goal",), ("aux",))
    assert list(spaces.encoded) == ["image", "state", "goal"]
    loop = case.roll_out(latents="mode", evaluate=True)
    golden = case.golden
    assert set(loop.truth) == {"image", "state", "aux"}
    np.testing.assert_array_equal(loop.model.stoch, golden["mode/open/stoch"].argmax(-1))
    np.testing.assert_allclose(loop.model.deter, golden["mode/open/deter"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(loop.model.logit, golden["mode/open/logit"], rtol=1e-5, atol=1e-4)
    for key in ("state", "aux"):
        ours = loop.model.prediction[key]
        ours = np.sign(ours) * np.log1p(np.abs(ours))
        np.testing.assert_allclose(ours, golden[f"mode/open/{key}"], rtol=1e-4, atol=1e-5)
    image = golden["mode/open/image"].astype(np.float32)
    np.testing.assert_allclose(loop.model.prediction["image"], image, atol=6e-4)


def test_a_prefix_changes_nothing_and_missing_modules_cost_what_needs_them():
    report, tree = rendered(PREFIX)
    bare, alone = rendered(
        "06-names-below-a-prefix/world-model-only", "06-names-below-a-prefix/prefix"
    )
    np.testing.assert_array_equal(report.loop.model.deter, bare.loop.model.deter)
    assert "parameters lie below ac/ and wm/" in notes(tree)
    assert "no policy in the checkpoint: took action" in notes(alone)
    assert "no value head in the checkpoint" in notes(alone)
    assert (report.loop.model.value is None, bare.loop.model.value is None) == (False, True)


def test_a_report_without_heads_is_whole(tmp_path):
    """Page, comparison and gate do without what the checkpoint lacks."""
    sources = (
        CASES / "06-names-below-a-prefix" / "world-model-only",
        CASES / "06-names-below-a-prefix/prefix",
    )
    result = run_job(ReportJob(sources[0], (sources[1],), out=tmp_path / "a.mp4", length=12,
                               num_windows=4, page=True))  # fmt: skip
    assert "value" not in result.metrics
    assert result.files["page"].stat().st_size > 10_000
    found = invoke("check", result.files["metrics"], "--baseline", result.files["metrics"])
    assert found.exit_code == 0, found.output


def test_every_channel_is_drawn_or_told():
    report, tree = rendered("10-channels-not-drawn/run", length=16)
    assert [report.frames(key, show=1).shape[-1] for key in report.loop.image_keys] == [3] * 4
    # On the page each channel has a video of its own: side by side they would leave it.
    titles = [title for title, _ in _by_channel("sem", report.rows("sem", 2))]
    assert titles == ["sem", "sem, channel 4", "sem, channel 5"]
    for key, channels in (("flow", 2), ("rgbd", 4), ("sem", 5), ("stack", 12)):
        assert f"{key} has {channels} channels: drawn are" in notes(tree)


def test_the_one_file_of_december_2024(tmp_path):
    run = "12-one-file-checkpoint/run"
    report, tree = rendered(run)
    same, _ = rendered(PREFIX)
    np.testing.assert_array_equal(report.loop.model.deter, same.loop.model.deter)
    assert tree["checkpoint"]["step"] == 120
    by_file, _ = rendered(f"{run}/checkpoint.pkl", run)
    np.testing.assert_array_equal(report.loop.model.deter, by_file.loop.model.deter)
    # In a run folder with newer checkpoints these count.
    both = tmp_path / "both"
    shutil.copytree(CASES / PREFIX, both)
    shutil.copy(CASES / run / "checkpoint.pkl", both)
    _, newer = measure_job(ReportJob(both, length=12, num_windows=2, evaluate=False))
    assert newer["checkpoint"]["path"].endswith("20261125T235041F291781")


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("latest.pt", b"", "dreamerv3-torch"),
        ("checkpoint.ckpt", b"", "DreamerV3 of 2023 and 2024"),
        ("checkpoint/ckpt_1000_0.ckpt", b"", "sheeprl"),
        ("rllib_checkpoint.json", b"{}", "Ray RLlib"),
        ("algorithm_state.pkl", b"", "Ray RLlib"),
        ("variables.pkl", b"", "DreamerV2"),
        ("model.safetensors", b"", "safetensors"),
        ("weights.bin", b"\x10\0\0\0\0\0\0\0" + b'{"a": {"dtype": "F32"}}', "safetensors"),
        ("model.pth", b"PK\3\4 archive/data.pkl", "PyTorch"),
        ("model.zip", b"PK\3\4 policy.pth", "Stable-Baselines3"),
        ("params.msgpack", b"", "Flax"),
    ],
)
def test_other_checkpoints_are_named(tmp_path, name, data, kind):
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    for given in (tmp_path / "run", path):
        with pytest.raises(OpenloopError) as raised:
            measure_job(ReportJob(given, (CASES / "02-other-run" / "a",)))
        assert f"a checkpoint of {kind}" in raised.value.message
        assert "openloop rolls out the agent.pkl" in raised.value.hint


def test_settings_of_another_start(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(CASES / PREFIX, run)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("deter: 32", "deter: 64", 1))
    with pytest.raises(OpenloopError) as raised:
        measure_job(ReportJob(run, length=12))
    assert "do not belong to the checkpoint (deter 64, parameters say 32)" in raised.value.message
    assert "--config infer" in raised.value.hint
    _, tree = measure_job(ReportJob(run, length=12, num_windows=2, config="infer", evaluate=False))
    assert "inferred the architecture from the parameters, as was asked for" in notes(tree)
    found = invoke("inspect", run)
    assert "do not belong to the checkpoint" in found.output


def test_predictions_that_are_not_numbers(tmp_path):
    """The reason is that, and nothing can be measured against them."""
    run = tmp_path / "run"
    shutil.copytree(CASES / PREFIX, run)
    (agent,) = run.glob("ckpt/*/agent.pkl")
    tree = pickle.loads(agent.read_bytes())
    tree["params"]["wm/dyn/dynin0/kernel"][:] = np.nan
    agent.write_bytes(pickle.dumps(tree))
    result = run_job(ReportJob(run, out=tmp_path / "a.npz", length=12, num_windows=4))
    assert "NaN or Infinity in 1 of" in notes(result.metrics)
    horizon = result.metrics["headline"]["image"]["useful_horizon"]
    assert (horizon["steps"], horizon["reason"]) == (None, "the predictions are not numbers")
    metrics = result.files["metrics"]
    limited = invoke("check", metrics, "--min", "headline.image.skill=0.5")
    assert limited.exit_code == 3
    assert "the predictions are not numbers" in limited.output
    against = invoke("check", metrics, "--baseline", metrics)
    assert against.exception.exit_code == 1
    assert "its predictions are not numbers" in against.exception.message


def test_no_skill_where_the_decoder_shows_nothing():
    metrics = CASES / "14-skill-of-a-blind-decoder" / "early.metrics.json"
    assert json.loads(metrics.read_text())["headline"]["position"]["skill"] > 1
    found = invoke("check", metrics, "--min", "headline.position.skill=0.5")
    assert found.exit_code == 3
    assert "the decoder does not show what moves" in found.output
    table = invoke("table", metrics).output
    assert not re.search(r",position,skill,[^,]*,[^,]*,1\.1", table)
