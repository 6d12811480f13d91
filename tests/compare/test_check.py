import pytest

from openloop_cli.compare.check import Limit, check, number_text, parse_limit
from openloop_cli.compare.pairing import Change
from openloop_cli.errors import MetricsError
from tests.trees import H, entry_of, errors

HEADLINE = [
    "headline.image.useful_horizon.steps", "headline.image.context", "headline.image.imagined",
    "headline.image.skill", "headline.image.reconstruction_skill", "reward.imagined.mae.mean",
]  # fmt: skip


def entry(draw=0, label="m.json", **options):
    return entry_of({"image": errors(draw)}, label=label, **options)


@pytest.mark.parametrize(
    ("limit", "passed"),
    [
        (Limit("min", "headline.image.skill", 0.5), True),
        (Limit("min", "headline.image.skill", 0.9), False),
        (Limit("max", "headline.image.skill", 0.5), False),
        (Limit("max", "headline.image.skill", 0.9), True),
        (Limit("min", "headline.image.useful_horizon", H), True),
        (Limit("max", "headline.image.useful_horizon", H), True),
        (Limit("max", "headline.image.useful_horizon", H - 1), False),
    ],
)
def test_limits(limit, passed):
    (found,) = check(entry(), [limit])
    assert found.passed is passed
    assert bool(found.reason) is not passed
    assert found.expected == f"at {'least' if limit.kind == 'min' else 'most'} {limit.value:g}"


def test_an_undefined_number_fails_with_the_reason():
    still = errors()
    still["last_reconstruction"] = still["floor"]
    (found,) = check(entry_of({"image": still}), [Limit("max", "headline.image.skill", 1)])
    assert (found.passed, found.value) == (False, None)
    assert found.reason == "undefined: nothing moved beyond noise"


def test_a_limit_on_a_number_that_does_not_exist():
    with pytest.raises(MetricsError, match=r"m\.json: no number 'headline\.image\.skil'"):
        check(entry(), [Limit("min", "headline.image.skil", 0)])


def test_against_itself_everything_passes():
    found = check(entry(), baseline=entry())
    assert [x.name for x in found] == HEADLINE
    assert all(x.passed for x in found)


def test_a_worse_model_fails_by_what_got_worse():
    worse = errors()
    worse["model"] = worse["model"] * 1.2
    found = check(entry_of({"image": worse}), baseline=entry())
    assert [x.name for x in found if not x.passed] == [
        "headline.image.imagined", "headline.image.skill",
    ]  # fmt: skip
    assert found[2].reason.startswith("worse, -0.792 (-0.792 to -0.792)")
    assert all(x.passed for x in check(entry(), baseline=entry_of({"image": worse})))


def test_limits_and_baseline_together():
    found = check(entry(), [Limit("min", "headline.image.skill", 2)], entry())
    assert [x.passed for x in found] == [False] + [True] * 6


def test_another_seed_is_the_same_checkpoint():
    assert all(x.passed for x in check(entry(1, seed=1), baseline=entry()))


@pytest.mark.parametrize(
    ("rollout", "told"),
    [
        ({"windows": [f"V:{i}" for i in range(16)]}, "windows (16 and 16, 0 of them the same)"),
        ({"length": H + 5, "context": 5}, "length"),
        ({"latents": "mode"}, "latents (sample and mode)"),
    ],
)
def test_a_baseline_of_other_windows_is_refused(rollout, told):
    with pytest.raises(MetricsError) as error:
        check(entry(**rollout), baseline=entry(label="old.json"))
    assert told in error.value.message
    assert "--window old.json" in error.value.hint


def test_one_window_says_nothing():
    one = entry_of({"image": errors(windows=1)})
    with pytest.raises(MetricsError, match="1 window"):
        check(one, baseline=one)


@pytest.mark.parametrize(
    "path",
    [
        ("headline", "image"),
        ("headline", "image", "skill"),
        ("observations", "image", "per_window"),
        ("observations", "image", "per_window", "climatology"),
        ("observations", "image", "per_window", "context"),
        ("reward",),
    ],
)
def test_numbers_that_only_the_baseline_has(path):
    new = entry(label="new.json")
    place = new.tree
    for name in path[:-1]:
        place = place[name]
    del place[path[-1]]
    with pytest.raises(MetricsError, match=r"new\.json: .*missing"):
        check(new, baseline=entry())


def test_keys_that_only_the_new_metrics_have_are_not_asked():
    new = entry_of({"image": errors(), "more": errors(1)})
    assert [x.name for x in check(new, baseline=entry())] == HEADLINE


def test_names_that_need_quotes_and_names_that_attack_a_terminal():
    name = "a.b\x1b[2J\n|"
    both = entry_of({name: errors()})
    found = check(both, baseline=both)
    assert found[0].name.startswith('headline."a.b')
    assert all(x.name.isprintable() or "\ufffd" in x.name for x in found)
    assert not any("\x1b" in x.name or "\n" in x.name for x in found)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("a.b=1", Limit("min", "a.b", 1)),
        ("a=b=-1e3", Limit("min", "a=b", -1000)),
        (" a = 2 ", Limit("min", "a", 2)),
        ("a", None), ("a=", None), ("=1", None), ("a=x", None), ("a=nan", None), ("a=inf", None),
        ("", None), ("a=1 2", None),
    ],
)  # fmt: skip
def test_limits_on_the_command_line(text, limit):
    assert parse_limit("min", text) == limit


def test_numbers_as_text():
    assert [number_text(x) for x in (None, 25.0, 0.123456, 30.98765, 123456.7, 1e9)] == [
        "undefined", "25", "0.1235", "30.99", "123457", "1e+09",
    ]  # fmt: skip
    assert Change("x", 1, 2, 1.0, 0.5, None).text == "+1 (+0.5 to ∞)"
    assert Change("x", 1, 1, 0.0, 0.0, 0.0).text == ""
