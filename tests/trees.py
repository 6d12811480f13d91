"""Metrics trees from errors by window: what comparisons and checks read, and no more."""

from dataclasses import replace

import numpy as np

from openloop_cli.measures.horizon import useful_horizon
from openloop_cli.measures.metrics import psnr_of
from openloop_cli.measures.skill import of_all_steps, reconstruction_skill, skill
from openloop_cli.results.entries import Entry
from openloop_cli.results.metrics_file import plain
from openloop_cli.results.metrics_tree import _horizon_tree, _skill_series

B, H = 16, 8


def errors(seed=0, windows=B, steps=H, **scales):
    """Errors of every path, (windows, steps): hard and easy windows, a little noise on each."""
    hard = np.random.default_rng(99).lognormal(0, 0.5, (windows, 1))
    rng = np.random.default_rng(seed)
    levels = {"floor": 1.0, "model": 2.0, "last_reconstruction": 6.0, "climatology": 8.0} | scales
    noise = rng.lognormal(0, 0.05, (len(levels), windows, steps))
    return {
        path: 1e-3 * level * hard * x
        for (path, level), x in zip(levels.items(), noise, strict=True)
    }


def tree_of(keys, *, reward=None, observed=None, metric="psnr", **rollout):
    """A metrics tree.

    Args:
      keys: {key: errors by path}.
      reward: Absolute errors, (B, H).
      observed: {key: (B,)}; the floor's mean error by window if not given.
    """
    first = next(iter(keys.values()))["model"]
    windows, steps = first.shape
    tree = {
        "format": "openloop-metrics",
        "version": 3,
        "run": {"name": "cheetah"},
        "checkpoint": {"path": "ckpt/1", "step": 1000, "counters": {"updates": 10}, "sha256": "0"},
        "rollout": {
            "windows": [f"W:{i}" for i in range(windows)],
            "episodes": list(range(windows)),
            "apart": windows,
            "length": steps + 4,
            "context": 4,
            "seed": 0,
            "latents": "sample",
            **rollout,
        },
        "headline": {},
        "observations": {},
    }
    for key, paths in keys.items():
        seen = paths["floor"].mean(1) if observed is None else observed[key]
        tree["observations"][key], tree["headline"][key] = _key(paths, seen, metric)
    reward = np.full((windows, steps), 0.1) if reward is None else reward
    tree["reward"] = {
        "imagined": {"mae": {"mean": reward.mean()}},
        "per_window": {"model": reward},
    }
    return plain(tree)


def entry_of(*args, label="entry", **options):
    return Entry(label, tree_of(*args, **options))


def _key(paths, seen, metric):
    value = psnr_of if metric == "psnr" else np.asarray
    made_of = [paths[path] for path in ("model", "floor", "last_reconstruction")]
    found, whole = skill(*made_of), of_all_steps(*made_of)
    shown = reconstruction_skill(paths["floor"], paths["climatology"])
    horizon = useful_horizon(*made_of, paths["climatology"])
    if shown.mean <= 0:
        found = replace(found, defined=found.defined & False)
    steps = paths["model"].shape[1]
    numbers = _series(paths["model"], value)
    observation = {
        "kind": "image",
        "imagined": {path: {metric: _series(x, value)} for path, x in paths.items()},
        "per_window": {**paths, "context": seen},
        "skill": _skill_series(found, whole),
        "reconstruction_skill": {n: getattr(shown, n) for n in ("mean", "low", "high")},
        "useful_horizon": _horizon_tree(horizon, steps + 4),
    }
    headline = {
        "metric": metric,
        "context": value(seen.mean()),
        "imagined": numbers["mean"],
        "at": {str(k): numbers["per_step"][k - 1] for k in sorted({1, 5, 15, steps}) if k <= steps},
        "skill": observation["skill"]["mean"],
        "reconstruction_skill": shown.mean,
        "useful_horizon": observation["useful_horizon"],
    }
    return observation, headline


def _series(errors, value):
    mean = value(errors.mean())
    step = value(errors.mean(0))
    return {
        "mean": mean,
        "mean_low": mean,
        "mean_high": mean,
        "per_step": step,
        "low": step,
        "high": step,
    }
