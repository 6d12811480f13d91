"""Files of named arrays become the rollout that they were written from, whole or in pieces."""

import numpy as np
import pytest

from openloop_cli.measures.measure import measure
from openloop_cli.predictions import scored as module
from openloop_cli.predictions.layout import loop_arrays
from openloop_cli.predictions.open import open_predictions
from openloop_cli.predictions.pixels import Pixels
from openloop_cli.predictions.scored import scored
from openloop_cli.reporting import make_report
from openloop_cli.rollout.result import Evaluation, OpenLoop, Trace
from openloop_cli.storage.npz import write_npz

from .made import B, C, T, arrays, predicted, save, truth


def read(path, pixels=None, **options):
    return scored(open_predictions(path), pixels or Pixels(), **options)


def rollout():
    rng = np.random.default_rng(0)
    video = truth()
    recorded = {
        "image": video,
        "pose": rng.normal(size=(B, T, 3)).astype(np.float32),
        "token": rng.integers(0, 5, (B, T), np.int32),
    }

    def trace(seed, start=0):
        noise = np.random.default_rng(seed)
        pose = recorded["pose"] + noise.normal(0, 0.1, (B, T, 3)).astype(np.float32)
        found = {"image": predicted(video, seed=seed), "pose": pose, "token": recorded["token"]}
        return Trace({key: x[:, start:] for key, x in found.items()})

    return OpenLoop(
        tuple(f"abc:{i}" for i in range(B)),
        C,
        recorded,
        np.arange(B * T, dtype=np.float32).reshape(B, T),
        np.zeros((B, T), bool),
        trace(1),
        evaluation=Evaluation(posterior=trace(2), shuffled=trace(3, C), other=trace(4, C)),
        actions={"action": np.zeros((B, T, 2), np.float32)},
    )


@pytest.mark.parametrize("block", [1 << 30, 1])
def test_what_was_written_is_measured_as_it_was(tmp_path, monkeypatch, block):
    """At once, or window by window: the same numbers."""
    loop = rollout()
    write_npz(tmp_path / "a.npz", loop_arrays(loop))
    monkeypatch.setattr(module, "BLOCK_BYTES", block)
    found = read(tmp_path / "a.npz")
    assert len(found.blocks()) == (1 if block > 1 else B)
    assert (found.ids, found.context, found.length) == (loop.ids, C, T)
    for key, expected in measure(loop).items():
        measured = measure(found)[key]
        for path, numbers in expected.imagined.items():
            for name, values in numbers.items():
                np.testing.assert_allclose(
                    measured.imagined[path][name], values, rtol=1e-6, err_msg=f"{key} {path} {name}"
                )
        assert measured.context.keys() == expected.context.keys()
    assert make_report(found).truth == make_report(loop).truth
    np.testing.assert_array_equal(found.scalars().reward, loop.reward)
    np.testing.assert_array_equal(found.take(np.array([2])).actions["action"][0], np.zeros((T, 2)))


def test_a_folder_is_read_as_a_file_is(tmp_path):
    """Other machines' byte order and Fortran order too."""
    found = arrays(**{"truth/pose": np.arange(B * T * 2.0).reshape(B, T, 2)})
    found["prediction/pose"] = found["truth/pose"] + 1
    save(tmp_path / "a.npz", **found)
    folder = tmp_path / "folder"
    for name, array in found.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name == "truth/pose":
            array = np.asfortranarray(array.astype(">f8"))
        np.save(folder / name, array)
    one, other = read(tmp_path / "a.npz"), read(folder)
    assert sorted(one.kinds) == sorted(other.kinds) == ["image", "pose"]
    assert sorted(make_report(one).truth.items()) == sorted(make_report(other).truth.items())
    index = np.array([3, 1, 2])
    for key in one.kinds:
        a, b = (x.take(index).model.prediction[key] for x in (one, other))
        np.testing.assert_array_equal(a, b)


