"""What a report draws: images, vectors where asked for or where there is nothing else."""

import csv
import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from openloop_cli.config import ModelConfig
from openloop_cli.draw.grid import LINES_NOTE, Caption, Lines, line_frames
from openloop_cli.errors import OptionError, OutputError
from openloop_cli.reporting import make_report
from openloop_cli.results.metrics_file import read_metrics, write_metrics
from openloop_cli.results.table import TableRow, csv_text, metrics_rows
from openloop_cli.rollout.result import Futures, OpenLoop, Trace

B, T, C = 3, 6, 2
SHAPES = {"image": (8, 8, 3), "pose": (4,), "token": ()}


def rollout(*keys, futures=False):
    rng = np.random.default_rng(0)
    truth, prediction = {}, {}
    for key in keys:
        shape = (B, T, *SHAPES[key])
        if key == "image":
            truth[key] = rng.integers(0, 256, shape, np.uint8)
            prediction[key] = rng.random(shape).astype(np.float32)
        elif key == "token":
            truth[key], prediction[key] = (rng.integers(0, 9, shape, np.int32) for _ in range(2))
        else:
            truth[key], prediction[key] = (
                rng.normal(size=shape).astype(np.float32) for _ in range(2)
            )
    zeros = np.zeros((B, T), np.float32)
    model = Trace(prediction, zeros, zeros, zeros, zeros, zeros, zeros, {})
    ahead = {key: x[:, C:] for key, x in prediction.items() if key == "pose"}
    spread = Futures(ahead, {k: x * 0 + 0.5 for k, x in ahead.items()}, {}, zeros, zeros, {})
    ids = tuple(f"{i}:0" for i in range(B))
    return OpenLoop(ids, C, truth, zeros, zeros > 1, model, spread if futures else None)


def report(*keys, asked=(), **options):
    loop = rollout(*keys, **options)
    return make_report(loop, ModelConfig(), name="run", step=1692, keys=asked)


@pytest.mark.parametrize(
    ("keys", "asked", "pictures"),
    [
        (("image", "pose"), (), {"image": ("image",)}),
        (("image", "pose"), ("pose",), {"pose": ("pose",)}),
        (("image", "pose"), ("image", "pose"), {"image": ("image",), "pose": ("pose",)}),
        (("pose",), (), {"pose": ("pose",)}),
        (("pose", "token"), (), {"vectors": ("pose", "token")}),
        (("image", "pose", "token"), ("token",), {"token": ("token",)}),
    ],
)
def test_what_is_drawn(keys, asked, pictures):
    made = report(*keys, asked=asked)
    assert made.pictures == pictures
    for name in pictures:
        assert len(made.frames(name)) == T


def test_all_vectors_share_one_picture_with_the_spread_of_the_futures():
    made = report("pose", "token", futures=True)
    loop = made.loop
    truth, said = loop.truth, loop.model.prediction
    ahead = said["pose"][:2, C:]
    expected = line_frames(
        [
            Lines("pose", truth["pose"][:2], said["pose"][:2], (ahead - 0.5, ahead + 0.5)),
            Lines("token", truth["token"][:2], said["token"][:2], discrete=True),
        ],
        C,
        Caption("run", "1,692", "pose, token", LINES_NOTE),
    )
    np.testing.assert_array_equal(made.frames("vectors", show=2), expected)


def test_the_reference_draws_no_vectors():
    with pytest.raises(OptionError, match="no picture of pose"):
        report("pose").frames("pose", style="reference")


def test_an_unknown_key_is_told():
    with pytest.raises(OptionError, match="key 'jump': the run observes pose"):
        report("pose", asked=("jump",))


def test_a_frame_holds_the_rows_of_the_table(tmp_path, monkeypatch):
    """Also where pandas is not installed: what it would be given."""
    made = report("image", "pose")
    frame = lambda rows, columns: (rows, columns)  # noqa: E731
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=frame))
    rows, columns = made.to_frame()
    assert columns == TableRow._fields
    tree = {"format": "openloop-metrics", "version": 3, **made.tree}
    tree |= {"run": {"name": "run"}, "checkpoint": {"step": 1692}}
    tree["rollout"] = {"windows": list(made.loop.ids), "length": T, "context": C}
    write_metrics(tmp_path / "m.json", tree)
    assert rows == list(metrics_rows(read_metrics(tmp_path / "m.json")))
    assert len(list(csv.reader(io.StringIO(csv_text(rows))))) == len(rows) + 1
    assert {row.key for row in rows} >= {"image", "pose", "reward"}


def test_a_real_frame():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    found = report("pose").to_frame()
    assert isinstance(found, pandas.DataFrame)
    whole = found[(found.key == "pose") & (found.path == "model") & found.lead.isna()]
    assert set(whole.metric) == {"mse", "mae", "symlog_mse"}


def test_without_pandas_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(OutputError, match="needs pandas"):
        report("pose").to_frame()
