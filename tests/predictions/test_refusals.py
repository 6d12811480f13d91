"""Whatever is wrong with predictions is one line that says what, where, and what to do."""

import zipfile

import numpy as np
import pytest

from openloop_cli.errors import OpenloopError, OptionError
from openloop_cli.predictions import columns
from openloop_cli.predictions.open import open_predictions
from openloop_cli.predictions.pixels import Pixels
from openloop_cli.predictions.scored import scored

from .made import B, C, T, arrays, predicted, save, truth

VIDEO = truth()
SAID = predicted(VIDEO)
NAN = np.where(np.arange(T)[:, None] == 5, np.nan, np.zeros((B, T, 2)))


@pytest.mark.parametrize(
    ("found", "message", "hint"),
    [
        ({}, "it holds no arrays", ""),
        ({"x": np.zeros(3)}, "holds no truth/<key>", "it holds x"),
        ({"gt": VIDEO}, "prediction/image is missing", ""),
        (arrays(**{"truth/pose": NAN}), "prediction/pose is missing", "--keys image leaves it out"),
        (
            arrays(**{"truth/pose": NAN, "prediction/pose": NAN}),
            "truth/pose: NaN or Infinity in window 1, step 6",
            "leave that window out",
        ),
        ({"gt": VIDEO, "pred": SAID}, "does not say how many steps were seen", "--context N"),
        (arrays(context=T), f"context {T}: expected 1 to {T - 1}", ""),
        (arrays(context=np.zeros(2)), "context: expected one whole number", ""),
        (
            arrays(**{"prediction/image": SAID[:2]}),
            f"does not go with the truth's {VIDEO.shape}: expected {T} or {T - C} steps",
            "",
        ),
        (
            arrays(**{"prediction/image": SAID[:, None]}),
            "does not go with",
            "several futures of a window belong under futures/<key>",
        ),
        (
            arrays(**{"prediction/image": np.moveaxis(SAID, -1, 2)}),
            "does not go with",
            "its channels stand elsewhere",
        ),
        (
            arrays(**{"prediction/image": SAID * 2 - 1}),
            "expected pictures in 0:1, found -",
            "--range -1:1 would fit",
        ),
        (
            arrays(**{"prediction/image": SAID * 255}),
            "expected pictures in 0:1, found ",
            "--range 0:255 would fit",
        ),
        (
            arrays(**{"truth/image": VIDEO * 1e4}),
            "expected pictures in 0:1",
            "no --range fits",
        ),
        (arrays(**{"truth/image": VIDEO.astype(int)}), "expected pictures as uint8 or floats", ""),
        (
            {
                "gt": np.moveaxis(VIDEO, -1, 2),
                "pred": np.moveaxis(SAID, -1, 2),
                "context": C,
            },
            "expected pictures of (H, W, C), found (3, 12, 12)",
            "--channels-first",
        ),
        (
            {"gt": VIDEO[..., 0], "pred": SAID[..., 0], "context": C},
            "expected pictures of (B, T, H, W, C)",
            "a last axis",
        ),
        (arrays(gt=VIDEO), "two arrays for truth/image", "the other otherwise"),
        (
            arrays(**{"truth/token": NAN[..., 0] == 0, "prediction/token": NAN[..., 0]}),
            "expected whole numbers (classes)",
            "most likely class",
        ),
        (arrays(reward=np.zeros((B, 2))), f"reward: expected {B} windows of {T} steps", ""),
        (arrays(**{"futures/image": SAID}), "expected (B, M, H, …)", ""),
        (arrays(gt=np.array([{}], object)), "objects are never loaded", ""),
    ],
)
def test_one_line(tmp_path, found, message, hint):
    path = save(tmp_path / "a.npz", **found)
    with pytest.raises(OpenloopError) as caught:
        scored(open_predictions(path), Pixels()).take(slice(0, B))
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert str(path) in caught.value.message
    assert "\n" not in str(caught.value)


def test_what_is_no_file_of_predictions(tmp_path):
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "one.npy", VIDEO)
    (tmp_path / "text.npz").write_text("no zip")
    for name, message in {
        "nowhere.npz": "no such file or folder",
        "empty": "holds no predictions",
        "one.npy": "one array alone",
        "text.npz": "not an npz",
    }.items():
        with pytest.raises(OpenloopError, match=message):
            open_predictions(tmp_path / name)
    with pytest.raises(OptionError, match="--range 0:2"):
        Pixels("0:2")


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(columns, "MOST_UNPACKED", 1 << 16)
    np.savez_compressed(tmp_path / "a.npz", gt=np.zeros((99, 99, 9, 9, 3), np.uint8), pred=SAID)
    with pytest.raises(OpenloopError, match="unpacks to"):
        open_predictions(tmp_path / "a.npz")


def test_headers_that_promise_more_than_is_there(tmp_path):
    path = save(tmp_path / "a.npz", **arrays())
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(OpenloopError, match="cut short or damaged"):
        open_predictions(path)
    (tmp_path / "f" / "truth").mkdir(parents=True)
    np.save(tmp_path / "f" / "truth" / "image.npy", VIDEO)
    whole = (tmp_path / "f" / "truth" / "image.npy").read_bytes()
    (tmp_path / "f" / "truth" / "image.npy").write_bytes(whole[:-5])
    with pytest.raises(OpenloopError, match="but holds"):
        open_predictions(tmp_path / "f")


def test_nothing_is_unpickled(tmp_path):
    """An npz with a pickle inside is refused by its header."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("truth/image.npy", b"\x80\x04cos\nsystem\n")
    with pytest.raises(OpenloopError, match="is not an array"):
        open_predictions(tmp_path / "a.npz")
