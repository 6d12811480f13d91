"""Which keys the model sees, by the widths of its parameters."""

import os
from itertools import chain, combinations

import numpy as np
import pytest

from openloop_cli.checkpoints import others
from openloop_cli.checkpoints.names import without_prefix
from openloop_cli.errors import OptionError, ParamsError, ReplayError
from openloop_cli.keys import KeyOptions, choices, infer_spaces
from openloop_cli.replay import KeyInfo


def info(*shape, dtype="f4"):
    return KeyInfo(np.dtype(dtype), shape)


# A vector model: `state` and `goal` encoded and decoded, one action.
SHAPES = {
    "enc/mlp0/kernel": (8, 16),
    "dec/mlp/linear0/kernel": (32, 16),
    "dec/vec/state/pred/kernel": (16, 5),
    "dec/vec/goal/pred/kernel": (16, 3),
    "dyn/dynin2/kernel": (2, 16),
    "pol/head/action/mean/kernel": (16, 2),
}
KEYS = {"state": info(5), "goal": info(3), "action": info(2), "reward": info()}


def spaces(changed=(), keys=(), **options):
    shapes = {k: x for k, x in (SHAPES | dict(changed)).items() if x is not None}
    return infer_spaces(shapes, KEYS | dict(keys), KeyOptions(**options))


def roles(found):
    return list(found.encoded), list(found.decoded)


def test_all_observations_are_no_news():
    found, notes = spaces()
    assert roles(found) == (["state", "goal"], ["state", "goal"])
    assert notes == []


def test_a_key_without_a_head_without_which_the_widths_fit_is_left_out():
    """Also where another choice of keys would fit as well."""
    found, notes = spaces(keys={"extra": info(3), "log": info(40)})
    assert roles(found) == (["state", "goal"], ["state", "goal"])
    assert notes == ["extra, log: in the replay, but not seen by the model, by the widths of its"
                     " parameters"]  # fmt: skip


def test_a_key_that_is_only_encoded():
    found, notes = spaces({"enc/mlp0/kernel": (12, 16)}, {"extra": info(4)})
    assert roles(found) == (["state", "goal", "extra"], ["state", "goal"])
    assert found.only_encoded == ("extra",)
    assert "extra: encoded and not decoded, so not drawn" in notes[0]


def test_a_key_that_is_only_decoded():
    found, notes = spaces({"enc/mlp0/kernel": (5, 16)})
    assert roles(found) == (["state"], ["state", "goal"])
    assert "goal: decoded and not encoded" in notes[0]


def test_several_choices_are_told_and_an_option_decides():
    wide = {"enc/mlp0/kernel": (12, 16)}
    keys = {"a": info(4), "b": info(4)}
    with pytest.raises(ParamsError) as raised:
        spaces(wide, keys)
    assert "state + goal + a or state + goal + b" in raised.value.message
    assert "--encode" in raised.value.hint
    found, _ = spaces(wide, keys, encode=("state", "goal", "b"))
    assert list(found.encoded) == ["state", "goal", "b"]


def test_the_classes_of_an_encoded_key_are_the_width_that_is_left():
    wide, keys = {"enc/mlp0/kernel": (8 + 12, 16)}, {"grid": info(3, dtype="i4")}
    with pytest.raises(ParamsError) as raised:
        spaces(wide, keys)
    assert "--encode" in raised.value.hint
    found, _ = spaces(wide, keys, encode=("state", "goal", "grid"))
    assert found.encoded["grid"].classes == 4


@pytest.mark.parametrize(
    ("keys", "channels", "expected"),
    [
        ({"image": 3}, 3, ["image"]),
        ({"image": 3, "depth": 1}, 4, ["image", "depth"]),
        ({"image": 3, "depth": 1}, 3, ["image"]),
        ({"image": 3, "depth": 1, "flow": 2}, 5, ["image", "flow"]),
    ],
)
def test_images_by_their_channels(keys, channels, expected):
    images = {key: info(16, 16, c, dtype="u1") for key, c in keys.items()}
    kernels = {"enc/cnn0/kernel": (5, 5, channels, 8), "dec/imgout/kernel": (5, 5, 8, channels)}
    found, _ = spaces(kernels, images)
    assert list(found.images) == list(found.encoded_images) == expected


def test_two_cameras_of_which_one_is_seen():
    images = {key: info(16, 16, 3, dtype="u1") for key in ("left", "right")}
    kernels = {"enc/cnn0/kernel": (5, 5, 3, 8), "dec/imgout/kernel": (5, 5, 8, 3)}
    with pytest.raises(ParamsError, match="left or right"):
        spaces(kernels, images)
    found, _ = spaces(kernels, images, encode=("right", "state", "goal"), decode=("right", "state"))
    assert list(found.encoded_images) == list(found.images) == ["right"]


def test_actions_without_a_policy():
    none = {"pol/head/action/mean/kernel": None}
    found, notes = spaces(none)
    assert list(found.actions) == ["action"]
    assert "took action for the actions" in notes[0]
    discrete, _ = spaces(none | {"dyn/dynin2/kernel": (6, 16)}, {"action": info(dtype="i4")})
    assert discrete.actions["action"].classes == 6
    with pytest.raises(ParamsError, match="takes 9 numbers"):
        spaces(none | {"dyn/dynin2/kernel": (9, 16)})
    both = {"arm": info(2), "gripper": info(dtype="i4")}
    found, _ = spaces(none | {"dyn/dynin2/kernel": (5, 16)}, both, actions=("arm", "gripper"))
    assert {key: space.width for key, space in found.act} == {"arm": 2, "gripper": 3}


