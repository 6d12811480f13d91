"""Changes with known answers; what pairing sees that two intervals side by side do not."""

from pathlib import Path

import numpy as np
import pytest

from openloop_cli.compare.pairing import Change, headline_changes, judge
from openloop_cli.compare.quantities import (
    context_quantity,
    horizon_quantity,
    imagined_quantity,
    reconstruction_quantity,
    reward_quantity,
    skill_quantity,
    step_quantity,
)
from openloop_cli.measures.clusters import clusters
from openloop_cli.measures.statistics import interval
from openloop_cli.results.entries import Entry
from tests.trees import B, H, entry_of, errors

NO_END = "skill 0.80 over steps 1 to 8, no end found: look farther with --length 24"
SEEDS = Path(__file__).parents[1] / "fixtures" / "seeds" / "cheetah.npz"


def changed(change):
    return pytest.approx((change.change, change.low, change.high), abs=1e-5)


def test_half_the_error_in_every_window_is_three_decibels():
    old = errors()
    new = old | {"model": old["model"] / 2}
    pair = [entry_of({"image": x}) for x in (old, new)]
    for quantity in (imagined_quantity, lambda e, k: step_quantity(e, k, 5)):
        change = judge(*(quantity(entry, "image") for entry in pair), level=0.95)
        assert changed(change) == (3.0103, 3.0103, 3.0103)
        assert change.verdict == "better"
    change = judge(*(context_quantity(entry, "image") for entry in pair), level=0.95)
    assert changed(change) == (0, 0, 0)
    assert change.verdict == "same"


def test_a_constant_rise_of_an_error():
    old = errors()
    seen = {"x": np.linspace(1, 2, B)}
    more = {"x": seen["x"] + 0.25}
    pair = [
        entry_of({"x": old}, observed=observed, metric="symlog_mse") for observed in (seen, more)
    ]
    change = judge(*(context_quantity(entry, "x") for entry in pair), level=0.99)
    assert changed(change) == (0.25, 0.25, 0.25)
    assert (change.old, change.new, change.verdict) == (1.5, 1.75, "worse")


def test_a_rise_that_is_too_small_to_matter():
    seen = {"x": np.linspace(1, 2, B)}
    more = {"x": seen["x"] + 0.001}
    pair = [entry_of({"x": errors()}, observed=x, metric="symlog_mse") for x in (seen, more)]
    assert judge(*(context_quantity(e, "x") for e in pair), level=0.95).verdict == "same"


def exact(share):
    """Every window and step has a skill of `share`."""
    paths = errors()
    moved = paths["last_reconstruction"] = paths["floor"] * 5
    return paths | {"model": paths["floor"] + (1 - share) * (moved - paths["floor"])}


def test_skill_by_hand():
    pair = [entry_of({"image": exact(share)}) for share in (0.8, 0.5)]
    change = judge(*(skill_quantity(entry, "image") for entry in pair), level=0.95)
    assert changed(change) == (-0.3, -0.3, -0.3)
    assert change.verdict == "worse"


def test_reconstruction_skill_by_hand():
    old = errors()
    worse = old | {"floor": old["floor"] + old["climatology"] / 4}
    pair = [entry_of({"image": x}) for x in (old, worse)]
    change = judge(*(reconstruction_quantity(entry, "image") for entry in pair), level=0.95)
    assert changed(change) == (-0.25, -0.25, -0.25)
    assert change.new - change.old == pytest.approx(-0.25, abs=1e-6)


@pytest.mark.parametrize("quantity", [imagined_quantity, skill_quantity, reconstruction_quantity])
def test_the_change_is_the_difference_of_the_numbers(quantity):
    pair = [quantity(entry_of({"image": errors(seed)}), "image") for seed in (1, 2)]
    change = judge(*pair, level=0.95)
    # Climatology is the windows' own; here two draws of it stand in.
    loose = 0.02 if quantity is reconstruction_quantity else 1e-5
    assert change.change == pytest.approx(change.new - change.old, abs=loose)
    assert change.low < change.change < change.high


def test_every_number_agrees_with_its_own_windows():
    entry = entry_of({"image": errors()})
    for quantity in (imagined_quantity, skill_quantity, reconstruction_quantity):
        found = quantity(entry, "image")
        assert float(found.own(0.95).mean) == pytest.approx(found.value, rel=1e-5)


def test_pairing_sees_what_two_intervals_do_not():
    old = errors()
    new = old | {"model": old["model"] * 1.05}
    pair = [imagined_quantity(entry_of({"image": x}), "image") for x in (old, new)]
    assert judge(*pair, level=0.95).verdict == "worse"
    alone = judge(*pair, level=0.95, paired=False)
    assert alone.verdict == "same"
    assert alone.low < alone.change < 0 < alone.high


def test_unpaired_windows_that_lie_far_apart():
    few = [imagined_quantity(entry_of({"image": errors(windows=n)}), "image") for n in (16, 12)]
    far = imagined_quantity(entry_of({"image": errors(model=40.0)}), "image")
    assert judge(*few, level=0.95, paired=False).verdict == "same"
    assert judge(few[0], far, level=0.95, paired=False).verdict == "worse"


def broken(entry, number, *path):
    """The same with a number at a path, the last of which is an index or a name."""
    place = entry.tree
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = number
    return entry


