"""metrics.json and the windows beside it: both or neither, both versions, and files that lie."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from openloop_cli.compare.check import check
from openloop_cli.compare.compare import compare
from openloop_cli.draw.curves import Named, charts
from openloop_cli.errors import MetricsError, OutputError
from openloop_cli.results.entries import Entry
from openloop_cli.results.metrics_file import read_metrics, windows_path, write_metrics
from tests.trees import errors, tree_of

OLD = Path(__file__).parents[1] / "fixtures" / "metrics" / "version1.metrics.json"


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "x.metrics.json"
    write_metrics(path, tree_of({"a/b": errors(), "image": errors(seed=1)}))
    return path


def test_what_windows_did_lies_beside_it(written):
    expected = tree_of({"a/b": errors(), "image": errors(seed=1)})["observations"]["a/b"]
    assert sorted(p.name for p in written.parent.iterdir()) == ["x.metrics.json", "x.windows.npz"]
    bare = read_metrics(written)
    assert "per_window" not in bare["observations"]["a/b"]
    whole = read_metrics(written, windows=True)
    found = whole["observations"]["a/b"]["per_window"]
    assert set(found) == set(expected["per_window"])
    np.testing.assert_allclose(found["model"], expected["per_window"]["model"], rtol=1e-6)
    assert whole["reward"]["per_window"]["model"].shape == found["model"].shape


@pytest.mark.parametrize("key", ["..", "a/b.c", "log/ü", "\udc80\x1b", 'a"b', "%2F", " "])
def test_keys_of_any_spelling_find_their_windows(key, tmp_path):
    write_metrics(tmp_path / "m.json", tree_of({key: errors()}))
    found = read_metrics(tmp_path / "m.json", windows=True)["observations"]
    assert list(found) == [key]
    assert found[key]["per_window"]["model"].shape == (16, 8)


def test_equal_trees_are_equal_files(tmp_path):
    for name in "ab":
        write_metrics(tmp_path / name / "x.json", tree_of({"image": errors()}))
    for name in ("x.json", "x.windows.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "beside"),
    [("v.metrics.json", "v.windows.npz"), ("m.json", "m.windows.npz"), ("m", "m.windows.npz")],
)
def test_where_it_lies(name, beside):
    assert windows_path(Path("x") / name) == Path("x") / beside


def test_neither_where_one_cannot_be_written(tmp_path):
    (tmp_path / "x.windows.npz").mkdir()
    with pytest.raises(OutputError):
        write_metrics(tmp_path / "x.metrics.json", tree_of({"image": errors()}))
    assert [p.name for p in tmp_path.iterdir()] == ["x.windows.npz"]


def test_the_file_beside_is_gone_or_another(written):
    beside = windows_path(written)
    data = beside.read_bytes()
    beside.write_bytes(data[:-1] + b"x")
    with pytest.raises(MetricsError, match=r"x.windows.npz: not the file that x.metrics.json was"):
        read_metrics(written, windows=True)
    beside.unlink()
    with pytest.raises(MetricsError, match=r"x.windows.npz: cannot be read: no such file"):
        read_metrics(written, windows=True)
    assert read_metrics(written)["headline"]


@pytest.mark.parametrize("name", ["../x.npz", "/etc/passwd", "", "..", "a\0b", "x" * 300])
def test_the_name_leads_nowhere_else(name, written):
    tree = json.loads(written.read_text())
    tree["windows_file"]["name"] = name
    written.write_text(json.dumps(tree))
    with pytest.raises(MetricsError, match="not the name of a file beside it"):
        read_metrics(written, windows=True)


def test_a_file_beside_that_lies(written):
    """Its hash is right, so whoever made it wanted it so."""
    _beside(written, {"reward/per_window/model": np.zeros((3, 2))})
    with pytest.raises(MetricsError, match=r"shape \(3, 2\)"):
        read_metrics(written, windows=True)


def test_version_1_is_read_as_version_3():
    old = Entry("old", read_metrics(OLD, windows=True))
    assert old.tree["version"] == 3
    assert len(old.windows) == 3
    found = compare([old, old])
    assert {row.key for row in found.rows} >= {"reward", *old.keys}
    assert all(finding.passed for finding in check(old, baseline=old))
    assert charts([Named(old.tree, "old")])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            '{"format": "openloop-metrics", "version": 3, "run": {}, "run": {}}',
            "'run' stands there",
        ),
        ('{"format": "openloop-metrics", "version": 3, "run": []}', "run: expected an object"),
        ('{"checkpoint": {"step": 1' + "0" * 400 + "}}", "too large"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": NaN}', "NaN is no JSON"),
        ('{"a": 1e999}', "1e999 is too large"),
        ("[1, 2]", "not a metrics.json of openloop"),
        ('{"format": "openloop-metrics", "version": [2]}', r"format version \[2\]"),
        ("\xff", "not text"),
    ],
)
def test_files_that_are_none(text, why, tmp_path):
    path = tmp_path / "m.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(MetricsError, match=why) as error:
        read_metrics(path)
    assert len(str(error.value).replace(str(path), "")) < 300


@pytest.mark.parametrize(
    "place", [("windows_file", "name"), ("windows_file", "sha256"), ("rollout", "windows")]
)
def test_what_the_file_beside_is_known_by_is_missing(place, written):
    tree = json.loads(written.read_text())
    del tree[place[0]][place[1]]
    written.write_text(json.dumps(tree))
    with pytest.raises(MetricsError, match=f"{'.'.join(place)}: missing"):
        read_metrics(written, windows=True)


def test_what_stands_where_windows_belong_gives_way(written):
    tree = json.loads(written.read_text())
    tree["reward"]["per_window"] = 3
    written.write_text(json.dumps(tree))
    assert read_metrics(written, windows=True)["reward"]["per_window"]["model"].shape == (16, 8)


def test_no_array_replaces_what_the_json_says(written):
    """Of names that lie elsewhere than where the windows of this report belong."""
    before = read_metrics(written, windows=True)
    names = ("run", "rollout/windows", "reward/imagined", "observations/other/per_window/model")
    _beside(written, {name: np.zeros((16, 2)) for name in names})
    after = read_metrics(written, windows=True)
    assert {name: after[name] for name in ("run", "rollout")} == {
        name: before[name] for name in ("run", "rollout")
    }
    assert after["reward"]["imagined"] == before["reward"]["imagined"]
    assert "other" not in after["observations"]


def test_a_file_beside_that_would_fill_the_memory(written, monkeypatch):
    """Zeros shrink a thousandfold; what counts is what all arrays unpack to."""
    monkeypatch.setattr("openloop_cli.results.metrics_file.MAX_BYTES", 1 << 20)
    zeros = {f"observations/image/per_window/{i}": np.zeros((16, 2000), np.float32)
             for i in range(20)}  # fmt: skip
    _beside(written, zeros, np.savez_compressed)
    with pytest.raises(MetricsError, match="unpacks to too many bytes"):
        read_metrics(written, windows=True)


def _beside(path, arrays, save=np.savez):
    """Puts other arrays beside a metrics.json, with the hash that it expects."""
    save(windows_path(path), **arrays)
    tree = json.loads(path.read_text())
    data = windows_path(path).read_bytes()
    tree["windows_file"]["sha256"] = hashlib.sha256(data).hexdigest()
    path.write_text(json.dumps(tree))
