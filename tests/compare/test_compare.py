import json

import numpy as np
import pytest

from openloop_cli.compare.compare import cell_text, compare, mark
from openloop_cli.compare.tree import comparison_tree, curves_by_horizon, curves_by_step
from openloop_cli.errors import MetricsError
from openloop_cli.jobs.comparison import labelled
from openloop_cli.results.entries import Entry
from openloop_cli.results.metrics_file import metrics_json
from tests.trees import H, entry_of, errors, tree_of


def pair(**changes):
    return [
        entry_of({"image": errors(0)}, label="old"),
        entry_of({"image": errors(1)}, label="new", **changes),
    ]


def rows(comparison):
    return {(row.key, row.title): row for row in comparison.rows}


def test_the_table():
    old = errors()
    entries = [
        entry_of({"image": old}, label="old"),
        entry_of({"image": old | {"model": old["model"] * 1.5}}, label="worse"),
        entry_of({"image": old | {"model": old["model"] / 1.5}}, label="better"),
        entry_of({"image": errors(1)}, label="as good"),
    ]
    found = compare(entries)
    table = rows(found)
    assert list(table) == [
        ("image", "useful horizon"), ("image", "skill"), ("image", "+1"), ("image", "+5"),
        ("image", f"+{H}"), ("reward", "imagined"),
    ]  # fmt: skip
    for name in ("skill", "+1", "+5", f"+{H}"):
        marks = [mark(cell) for cell in table["image", name].cells]
        assert marks == ["", "▼", "▲", ""], name
    assert [mark(cell) for cell in table["reward", "imagined"].cells] == [""] * 4
    assert cell_text(table["image", "useful horizon"], 0) == f"≥ {H}"
    psnr = entries[0].number("headline", "image", "at", "5")
    assert cell_text(table["image", "+5"], 0) == f"{psnr:.1f}"
    assert found.paired


def test_images_come_first_and_the_reward_last():
    trees = [tree_of({"b": errors(), "a": errors(), "im": errors()}, metric="symlog_mse")] * 2
    for tree in trees:
        tree["headline"]["im"]["metric"] = "psnr"
    found = compare([Entry(label, tree) for label, tree in zip("12", trees, strict=True)])
    assert list(dict.fromkeys(row.key for row in found.rows)) == ["im", "b", "a", "reward"]


def test_another_reference():
    old = errors()
    entries = [
        entry_of({"image": old}, label="old"),
        entry_of({"image": old | {"model": old["model"] * 1.5}}, label="worse"),
    ]
    row = rows(compare(entries, 1))["image", "skill"]
    assert [mark(cell) for cell in row.cells] == ["▲", ""]


@pytest.mark.parametrize(
    ("rollout", "told"),
    [
        ({"windows": ["W:0", *(f"V:{i}" for i in range(1, 16))]}, "windows (16 and 16, 1 of them"),
        ({"length": H + 5, "context": 5}, "length (12 and 13), context (4 and 5)"),
        ({"seed": 7}, "seed (0 and 7)"),
        ({"latents": "mode"}, "latents (sample and mode)"),
    ],
)
def test_what_was_rolled_out_otherwise_is_refused(rollout, told):
    with pytest.raises(MetricsError) as error:
        compare(pair(**rollout))
    assert told in error.value.message
    assert error.value.message.startswith("new and old differ in ")
    assert "--allow-different" in error.value.hint


def test_what_was_drawn_otherwise_is_still_paired_when_allowed():
    found = compare(pair(seed=7), allow_different=True)
    assert found.paired
    assert found.notes == ("new and old differ in seed (0 and 7)",)


def test_other_windows_are_compared_unpaired_when_allowed():
    old = errors()
    worse = old | {"model": old["model"] * 1.1}
    names = [f"V:{i}" for i in range(16)]
    same = [entry_of({"image": x}, label=str(i)) for i, x in enumerate((old, worse))]
    other = [same[0], entry_of({"image": worse}, label="new", windows=names)]
    assert rows(compare(same))["image", "+5"].cells[1].verdict == "worse"
    found = compare(other, allow_different=True)
    assert not found.paired
    assert rows(found)["image", "+5"].cells[1].verdict == "same"


def test_nothing_in_common():
    entries = [entry_of({"a": errors()}, label="1"), entry_of({"b": errors()}, label="2")]
    with pytest.raises(MetricsError, match="no observation key in common"):
        compare(entries)


