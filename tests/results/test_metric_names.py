import json

import pytest

from openloop_cli.errors import MetricsError
from openloop_cli.results.metric_names import find_number, number_paths, path_text
from openloop_cli.text import clean

TREE = {
    "headline": {
        "image": {"skill": 0.5, "useful_horizon": {"steps": 7, "reason": "nothing moved"}},
        "log/a.b": {"skill": 1.5},
    },
    "a": {"b": {"c": 1}, "b.c": 2, "b.c.d": {"mean": 3}},
    "series": {"per_step": [1.0, None, 3.0], "mean": 2},
    "empty": {"skill": None, "useful_horizon": {"steps": None, "reason": "nothing moved"}},
    "flag": True,
    "text": "7",
    '"q"': 8,
    "": 9,
    "big": 10**400,
}


@pytest.mark.parametrize(
    ("path", "value", "full"),
    [
        ("headline.image.skill", 0.5, "headline.image.skill"),
        ("series.per_step.0", 1.0, "series.per_step.0"),
        ("series.per_step.-1", 3.0, "series.per_step.2"),
        ("series", 2, "series.mean"),
        ("headline.image.useful_horizon", 7, "headline.image.useful_horizon.steps"),
        ("headline.log/a.b.skill", 1.5, 'headline."log/a.b".skill'),
        ('headline."log/a.b".skill', 1.5, 'headline."log/a.b".skill'),
        ("a.b.c", 2, 'a."b.c"'),
        ("a.b.c.d", 3, 'a."b.c.d".mean'),
        ('"\\"q\\""', 8, '"\\"q\\""'),
        ('""', 9, '""'),
    ],
)
def test_numbers_by_path(path, value, full):
    found = find_number(TREE, path, "m.json")
    assert (found.value, found.path) == (value, full)
    assert find_number(TREE, found.path, "m.json") == found


def test_quotes_choose_the_shorter_name():
    assert find_number(TREE, 'a."b".c', "m").value == 1


def test_undefined_numbers_say_why():
    assert find_number(TREE, "empty.skill", "m").reason == "nothing moved"
    assert find_number(TREE, "empty.useful_horizon", "m").reason == "nothing moved"
    assert find_number(TREE, "series.per_step.1", "m") == find_number(
        TREE, "series.per_step.-2", "m"
    )


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("headline.image.skil", "the nearest are headline.image.skill"),
        ("headline", "a group: image, log/a.b"),
        ("series.per_step", "a list of 3"),
        ("series.per_step.3", "nearest"),
        ("series.per_step.-4", "nearest"),
        ("series.per_step.x", "nearest"),
        ("flag", "True"),
        ("text", "'7'"),
        ("big", ""),
        ("", "numbers stand under"),
        (".", "numbers stand under"),
        ("headline..image", ""),
        ("headline.image.", ""),
        ('"headline', ""),
        ('"headline"image', ""),
        ("é" * 100_000, "numbers stand under"),
        ("series.per_step." + "9" * 5000, ""),
    ],
)
def test_no_number_there(path, told):
    with pytest.raises(MetricsError) as error:
        find_number(TREE, path, "m.json")
    assert error.value.message.startswith("m.json: no number ")
    assert told in error.value.hint
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_all_number_paths_can_be_found():
    small = {name: value for name, value in TREE.items() if name not in ("big",)}
    paths = number_paths(small)
    assert len(paths) == 11
    for path in paths:
        find_number(small, path, "m")


def test_names_survive_quoting():
    for name in ("a.b", 'a"b', "a\nb", "", "ü", "\ud800"):
        tree = json.loads(json.dumps({name: {"x": 1}}))
        assert find_number(tree, path_text(name, "x"), "m").value == 1


def test_shown_is_safe_to_print():
    assert clean("a\x1b[31m\n\ud800\ufffeb") == "a\ufffd[31m\ufffd\ufffd\ufffdb"
    assert clean("x" * 300) == "x" * 200 + "…"
