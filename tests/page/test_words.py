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
    ("steps", "by_mean", "at_least", "reason", "title", "told"),
    [
        (15, 15, False, "at step 16 it ends", "Useful horizon: 15 steps", "At step 16 it ends."),
        (1, 9, False, "x", "Useful horizon: 1 step, perhaps 9", "For 1 of 25 steps"),
        (25, 25, True, "x", "Useful horizon: at least 25 steps", "last reconstruction"),
        (0, 0, False, DECODER, "Useful horizon: 0 steps", f"{DECODER[0].upper()}{DECODER[1:]}."),
        (0, 1, False, "x", "Useful horizon: 0 steps, perhaps 1", "X."),
        (None, None, False, "nothing moved", "Useful horizon undefined", "Nothing moved."),
    ],
)
def test_the_finding(steps, by_mean, at_least, reason, title, told):
    shown = tree(steps=steps, by_mean=by_mean, at_least=at_least, reason=reason)
    found, sentence = words.verdict(shown, "image")
    assert found == title
    assert told in sentence
    assert "saw 25 context steps" in sentence
    assert "16 windows" in sentence


def test_images_lead():
    assert words.leading_key(tree(steps=1)) == "image"


def test_labels_tell_trees_apart():
    one, two = ({"run": {"name": "a"}, "checkpoint": {"step": s}} for s in (1000, 2000))
    other = {"run": {"name": "b"}, "checkpoint": {"step": None}}
    assert words.labels_of([one, two]) == ["step 1,000", "step 2,000"]
    assert words.labels_of([one, other]) == ["a, step 1,000", "b, unknown step"]
    assert words.labels_of([one, one]) == ["step 1,000 (1)", "step 1,000 (2)"]