def test_an_option_names_what_is_there():
    with pytest.raises(OptionError, match="--encode reward: no such key"):
        spaces(encode=("reward",))


def test_text_in_the_replay_is_left_out():
    found, notes = spaces(keys={"instruction": info(dtype="U40")})
    assert roles(found) == (["state", "goal"], ["state", "goal"])
    assert notes == ["instruction: in the replay, but no numbers, so not seen by the model"]


@pytest.mark.parametrize(
    ("error", "told", "options"),
    [
        (
            OptionError,
            "--decode extra: the checkpoint has no dec/vec/extra/",
            {"decode": ["extra"]},
        ),
        (OptionError, "--encode action: is an action", {"encode": ["state", "action"]}),
        (ReplayError, "'text' in the replay: expected numbers", {"actions": ["text"]}),
        (ReplayError, "'text' in the replay: expected numbers", {"encode": ["text"]}),
    ],
)
def test_options_that_cannot_be_followed(error, told, options):
    keys = {"extra": info(3), "text": info(2, dtype="U5")}
    with pytest.raises(error, match=told):
        spaces(keys=keys, **options)


def test_more_keys_than_calls_can_nest():
    assert len(choices({f"k{i}": 1 for i in range(3000)}, 1500)) == 4


@pytest.mark.parametrize("seed", range(20))
def test_choices_are_all_sets_of_that_sum(seed):
    rng = np.random.default_rng(seed)
    widths = {f"k{i}": int(x) for i, x in enumerate(rng.integers(0, 9, 8))}
    total = int(rng.integers(1, 30))
    usable = [key for key, width in widths.items() if width]
    sets = chain.from_iterable(combinations(usable, n) for n in range(1, 9))
    expected = {keys for keys in sets if sum(widths[key] for key in keys) == total}
    found = choices(widths, total)
    assert set(found) <= expected
    assert len(found) == len(set(found)) == min(len(expected), 4)


@pytest.mark.parametrize("total", [-1, 0, 31, 2**70])
def test_sums_that_nothing_has(total):
    assert choices({f"k{i}": 1 for i in range(30)}, total) == []


def test_thirty_keys_take_few_steps():
    """Odd widths and an even sum are the hardest: all subsets would be a thousand million."""
    assert len(choices({f"k{i}": 2 * i + 1 for i in range(30)}, 100)) == 4
    assert choices({f"k{i}": 2 for i in range(30)}, 31) == []


NAMES = ("enc/mlp0/kernel", "dyn/dynin0/kernel", "dec/vec/x/pred/kernel", "pol/head/a/mean/kernel")


@pytest.mark.parametrize(
    ("world", "policy", "more"),
    [
        ("", "", ["opt/mu/enc/mlp0/kernel"]),
        ("wm/", "ac/", ["opt/state/wm/dyn/dynin0/kernel", "wm/step"]),
        ("agent/model/", "agent/", ["target/agent/model/dyn/dynin0/kernel"]),
    ],
)
def test_prefixes(world, policy, more):
    names = [(policy if name.startswith("pol") else world) + name for name in NAMES]
    found, notes = without_prefix({name: name for name in [*names, *more]})
    assert set(NAMES) <= set(found)
    assert [found[name] for name in NAMES] == names
    assert set(found.values()) == {*names, *more}
    assert bool(notes) == bool(world)


def test_two_world_models_are_left_as_they_are():
    names = {f"{prefix}/{name}": 0 for prefix in ("a", "b") for name in NAMES}
    assert without_prefix(names) == (names, [])


@pytest.mark.parametrize("backwards", [False, True])
def test_a_module_below_the_prefix_comes_before_one_without(backwards):
    names = [f"wm/{name}" for name in NAMES] + ["enc/mlp0/kernel"]
    names = names[::-1] if backwards else names
    found, notes = without_prefix({name: name for name in names})
    assert found["enc/mlp0/kernel"] == "wm/enc/mlp0/kernel"
    assert notes[1] == "enc: also there without the prefix, and those passed over"


def test_a_prefix_that_acts_on_a_terminal_is_shown_clean():
    _, notes = without_prefix({f"\x1b[2J{'x' * 9999}/{name}": 0 for name in NAMES})
    assert "\x1b" not in notes[0]
    assert len(notes[0]) < 300


def test_a_large_tree_is_looked_at_in_part(tmp_path, monkeypatch):
    monkeypatch.setattr(others, "_MOST_NAMES", 10)
    for i in range(8):
        (tmp_path / f"d{i}").mkdir()
        for j in range(8):
            (tmp_path / f"d{i}" / f"f{j}").touch()
    looked = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: looked.append(folder) or scan(folder))
    assert others.other_kind(tmp_path) is None
    assert len(looked) == 2
    (tmp_path / "latest.pt").touch()
    monkeypatch.undo()
    assert others.other_kind(tmp_path) == ("latest.pt", "dreamerv3-torch")
