"""metrics.json and the windows beside it: both or neither, both versions, and files that lie."""

import hashlib
import json
import random
from pathlib import Path

import numpy as np
import pytest

from openloop_cli.compare.check import check
from openloop_cli.compare.compare import compare
from openloop_cli.compare.tree import comparison_tree
from openloop_cli.draw.curves import Named, charts
from openloop_cli.errors import MetricsError, OpenloopError, OutputError
from openloop_cli.results.entries import Entry
from openloop_cli.results.metrics_file import read_metrics, windows_path, write_metrics
from openloop_cli.results.table import metrics_rows
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
    np.savez(windows_path(written), **{"reward/per_window/model": np.zeros((3, 2))})
    tree = json.loads(written.read_text())
    data = windows_path(written).read_bytes()
    tree["windows_file"]["sha256"] = hashlib.sha256(data).hexdigest()
    written.write_text(json.dumps(tree))
    with pytest.raises(MetricsError, match=r"shape \(3, 2\)"):
        read_metrics(written, windows=True)


def test_version_1_is_read_as_version_2():
    old = Entry("old", read_metrics(OLD, windows=True))
    assert old.tree["version"] == 2
    assert len(old.windows) == 3
    found = compare([old, old])
    assert {row.key for row in found.rows} >= {"reward", *old.keys}
    assert all(finding.passed for finding in check(old, baseline=old))
    assert charts([Named(old.tree, "old")])


JUNK = [
    None, True, -1, 0, 1.5, 10**24, "", "text", "\x1b[31m\u202e", "x" * 3000, [], {}, [[]],
    [None], {"a": {}}, {"": None}, [1, "2", None], {"mean": "1"}, {"per_step": [1e300, "x"]},
]  # fmt: skip


def places(value, place=()):
    yield place
    if isinstance(value, (dict, list)):
        for name, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(below, (*place, name))


def mutated(text, rng):
    """One to three places replaced, removed, or added to; or the text itself damaged."""
    if rng.random() < 0.15:
        at = rng.randrange(len(text))
        return text[:at] + rng.choice(["", "9" * 400, "[", "NaN", '"', "\0"]) + text[at + 5 :]
    tree = json.loads(text)
    for _ in range(rng.randint(1, 3)):
        place = rng.choice(list(places(tree))[1:])
        parent = tree
        for name in place[:-1]:
            parent = parent[name]
        action = rng.random()
        if action < 0.7:
            parent[place[-1]] = rng.choice(JUNK)
        elif action < 0.85:
            del parent[place[-1]]
        elif isinstance(parent, dict):
            parent[rng.choice(["steps", "\x1b", "x" * 500, "per_window"])] = rng.choice(JUNK)
    return json.dumps(tree)


def use(path, good):
    """All that commands do with such a file."""
    tree = read_metrics(path, windows=True)
    entry = Entry("new", tree, str(path))
    charts([Named(tree, "new")])
    list(metrics_rows(tree))
    for made in (
        lambda: comparison_tree(compare([good, entry], allow_different=True)),
        lambda: comparison_tree(compare([entry, good], allow_different=True)),
        lambda: check(entry, baseline=good),
        lambda: check(good, baseline=entry),
    ):
        in_a_line(made)


def in_a_line(work):
    """Whether it was refused, which must be in a line that is safe to print."""
    try:
        work()
    except OpenloopError as error:
        text = str(error)
    else:
        return False
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) < 3000
    return True


def fuzz(count, folder, seed):
    rng = random.Random(seed)
    text = OLD.read_text()
    good = Entry("good", read_metrics(OLD, windows=True))
    path = folder / "m.json"
    refused = 0
    for _ in range(count):
        path.write_text(mutated(text, rng))
        refused += in_a_line(lambda: use(path, good))
    return refused


def test_mutated_files_end_in_one_line(tmp_path):
    assert fuzz(200, tmp_path, 0) > 50
