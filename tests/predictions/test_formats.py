"""What other tools write, in the form that their sources have it.

worldproof 0.1.0: `adapters/folder.py` (`save_rollout`). OpenSTL: `np.save` of inputs, trues, preds
in its `test`. nano-world-model: `np.savez(f"{folder}/raw_data.npz", pred=…, gt=…)` in
`src/utils/metrics.py`, (C, T, H, W) in [0, 1].
"""

import json

import numpy as np
import pytest
from PIL import Image

from openloop_cli.errors import OptionError, PredictionsError
from openloop_cli.predictions.open import open_predictions
from openloop_cli.predictions.pixels import Pixels
from openloop_cli.predictions.scored import scored

from .made import B, C, T, predicted, truth

VIDEO = truth()
SAID = np.rint(predicted(VIDEO) * 255).astype(np.uint8)


def read(path, **options):
    return scored(open_predictions(path), Pixels(), **options)


def unit(video):
    return (video / 255).astype(np.float32)


def test_openstl(tmp_path):
    first = np.moveaxis(unit(VIDEO), -1, 2), np.moveaxis(unit(SAID), -1, 2)
    (tmp_path / "saved").mkdir()
    for name, array in {
        "inputs": first[0][:, :C],
        "trues": first[0][:, C:],
        "preds": first[1][:, C:],
    }.items():
        np.save(tmp_path / "saved" / f"{name}.npy", array)
    loops = read(tmp_path)
    assert (loops.context, loops.reconstructs) == (C, False)
    loop = loops.take(slice(0, B))
    np.testing.assert_array_equal(loop.truth["image"], VIDEO)
    np.testing.assert_allclose(loop.model.prediction["image"][:, C:], unit(SAID)[:, C:])
    np.save(tmp_path / "saved" / "trues.npy", first[0][:2, C:])
    with pytest.raises(PredictionsError, match=r"both alike but for T"):
        read(tmp_path)


def test_nano_world_model(tmp_path):
    for window in range(B):
        (tmp_path / f"episode_{window}").mkdir()
        np.savez(
            tmp_path / f"episode_{window}" / "raw_data.npz",
            pred=np.moveaxis(unit(SAID[window]), -1, 0),
            gt=np.moveaxis(unit(VIDEO[window]), -1, 0),
        )
    with pytest.raises(OptionError, match="--context N"):
        read(tmp_path)
    loop = read(tmp_path, context=C).take(slice(0, B))
    np.testing.assert_array_equal(loop.truth["image"], VIDEO)
    np.testing.assert_allclose(loop.model.prediction["image"], unit(SAID), atol=1e-7)
    one = read(tmp_path / "episode_1" / "raw_data.npz", context=C)
    np.testing.assert_array_equal(one.take(slice(0, 1)).truth["image"][0], VIDEO[1])


def worldproof(folder, window, **manifest):
    def frames(name, video):
        (folder / name).mkdir(parents=True)
        for step, frame in enumerate(video):
            Image.fromarray(frame).save(folder / name / f"frame_{step:05d}.png")

    frames("context", VIDEO[window, :C])
    frames("ground_truth", VIDEO[window, C:])
    for sample in range(2):
        frames(f"predictions/sample_{sample:02d}", SAID[(window + sample) % B, C:])
    told = {"format_version": "0.1-provisional", "modality": "pixels", "storage": "png_sequence"}
    told |= {"has_ground_truth": True, "fps": 10.0, "model_id": "m"}
    (folder / "manifest.json").write_text(json.dumps(told | manifest))


def test_worldproof(tmp_path):
    for window in range(2):
        worldproof(tmp_path / f"rollout_{window}", window)
    loops = read(tmp_path)
    assert (loops.context, loops.samples, len(loops.ids)) == (C, 2, 2)
    loop = loops.take(slice(0, 2))
    np.testing.assert_array_equal(loop.truth["image"], VIDEO[:2])
    np.testing.assert_allclose(loop.futures.kept["image"][1], unit(SAID[1:3, C:]))
    worldproof(tmp_path / "rollout_2", 2, format_version="0.2")
    with pytest.raises(PredictionsError, match="expected '0"):
        read(tmp_path)


def test_worldproof_latents(tmp_path):
    latents = np.random.default_rng(0).normal(size=(T, 5)).astype(np.float32)
    (tmp_path / "predictions").mkdir()
    np.save(tmp_path / "context.npy", latents[:C])
    np.save(tmp_path / "ground_truth.npy", latents[C:])
    np.save(tmp_path / "predictions" / "sample_00.npy", latents[C:] + 1)
    told = {"format_version": "0.1-provisional", "modality": "latents", "storage": "npy"}
    (tmp_path / "manifest.json").write_text(json.dumps(told | {"has_ground_truth": True}))
    loop = read(tmp_path).take(slice(0, 1))
    np.testing.assert_array_equal(loop.truth["latent"][0], latents)
    assert loop.kinds == {"latent": "continuous"}
    (tmp_path / "manifest.json").write_text(json.dumps(told | {"has_ground_truth": False}))
    with pytest.raises(PredictionsError, match="no ground truth"):
        read(tmp_path)
