"""What the page says of a tree, in words."""

import pytest

from openloop_cli.page import words


def tree(**horizon):
    return {
        "rollout": {"length": 50, "context": 25, "windows": ["a"] * 16},
        "observations": {"pose": {"kind": "continuous"}, "image": {"kind": "image"}},
        "headline": {"image": {"metric": "psnr", "useful_horizon": {"of": 25, **horizon}}},
    }


DECODER = "the decoder does not show what moves"


@pytest.mark.parametrize(
    ("steps", "low", "high", "at_least", "reason", "title", "told"),
    [
        (15, 15, 15, False, "it ends", "Useful horizon: 15 steps", "It ends."),
        (1, 0, 9, False, "x", "Useful horizon: 1 step (0 to 9)", "X."),
        (25, 18, 25, True, "x", "Useful horizon: at least 25 steps (18 to ≥ 25)", "X."),
        (25, 25, 25, True, "x", "Useful horizon: at least 25 steps", "X."),
        (0, 0, 0, False, DECODER, "Useful horizon: 0 steps", f"{DECODER[0].upper()}{DECODER[1:]}."),
        (None, None, None, False, "few", "Useful horizon undefined", "Few."),
    ],
)
def test_the_finding(steps, low, high, at_least, reason, title, told):
    ends = {"low": low, "high": high, "high_at_least": high == 25}
    shown = tree(steps=steps, at_least=at_least, reason=reason, **ends)
    found, sentence = words.verdict(shown, "image")
    assert found == title
    assert told in sentence
    assert "saw 25 context steps" in sentence
    assert "16 windows" in sentence


def test_windows_that_share_their_luck_are_told():
    shown = tree(steps=1, reason="x")
    shown["rollout"] |= {"episodes": [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3], "apart": 15}
    _, sentence = words.verdict(shown, "image")
    assert "16 windows of 4 episodes, 15 of them apart (worth 8 independent)." in sentence


def test_why_is_told_of_each_key():
    shown = tree(steps=1)
    assert words.reasons(shown) == {}
    shown["headline"]["image"]["why"] = "hardly listens"
    assert words.reasons(shown) == {"image": "Hardly listens."}


def test_images_lead():
    assert words.leading_key(tree(steps=1)) == "image"


def test_labels_tell_trees_apart():
    one, two = ({"run": {"name": "a"}, "checkpoint": {"step": s}} for s in (1000, 2000))
    other = {"run": {"name": "b"}, "checkpoint": {"step": None}}
    assert words.labels_of([one, two]) == ["step 1,000", "step 2,000"]
    assert words.labels_of([one, other]) == ["a, step 1,000", "b, unknown step"]
    assert words.labels_of([one, one]) == ["step 1,000 (1)", "step 1,000 (2)"]
