"""Whether the useful horizon can be trusted: the tables of docs/horizon.md, by hand.

    python benchmarks/horizon.py [--what blind fading verdicts sample] [--runs 200] [--run FOLDER]

- blind: made-up models that repeat their last reconstruction from a step on: how far the horizon is
  off, how often it lies within 20 % of the true one, how often the interval holds that.
- fading: models whose skill falls evenly, each window with its own luck, of which 30 % is its
  episode's: the same, for windows of many and of few episodes.
- verdicts: how often the paired test calls a change where there is none, at 5 %.
- sample: genuine rollouts of a run's checkpoints with ten seeds, which choose the windows and draw
  the latents.

Errors are made from vectors: a body of 16 numbers that moves smoothly, a decoder that blurs it
always in the same way within a window, and noise of its own in each reconstruction.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.measures.clusters import Clusters, clusters, unrelated
from openloop_cli.measures.horizon import horizon_parts, useful_horizon
from openloop_cli.measures.statistics import interval

STEPS, BODY, ICC = 25, 16, 0.3
SAMPLE = Path(__file__).parents[1] / "sample_data" / "dmc_cheetah_run"
EPISODES: dict[str, list[int]] = {
    "8 x 1": [1] * 8,
    "16 x 1": [1] * 16,
    "64 x 1": [1] * 64,
    "4 x 4": [4] * 4,
    "2 x 8": [8] * 2,
    "8 x 8": [8] * 8,
}

Errors = tuple[Array, Array, Array]
"""Of the model, the floor and persistence, (runs, windows, steps)."""


@dataclass(frozen=True)
class Scene:
    """What is seen: how far the body moves, and how noisy each reconstruction is."""

    motion: float
    noise: float
    rng: np.random.Generator

    def draw(self, shape: tuple[int, int], loss: Array, after: int = STEPS) -> Errors:
        """Errors of a model that loses a share of the movement.

        Args:
          shape: Runs, windows.
          loss: Of the movement, at each step, (runs or 1, windows or 1, steps).
          after: From this step on it repeats its last reconstruction.
        """
        rng, whole = self.rng, (*shape, STEPS, BODY)
        body, speed = np.zeros((*shape, BODY)), 0.5 * rng.standard_normal((*shape, BODY))
        path = np.empty(whole)
        for step in range(STEPS):
            speed = 0.8 * speed + 0.3 * rng.standard_normal((*shape, BODY))
            body = 0.9 * body + speed
            path[:, :, step] = body
        pace = np.exp(0.25 * rng.standard_normal((*shape, 1, 1)))
        path *= self.motion * pace / 1.2
        one = (*shape, 1, BODY)
        blur = 0.5 * rng.standard_normal(one)
        last = blur + self._noise(one)
        seen = path + blur + self._noise(whole)
        size = np.sqrt(np.square(path).mean(-1, keepdims=True))
        wrong = np.sqrt(loss)[..., None] * size * rng.standard_normal(one)
        said = path + blur + wrong + self._noise(whole)
        blind = last + 0.3 * self._noise(whole)
        said = np.where((np.arange(STEPS) >= after)[:, None], blind, said)
        error, floor, still = (np.square(x - path).mean(-1) for x in (said, seen, last))
        return error, floor, still

    def _noise(self, shape: tuple[int, ...]) -> Array:
        return np.asarray(self.noise * self.rng.standard_normal(shape))


def blind(runs: int) -> Iterator[str]:
    """Skill is 0.8, and 0 from a step on."""
    yield "| noise | motion | windows | goes blind after | mean | spread | within 20 % | covered |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|"
    for noise in (0.1, 0.5):
        for motion in (0.3, 1.5):
            for windows in (8, 16, 64):
                for after in (0, 5, 15, STEPS):
                    scene = Scene(motion, noise, np.random.default_rng(1))
                    loss = np.full((1, 1, STEPS), 0.2)
                    errors = scene.draw((runs, windows), loss, after)
                    told = f"| {noise} | {motion} | {windows} | {after if after < STEPS else 'no'} "
                    yield told + _row(errors, after, unrelated(windows))


def fading(runs: int) -> Iterator[str]:
    """Skill falls from 0.95 by so much a step."""
    yield "| skill lost a step | windows | true | mean | spread | within 20 % | covered |"
    yield "|---:|---|---:|---:|---:|---:|---:|"
    for slope in (0.035, 0.06, 0.15):
        loss = 1 - (0.95 - slope * np.arange(1, STEPS + 1))[None, None]
        many = Scene(1.0, 0.3, np.random.default_rng(2)).draw(
            (1, 20_000), _lucky(loss, [1] * 20000)
        )
        true = horizon_parts(*(x[0] for x in many)).steps
        for name, sizes in EPISODES.items():
            scene = Scene(1.0, 0.3, np.random.default_rng(1))
            errors = scene.draw((runs, sum(sizes)), _lucky(loss, sizes, runs))
            shared = clusters(list(_episodes(sizes)))
            yield f"| {slope} | {name} | {true} " + _row(errors, true, shared)


def verdicts(runs: int) -> Iterator[str]:
    """No change at all; some of the variance lies between episodes."""
    yield "| windows | share between episodes | taken for independent | as it is |"
    yield "|---|---:|---:|---:|"
    for name, sizes in EPISODES.items():
        for share in (0.0, ICC, 0.6):
            rng, episodes = np.random.default_rng(1), _episodes(sizes)
            between = rng.standard_normal((10 * runs, len(sizes)))[:, episodes]
            within = rng.standard_normal(between.shape)
            change = (np.sqrt(share) * between + np.sqrt(1 - share) * within).T
            told = []
            for shared in (None, clusters(list(episodes))):
                found = interval(change, resamples=1000, shared=shared)
                told.append(f"{((found.low > 0) | (found.high < 0)).mean():.1%}")
            yield f"| {name} | {share:.0%} | {' | '.join(told)} |"


def sample(run: Path) -> Iterator[str]:
    """Genuine rollouts; only the horizons are kept."""
    from openloop_cli.jobs.report import report
    from openloop_cli.quantities import horizon_text

    yield "| checkpoint | latents | length | key | within 20 % | seeds 0 to 9 |"
    yield "|---|---|---|---|---:|---|"
    for checkpoint in sorted(path for path in (run / "ckpt").iterdir() if path.is_dir()):
        for latents in ("sample", "mode"):
            for length in (None, 50):
                found = [
                    report(checkpoint, run, latents=latents, length=length, seed=seed)
                    for seed in range(10)
                ]
                steps = found[0].loop.length
                for key in found[0].headline:
                    told = [x.headline[key]["useful_horizon"] for x in found]
                    numbers = [x["steps"] for x in told]
                    middle = float(np.median([-1 if x is None else x for x in numbers]))
                    near = sum(x is not None and abs(x - middle) <= 0.2 * middle for x in numbers)
                    texts = ", ".join(horizon_text(x).replace(f" of {x['of']}", "") for x in told)
                    name = checkpoint.name[9:15]
                    yield f"| {name} | {latents} | {steps} | {key} | {near}/10 | {texts} |"


def _lucky(loss: Array, sizes: Sequence[int], runs: int = 1) -> Array:
    """Each window loses more or less of it, by its own luck and its episode's."""
    rng, episodes = np.random.default_rng(3), _episodes(sizes)
    between = rng.standard_normal((runs, len(sizes), 1))[:, episodes]
    luck = np.sqrt(ICC) * between + np.sqrt(1 - ICC) * rng.standard_normal(between.shape)
    return np.asarray(loss * np.exp(0.6 * luck - 0.18))


