"""Rows of environments become episodes as the reference counts them, where it is right."""

import json

import numpy as np
import pytest

from openloop_cli.serve.episodes import Episodes, Limits, RowsError
from tests.serve.harness import messages, rows, tree


def fed(*calls, limits=None):
    """Episodes after these calls of (now, rows), and the entries that came at once."""
    episodes = Episodes(limits)
    return episodes, [x for now, r in calls for x in episodes.add(r, step=7, now=now)]


def test_an_episode_is_scored_from_first_to_last():
    episodes, ended = fed(
        (0, rows([3], first=True, reward=0.5)),
        (1, rows([3], reward=0.5)),
        (2, rows([3], last=True, reward=2.0)),
    )
    assert ended == [(7, "episode/score", 3.0), (7, "episode/length", 2)]
    found = {name: value for _, name, value in episodes.flush(step=9)}
    assert found == {
        "parallel/ep_starts": 1,
        "parallel/ep_ends": 1,
        "parallel/ep_abandoned": 0,
        "parallel/ep_timeout": 0,
        "epstats/reward_rate": 0.5,
    }
    assert episodes.flush(step=9) == []


def test_evaluation_is_kept_apart():
    _, ended = fed(
        (0, rows([0], first=True, evaluation=True)), (1, rows([0], last=True, evaluation=True))
    )
    assert [name for _, name, _ in ended] == ["eval/episode/score", "eval/episode/length"]
    assert Episodes.training_rows(rows([0, 1], evaluation=True)) == 0
    assert Episodes.training_rows(rows([0, 1])) == 2


def test_the_rest_of_an_episode_after_its_timeout_is_not_reported():
    episodes, ended = fed(
        (0, rows([0, 1], first=True)),
        (100, rows([0])),
        (190, rows([0])),
        (191, rows([1])),
        (192, rows([1], last=True)),
        (193, rows([1], first=True)),
        (194, rows([1], last=True)),
    )
    assert ended == [(7, "episode/score", 2.0), (7, "episode/length", 1)]
    found = {name: value for _, name, value in episodes.flush(step=9)}
    assert found["parallel/ep_timeout"] == 1
    assert found["parallel/ep_starts"] == 3


def test_an_episode_that_starts_again_is_abandoned():
    episodes, ended = fed((0, rows([0], first=True)), (1, rows([0], first=True)))
    assert not ended
    assert dict(x[1:] for x in episodes.flush(step=0))["parallel/ep_abandoned"] == 1


def test_only_the_first_environment_is_filmed_within_its_bounds():
    image = np.arange(2 * 4 * 4 * 3, dtype="u1").reshape(2, 4, 4, 3)
    limits = Limits(frames=3)
    episodes, _ = fed(
        (0, rows([5, 6], first=True, image=image)),
        *((t, rows([5, 6], image=image)) for t in range(1, 5)),
        (6, rows([5, 6], last=True, image=image)),
        limits=limits,
    )
    found = dict(x[1:] for x in episodes.flush(step=0))
    np.testing.assert_array_equal(found["epstats/policy_image"], np.stack([image[0]] * 3))
    assert episodes.dropped == {"frames": 3}


def test_environments_are_bounded():
    episodes, _ = fed((0, rows(range(5), first=True)), limits=Limits(environments=3))
    assert episodes.open == 3
    assert episodes.dropped == {"environments": 2}


def test_kept_frames_hold_no_message():
    episodes = Episodes()
    image = np.zeros((1, 4, 4, 3), "u1")
    episodes.add(rows([0], first=True, image=image), step=0, now=0)
    image[:] = 9
    episodes.add(rows([0], last=True, image=image), step=0, now=0)
    assert dict(x[1:] for x in episodes.flush(step=0))["epstats/policy_image"][0].max() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"reward": None},
        {"reward": np.zeros(3)},
        {"reward": np.zeros((2, 2))},
        {"envid": np.zeros(2)},
        {"envid": np.array(["a", "b"])},
        {"is_last": np.array(["a", "b"])},
        {"is_first": np.array(True)},
        {"more": "text"},
    ],
)
def test_bad_rows_change_nothing(change):
    episodes = Episodes()
    bad = {k: v for k, v in {**rows([0, 1], first=True), **change}.items() if v is not None}
    with pytest.raises(RowsError):
        episodes.add(bad, step=0, now=0)
    assert episodes.open == 0
    assert episodes.flush(step=0) == []


def test_no_rows():
    assert fed((0, rows([])))[1] == []


def test_the_scripted_session_of_the_reference(shared):
    """Mixed as the reference mixes them, and without timeouts in between, its lines come out."""
    folder = shared / "golden_log" / "scripted"
    episodes, step, ended = Episodes(Limits(timeout=5)), 0, []
    stats = []
    for n, message in enumerate(messages(folder / "messages.jsonl.gz")):
        if message["method"] != "tran":
            continue
        found = tree(message["args"][0])
        step += Episodes.training_rows(found)
        ended += episodes.add(found, step=step, now=message["t"])
        if n == 18:  # where the reference flushed first
            stats = {name: value for _, name, value in episodes.flush(step=step)}
    wrote = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    scores = {(s, v) for s, name, v in ended if name == "episode/score"}
    by_step = [(x["step"], x["episode/score"]) for x in wrote if "episode/score" in x]
    # At 29 it is the rest of an episode after its timeout, and one of evaluation; at 12 an episode
    # of evaluation overwrote the one that had ended at that step.
    right = [x for x in by_step if x[0] not in (12, 29)]
    assert {s for s in scores if s[0] not in (12, 29)} >= set(right)
    evaluation = [(s, v) for s, name, v in ended if name == "eval/episode/score"]
    assert by_step[0] in evaluation
    assert (29, by_step[3][1]) in evaluation
    assert 29 not in {s for s, _ in scores}
    first = next(x for x in wrote if "parallel/ep_starts" in x)
    for key in ("ep_starts", "ep_ends", "ep_abandoned"):
        assert stats[f"parallel/{key}"] == first[f"parallel/{key}"]
    for key in ("avg", "max", "sum"):
        both = [stats[f"{lead}epstats/log/wood/{key}"] for lead in ("", "eval/")]
        assert np.mean(both) == pytest.approx(first[f"epstats/log/wood/{key}"])
    assert stats["epstats/policy_image"].shape == (6, 8, 8, 3)