@pytest.mark.parametrize(
    "path",
    [
        ("headline",),
        ("rollout", "seed"),
        ("headline", "image", "metric"),
        ("reward", "per_window", "model"),
        ("observations", "image", "per_window", "model"),
        ("observations", "image", "per_window", "floor"),
        ("headline", "image", "useful_horizon", "at_least"),
    ],
)
@pytest.mark.parametrize("wrong", ["missing", "text", "short", "deep"])
def test_missing_and_malformed_numbers(path, wrong):
    old, new = pair()
    place = new.tree
    for name in path[:-1]:
        place = place[name]
    if wrong == "missing":
        del place[path[-1]]
    else:
        place[path[-1]] = {"text": [["x"]], "short": [[1.0]], "deep": [[[1.0]]] * 16}[wrong]
    with pytest.raises(MetricsError) as error:
        compare([old, Entry("new", new.tree, "new.json")])
    assert "new.json" in error.value.message
    assert "\n" not in str(error.value)


def test_the_tree_is_strict_json_and_says_what_the_table_says():
    found = compare(pair())
    tree = json.loads(metrics_json(comparison_tree(found)))
    assert (tree["format"], tree["version"], tree["against"]) == ("openloop-comparison", 1, 0)
    assert [x["label"] for x in tree["checkpoints"]] == ["old", "new"]
    assert len(tree["table"]) == len(found.rows)
    for written, row in zip(tree["table"], found.rows, strict=True):
        assert (written["key"], written["number"]) == (row.key, row.title)
        assert [x["verdict"] for x in written["cells"]] == [x.verdict for x in row.cells]
        assert [x["value"] for x in written["cells"]] == pytest.approx([x.new for x in row.cells])
    assert tree["table"][0]["cells"][0]["at_least"] is True


def test_curves_against_the_horizon():
    entries = pair()
    curves = curves_by_horizon(entries)["image"]
    assert curves["steps"] == list(range(1, H + 1))
    assert [(x["label"], x["number"]) for x in curves["lines"]] == [
        ("old", "psnr"), ("new", "psnr"), ("climatology", "psnr"), ("old", "skill"),
        ("new", "skill"),
    ]  # fmt: skip
    model = entries[1].tree["observations"]["image"]["imagined"]["model"]["psnr"]
    np.testing.assert_array_equal(curves["lines"][1]["value"], model["per_step"])
    assert all(len(x[end]) == H for x in curves["lines"] for end in ("value", "low", "high"))


def test_curves_against_training_are_in_its_order():
    entries = []
    for step in (3000, 1000, None, 2000):
        tree = tree_of({"image": errors(model=6000 / (step or 1))})
        tree["checkpoint"]["step"] = step
        entries.append(Entry(str(step), tree))
    curves = curves_by_step(entries)["image"]
    assert curves["steps"] == [1000, 2000, 3000]
    lines = {(x["number"], x["path"]): x for x in curves["lines"]}
    values = lines["psnr", "model"]["value"]
    assert values == sorted(values)
    assert values[0] == entries[1].number("headline", "image", "imagined")
    assert set(lines) == {("psnr", "model"), ("psnr", "floor"), ("skill", "model"),
                          ("reconstruction_skill", "model")}  # fmt: skip
    assert "low" in lines["reconstruction_skill", "model"]
    assert "low" in lines["skill", "model"]


def trees(*checkpoints):
    found = []
    for run, step, source in checkpoints:
        tree = tree_of({"image": errors()})
        tree["run"]["name"], tree["checkpoint"]["step"] = run, step
        found.append(Entry("", tree, source))
    return [entry.label for entry in labelled(found)]


def test_labels_are_as_short_as_they_can_be():
    assert trees(("a", 1000, "x"), ("a", 2000, "y")) == ["step 1,000", "step 2,000"]
    assert trees(("a", 1000, "x"), ("b", 1000, "y")) == ["a step 1,000", "b step 1,000"]
    assert trees(("a", 1000, "d/x.metrics.json"), ("a", 1000, "d/y.json")) == [
        "step 1,000 (x)", "step 1,000 (y)",
    ]  # fmt: skip
    assert trees(("a", None, "1/x"), ("a", None, "2/x")) == [
        "unknown step (1/x)", "unknown step (2/x)",
    ]  # fmt: skip


def test_the_verdict_is_a_sentence():
    old = errors()
    worse, other = old | {"model": old["model"] * 1.5}, errors(1)

    def verdict(*models, against=0):
        names = ("first", "second", "third")
        entries = [
            entry_of({"image": x}, label=name) for x, name in zip(models, names, strict=False)
        ]
        return compare(entries, against).verdict

    assert verdict(old, other) == "image: first and second are not told apart"
    assert verdict(old, worse).startswith("first is better: image, skill 0.8")
    assert verdict(worse, old).startswith("second is better: image, skill 0.8")
    assert verdict(worse, old, against=1) == verdict(worse, old)
    blind = old | {"model": old["last_reconstruction"] * 1.2}
    assert verdict(blind, old) == (
        f"second sees farther: image, useful horizon ≥ {H} against 0 steps"
    )
    assert verdict(old, worse, other) == (
        "image: of 2 checkpoints 0 better, 1 worse than first, 1 not told apart"
    )