def _row(errors: Errors, true: int, shared: Clusters) -> str:
    """Mean and spread of the horizons, and how often each is right."""
    found = [useful_horizon(*each, shared=shared) for each in zip(*errors, strict=True)]
    there = [x for x in found if x.steps is not None]
    steps = np.array([x.steps for x in there], float)
    near = sum(abs(x - true) <= 0.2 * true for x in steps) / len(found)
    # A horizon that cannot be told claims nothing that could be wrong.
    held = sum(bool(x.low is not None and x.high is not None and x.low <= true <= x.high)
               for x in there) / max(len(there), 1)  # fmt: skip
    lost = f" ({len(found) - len(there)} undefined)" if len(there) < len(found) else ""
    return f"| {steps.mean():.1f}{lost} | {steps.std():.1f} | {near:.0%} | {held:.0%} |"


def _episodes(sizes: Sequence[int]) -> Array:
    return np.repeat(np.arange(len(sizes)), sizes)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tables = {"blind": blind, "fading": fading, "verdicts": verdicts}
    names = [*tables, "sample"]
    parser.add_argument("--what", nargs="+", choices=names, default=names)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--run", type=Path, default=SAMPLE)
    options = parser.parse_args()
    for name in options.what:
        print(f"\n{name}\n")
        for line in sample(options.run) if name == "sample" else tables[name](options.runs):
            print(line, flush=True)


if __name__ == "__main__":
    main()