def test_windows_without_a_number_are_worse():
    old = entry_of({"image": errors()})
    new = broken(entry_of({"image": errors()}), None, "reward", "per_window", "model", 3, 0)
    change = judge(reward_quantity(old), reward_quantity(new), level=0.95)
    assert (change.verdict, change.note) == ("worse", "undefined in 1 of 16 windows")
    assert judge(reward_quantity(new), reward_quantity(old), level=0.95).verdict == "same"


def test_undefined_numbers():
    old, new = entry_of({"image": errors()}), entry_of({"image": errors()})
    broken(new, None, "headline", "image", "imagined")
    broken(new, None, "headline", "image", "skill")
    assert [
        (x.verdict, x.note)
        for x in headline_changes(old, new, level=0.95)
        if x.name in ("headline.image.imagined", "headline.image.skill")
    ] == [("worse", "undefined"), ("same", f"undefined: {NO_END}")]


def fading(step, level=0.9):
    """Skill `level` up to a step, far below 0 from there on."""
    paths = exact(level)
    paths["model"][:, step:] = paths["last_reconstruction"][:, step:] * 2
    return entry_of({"image": paths})


def judged_horizon(old, new):
    return judge(*(horizon_quantity(entry, "image") for entry in (old, new)), level=0.95)


def test_a_shorter_horizon():
    change = judged_horizon(fading(7), fading(3))
    assert (change.old, change.new, change.change, change.verdict) == (7, 3, -4, "worse")
    assert (change.low, change.high) == (-4, -4)
    assert judged_horizon(fading(3), fading(7)).verdict == "better"


def test_a_horizon_that_ends_elsewhere_by_chance():
    """In half of the windows, each at random, the last steps are good and the others bad."""
    sides = []
    for seed in (0, 1):
        paths = exact(0.5)
        bad = np.random.default_rng(seed).permutation(B) < B // 2 + seed
        paths["model"][bad, 4:] = paths["last_reconstruction"][bad, 4:] * 2
        sides.append(entry_of({"image": paths}))
    change = judged_horizon(*sides)
    assert change.verdict == "same"
    assert change.low <= change.change <= change.high


def test_a_horizon_that_the_decoder_ends():
    old = entry_of({"image": exact(0.5)})
    paths = exact(0.5)
    blind = entry_of({"image": paths | {"floor": paths["climatology"] * 1.5}})
    change = judged_horizon(old, blind)
    assert (change.old, change.new, change.verdict) == (H, 0, "worse")
    skill = judge(*(skill_quantity(entry, "image") for entry in (old, blind)), level=0.95)
    assert skill.verdict == "same"
    assert skill.note.startswith("undefined: the decoder does not show what moves (reconstruction")


def test_an_undefined_horizon_is_no_verdict():
    old, new = entry_of({"image": exact(0.5)}), entry_of({"image": exact(0.5)})
    broken(new, None, "headline", "image", "useful_horizon", "steps")
    broken(new, "x", "headline", "image", "useful_horizon", "reason")
    change = judged_horizon(old, new)
    assert change == Change(change.name, H, None, note="undefined: x")


@pytest.mark.parametrize("sizes", [[1] * 16, [4] * 4, [8] * 2], ids=str)
def test_windows_of_one_episode_share_their_luck(sizes):
    """No change at all, and 30 % of the variance between episodes: no more than 5 % false verdicts,
    whatever the number of episodes. Taken for independent, they would be 5, 14 and 26 %."""
    episodes = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(0)
    between = rng.standard_normal((1000, len(sizes)))[:, episodes]
    noise = np.sqrt(0.3) * between + np.sqrt(0.7) * rng.standard_normal((1000, B))
    shared = clusters(list(episodes))
    told = interval(noise.T, resamples=500, shared=shared)
    assert ((told.low > 0) | (told.high < 0)).mean() <= 0.06
    entry = entry_of({"image": errors()}, episodes=[int(x) for x in episodes])
    np.testing.assert_array_equal(imagined_quantity(entry, "image").shared.labels, episodes)


def test_two_seeds_of_one_checkpoint_are_not_told_apart():
    """Genuine rollouts with eight seeds; of each window two seeds at random, one for each side."""
    with np.load(SEEDS) as file:
        data = dict(file)
    rng = np.random.default_rng(0)
    failed = sum(
        any(x.verdict == "worse" for x in headline_changes(*drawn(data, rng), level=0.95))
        for _ in range(100)
    )
    assert failed <= 5


def drawn(data, rng):
    """Two entries with the errors of two seeds, chosen anew for each window."""
    seeds, windows = data["reward"].shape[:2]
    chosen = np.array([rng.choice(seeds, 2, replace=False) for _ in range(windows)])
    for side in (0, 1):
        pick = chosen[:, side], np.arange(windows)
        paths = {
            path: data[f"image/{path}"][pick] for path in ("model", "floor", "last_reconstruction")
        }
        paths["climatology"] = data["image/climatology"]
        observed = {"image": data["image/observed"][pick]}
        yield entry_of({"image": paths}, reward=data["reward"][pick], observed=observed)


def test_the_simulation_would_see_a_worse_model():
    with np.load(SEEDS) as file:
        data = dict(file)
    old, new = drawn(data, np.random.default_rng(1))
    worse = np.asarray(new.tree["observations"]["image"]["per_window"]["model"]) * 1.3
    tree = new.tree
    tree["observations"]["image"]["per_window"]["model"] = worse.tolist()
    names = [x.name for x in headline_changes(old, Entry("", tree), level=0.95)
             if x.verdict == "worse"]  # fmt: skip
    assert "headline.image.imagined" in names
