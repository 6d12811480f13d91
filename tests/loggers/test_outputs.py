"""What each output wrote, read back by the system that it is for."""

import io
import json
import struct
import subprocess
import sys

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
        "left out of TensorBoard: 'huge': no picture: expected uint8 or floats from 0 to 1, with"
        " one or three channels"
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


def test_the_terminal_says_how_many_it_left_out(capfd):
    metrics = {f"train/loss/{n}": n for n in range(60)} | {"other": 1, "score\x1b[31m": 2.5}
    log("terminal", [], (1000, {"score\x1b[31m": 0}), (1200, metrics))
    lines = capfd.readouterr().err.splitlines()
    assert [line for line in lines if "Step" in line][-1] == "---[Agent Step 1,200]---"
    assert "train/loss/49 49" in lines
    assert lines[-1] == "(12 more not shown)"
    assert "\x1b" not in "".join(lines)


FILLED = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from openloop_cli.errors import OutputError
from openloop_cli.loggers import Logger
told = []
logger = Logger([f"{name}:{sys.argv[1]}" for name in sys.argv[2:]], tell=told.append)
for step in range(30):
    logger.step = step
    logger.add({f"a{n}": n for n in range(100)} | {"text": "x" * 500 * step})
    logger.write()
try:
    logger.close()
except OutputError as error:
    print(json.dumps([told, str(error)]))
"""


def test_a_file_that_can_grow_no_more_is_told_once_and_what_is_there_stays_whole(tmp_path):
    names = ["jsonl", "scope"]
    try:
        import tensorboardX  # noqa: F401
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        pass
    else:
        names.append("tensorboard")
    code = [sys.executable, "-c", FILLED, str(tmp_path), *names]
    told, said = json.loads(subprocess.check_output(code, text=True))
    for name in ("jsonl", "tensorboard"):
        lines = [line for line in told if line.startswith(f"--log {name}:")]
        assert len(lines) == (name in names)
        assert all("cannot be written: file too large" in line for line in lines)
        assert (name in names) == (f"{name}:{tmp_path}: " in said)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(len(lines)))
    assert len(lines) > 5
    rows = (tmp_path / "scope" / "a7.float").read_bytes()
    assert len(rows) == 30 * 16  # small files still fit
    if "tensorboard" in names:
        found = EventAccumulator(str(tmp_path)).Reload()
        assert [x.value for x in found.Scalars("a7")][:3] == [7, 7, 7]


@pytest.mark.parametrize(("name", "file"), [("jsonl", "metrics.jsonl"), ("scope", "scope/a.float")])
def test_a_full_disk_is_one_line(tmp_path, name, file):
    told = []
    logger = Logger([f"{name}:{tmp_path}"], tell=told.append)
    (tmp_path / file).unlink(missing_ok=True)
    (tmp_path / file).symlink_to("/dev/full")
    for _ in range(3):
        logger.add({"a": 1})
        logger.write()
    with pytest.raises(OutputError, match="not all was logged"):
        logger.close()
    (line,) = told
    assert f"{tmp_path / file}: the disk is full" in line
