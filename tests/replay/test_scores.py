"""Scores of episodes over chunks that follow one another."""

import numpy as np
import pytest

from openloop_cli.replay import Scores, episode_scores, open_replay
from tests.conftest import ROOT

from .synthetic import steps


def stream(episodes, lengths, begin=0):
    """Whole episodes of these rewards as one stream; its first `begin` steps are missing."""
    data = steps(sum(map(len, episodes)))
    data["reward"] = np.concatenate(episodes).astype(np.float32)
    ends = np.cumsum([len(x) for x in episodes])
    data["is_last"][ends - 1] = True
    data["is_first"][[0, *ends[:-1]]] = True
    data = {key: x[begin:] for key, x in data.items()}
    return {"lengths": lengths, "extra": data}


def random_episodes(rng):
    return [rng.choice([0, 0.005, 1, -2], size=n).astype(np.float32) for n in rng.integers(1, 9, 5)]


def expected(episodes):
    rates = [(np.abs(np.diff(x)) >= 0.01).mean() if len(x) > 1 else 0 for x in episodes]
    return np.mean([(x.sum(), len(x), r) for x, r in zip(episodes, rates, strict=True)], axis=0)


@pytest.mark.parametrize("seed", range(8))
def test_whole_episodes_over_any_chunks(writer, seed):
    rng = np.random.default_rng(seed)
    found = random_episodes(rng)
    total = sum(map(len, found))
    cuts = sorted(rng.choice(np.arange(1, total), min(3, total - 1), replace=False).tolist())
    writer.stream(**stream(found, np.diff([0, *cuts, total]).tolist()))
    scores = episode_scores(open_replay(writer.folder))
    assert (scores.complete, scores.incomplete) == (len(found), 0)
    means = (scores.score, scores.length, scores.reward_rate)
    np.testing.assert_allclose(means, expected(found), rtol=1e-6, atol=1e-6)


def test_parts_are_counted_and_no_more(writer):
    """The first lost its beginning, the last goes on."""
    episodes = [np.ones(4), np.full(3, 2.0), np.ones(5)]
    data = stream(episodes, [6, 5], begin=1)
    data["extra"]["is_last"][-1] = False
    writer.stream(**data)
    scores = episode_scores(open_replay(writer.folder))
    assert scores == Scores(complete=1, incomplete=2, score=6, length=3, reward_rate=0)


def test_an_episode_that_was_abandoned(writer):
    """The next one starts before it ended."""
    data = stream([np.ones(4), np.ones(3)], [7])
    data["extra"]["is_last"][3] = False
    writer.stream(**data)
    scores = episode_scores(open_replay(writer.folder))
    assert (scores.complete, scores.incomplete, scores.length) == (1, 1, 3)


def test_a_damaged_chunk_breaks_its_stream(writer):
    writer.stream(**stream([np.ones(4), np.ones(4), np.ones(4)], [2, 4, 6]))
    writer.paths[1].write_bytes(b"PK")
    scores = episode_scores(open_replay(writer.folder))
    # Of the first two steps nothing more is known; the second episode lost its first half.
    assert scores == Scores(complete=1, incomplete=2, score=4, length=4, reward_rate=0)


def test_no_rewards(writer):
    writer.stream([5, 5], extra={"reward": np.zeros((10, 2), np.float32)})
    assert episode_scores(open_replay(writer.folder)) == Scores(0, 0, None, None, None)


def test_the_samples_are_those_that_its_trainer_logged():
    """Its replay keeps the last two that `scores.jsonl` has."""
    scores = episode_scores(open_replay(ROOT / "sample_data" / "dmc_cheetah_run"))
    logged = [13.310203126406122, 27.33061138776975]
    assert (scores.complete, scores.length) == (2, 501)
    assert scores.score == pytest.approx(np.mean(logged), rel=1e-5)
