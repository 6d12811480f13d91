"""What each output wrote, read back by the system that it is for."""

import io
import struct

import imageio.v3
import numpy as np
import pytest
from PIL import Image

from openloop_cli.encode import write_mp4
from openloop_cli.errors import OutputError
from openloop_cli.loggers import Logger, VideoFile
from openloop_cli.loggers.terminal import number_text
from tests.videos import decoded

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 255, (7, 5, 3), np.uint8)
# Blocks of one colour, which survive the encoder.
VIDEO = np.repeat(np.repeat(RNG.integers(0, 255, (6, 2, 2, 3), np.uint8), 16, 1), 16, 2)


@pytest.fixture
def file(tmp_path):
    write_mp4(tmp_path / "own.mp4", VIDEO[:, :31, :31], 10)
    return tmp_path / "own.mp4"


def log(output, told, *batches, **options):
    with Logger([output], tell=told.append, **options) as logger:
        for step, metrics in batches:
            logger.step = step
            logger.add(metrics)
            logger.write()


def test_scope(tmp_path, file):
    scope, told = pytest.importorskip("scope"), []
    first = {"train/loss": 1.5, "note": "größer", "image": IMAGE, "clip": VIDEO,
             "own": VideoFile(file), "gray": IMAGE[..., 0]}  # fmt: skip
    log(f"scope:{tmp_path}", told, (3, first), (2**40, {"train/loss": np.nan, "note": ""}))
    reader = scope.Reader(tmp_path)
    steps, values = reader["train/loss"]
    assert list(steps) == [3, 2**40]
    assert values[0] == 1.5
    assert np.isnan(values[1])
    (step,), (image,) = reader["image"]
    assert step == 3
    np.testing.assert_array_equal(reader.load("image", image), IMAGE)
    steps, texts = reader["note"]
    assert [reader.load("note", text) for text in texts] == ["größer", ""]
    (stored,) = (tmp_path / "scope" / "own.mp4").glob("*.mp4")
    assert stored.read_bytes() == file.read_bytes()
    (clip,) = (tmp_path / "scope" / "clip.mp4").glob("*.mp4")
    frames = decoded(clip)[1]
    assert frames.shape == VIDEO.shape
    assert np.abs(frames.astype(int) - VIDEO).mean() < 4
    assert told == []


def test_scope_tells_once_what_it_has_no_form_for(tmp_path):
    told = []
    metrics = {"Upper": 1, "a:b": 2, "vector": [1, 2], "float": np.zeros((2, 2)), "kind": 1}
    log(f"scope:{tmp_path}", told, (0, metrics), (1, metrics), (2, {"kind": "text"}))
    assert len(told) == 5
    assert all(line.startswith("left out of Scope: ") for line in told)
    assert "'kind': it was a .float" in told[-1]
    assert [path.name for path in (tmp_path / "scope").iterdir()] == ["kind.float"]
    log(f"scope:{tmp_path}", told, (3, {"kind": "text"}))  # another process knows, too
    assert len(told) == 6


def test_scope_takes_a_torn_row_away(tmp_path):
    (tmp_path / "scope").mkdir()
    torn = struct.pack(">qd", 1, 1.0) + b"torn"
    (tmp_path / "scope" / "a.float").write_bytes(torn)
    log(f"scope:{tmp_path}", [], (2, {"a": 2}))
    rows = struct.iter_unpack(">qd", (tmp_path / "scope" / "a.float").read_bytes())
    assert list(rows) == [(1, 1.0), (2, 2.0)]


def test_tensorboard(tmp_path, file):
    pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    told = []
    first = {"a": 1.5, "note": "words", "v": np.arange(100.0), "image": IMAGE, "clip": VIDEO,
             "own": VideoFile(file), "unit": IMAGE / 255, 
             "huge": np.full((2, 2, 3), 7.0)}  # fmt: skip
    log(f"tensorboard:{tmp_path / 'tb'}", told, (3, first), (9, {"a": 2}), (9, {"a": 3}))
    found = reading.EventAccumulator(str(tmp_path / "tb"), size_guidance={"images": 0})
    found.Reload()
    assert [(e.step, e.value) for e in found.Scalars("a")] == [(3, 1.5), (9, 2), (9, 3)]
    [text] = found.Tensors("note/text_summary")
    assert text.tensor_proto.string_val == [b"words"]
    histogram = found.Histograms("v")[0].histogram_value
    assert (histogram.num, histogram.min, histogram.max) == (100, 0, 99)
    for name in ("image", "unit"):
        png = Image.open(io.BytesIO(found.Images(name)[0].encoded_image_string))
        np.testing.assert_array_equal(np.asarray(png), IMAGE)
    gif = imageio.v3.imread(found.Images("clip")[0].encoded_image_string, extension=".gif")
    np.testing.assert_array_equal(gif, VIDEO)
    own = found.Images("own")[0]
    assert (own.height, own.width) == (32, 32)
    frames = imageio.v3.imread(own.encoded_image_string, extension=".gif")
    assert len(frames) == 6
    assert np.abs(frames[:, :31, :31].astype(int) - VIDEO[:, :31, :31]).mean() < 5
    assert told == [
        "left out of TensorBoard: 'huge': expected uint8 with one or three channels, or floats"
        " from 0 to 1"
    ]


@pytest.mark.parametrize("name", ["jsonl", "scope", "tensorboard"])
def test_a_folder_that_cannot_be_one_is_told_before_anything_is_done(name, tmp_path):
    if name == "tensorboard":
        pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written: not a directory"):
        Logger([f"{name}:{tmp_path / 'file' / 'log'}"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1, "1"), (2.5, "2.5"), (0.126, "0.13"), (-3.14159, "-3.14"), (9999, "9999"),
        (123456, "1.2e5"), (0.01, "1e-2"), (-0.00123, "-1.2e-3"), (float("nan"), "nan"),
    ],
)  # fmt: skip
def test_numbers_on_the_terminal(value, text):
    assert number_text(value) == text