def test_windows_are_known_by_their_truth(tmp_path):
    save(tmp_path / "a.npz", **arrays())
    save(tmp_path / "b.npz", **arrays(**{"prediction/image": predicted(truth(), 0.1)}))
    save(tmp_path / "c.npz", **arrays(**{"truth/image": truth(seed=5)}))
    a, b, c = (read(tmp_path / f"{name}.npz").ids for name in "abc")
    assert a == b
    assert len({*a, *c}) == 2 * B


@pytest.mark.parametrize(
    ("pixels", "change"),
    [
        (Pixels(), lambda x: x.astype(np.float32) / 255),
        (Pixels("-1:1"), lambda x: x.astype(np.float32) / np.float32(127.5) - 1),
        (Pixels("0:255"), lambda x: x.astype(np.float64)),
        (Pixels(channels_first=True), lambda x: np.moveaxis(x, -1, -3)),
        (Pixels("-1:1", True), lambda x: np.moveaxis(x / 127.5 - 1, -1, -3)),
    ],
)
def test_pictures_are_the_same_in_every_form(tmp_path, pixels, change):
    video = truth()
    said = np.rint(predicted(video) * 255).astype(np.uint8)
    save(tmp_path / "a.npz", gt=change(video), preds=change(said))
    found = read(tmp_path / "a.npz", pixels, context=C)
    loop = found.take(slice(0, B))
    np.testing.assert_array_equal(loop.truth["image"], video)
    np.testing.assert_allclose(loop.model.prediction["image"], said / 255, atol=1e-6)
    assert not [note for note in found.notes if "rounded" in note]


def test_floats_between_levels_are_told(tmp_path):
    video = predicted(truth())
    save(tmp_path / "a.npz", gt=video, pred=video)
    assert any(
        "rounded to 256 levels" in note for note in read(tmp_path / "a.npz", context=C).notes
    )


def test_without_a_context_there_is_no_reconstruction(tmp_path):
    """The truth stands there for the picture, and no number is made of it."""
    found = arrays()
    copied = found["prediction/image"].copy()
    copied[:, :C] = found["truth/image"][:, :C] / np.float32(255)
    for said in (found["prediction/image"][:, C:], copied):
        save(tmp_path / "a.npz", **found | {"prediction/image": said})
        loops = read(tmp_path / "a.npz")
        assert not loops.reconstructs
        assert any("the decoder's floor is unknown" in note for note in loops.notes)
        measured = measure(loops)["image"]
        assert np.isnan(measured.context["model"]["mse"]).all()
        assert "floor" not in measured.imagined
        np.testing.assert_allclose(
            measured.imagined["model"]["mse"],
            np.square(found["prediction/image"] - found["truth/image"] / 255)[:, C:].mean(
                (2, 3, 4)
            ),
            rtol=1e-4,
        )


def test_the_last_reconstruction_stands_in_for_the_floor(tmp_path):
    save(tmp_path / "a.npz", **arrays())
    loops = read(tmp_path / "a.npz")
    assert any("the error of the last reconstruction" in note for note in loops.notes)
    measured = measure(loops)["image"]
    last = measured.context["model"]["mse"][:, -1:]
    np.testing.assert_array_equal(measured.imagined["floor"]["mse"], last.repeat(T - C, 1))
    assert "skill" in make_report(loops).observations["image"]


def test_futures_have_a_mean_and_a_spread(tmp_path):
    video = truth()
    futures = np.stack([predicted(video[:, C:], seed=i) for i in range(3)], 1)
    save(tmp_path / "a.npz", **arrays(**{"futures/image": futures}))
    found = read(tmp_path / "a.npz")
    assert found.samples == 3
    loop = found.take(slice(0, 2))
    np.testing.assert_allclose(loop.futures.mean["image"], futures[:2].mean(1), rtol=1e-6)
    np.testing.assert_allclose(loop.futures.std["image"], futures[:2].std(1), atol=1e-6)


def test_arrays_of_version_0_1_are_read(tmp_path):
    """They name no context, and their reward is the predicted one."""
    old = {**arrays(), "deter": np.zeros((B, T, 2)), "logit": np.zeros((B, T, 2, 2))}
    del old["context"]
    save(tmp_path / "a.npz", **old, reward=np.zeros((B, T)))
    found = read(tmp_path / "a.npz", context=C)
    assert found.scalars().reward is None
