"""What the hook set adds to an iteration of PPO on CartPole, evaluation left out. By hand:

    python -m benchmarks.hooks

Trainings with and without the set take turns, so that a busy machine slows both; what is compared
is the median iteration of each. Beside it, the time that is spent in the set itself, which is
steadier where the difference of the two drowns in noise.
"""

import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from tests.hooks.training import PPO, hook_set

ROUNDS = 3
STAGES = (
    "_process_batch_hook",
    "_pre_steps_log_hook",
    "_post_optim_complete_log_hook",
    "_post_steps_log_hook",
)


def iterations(envs: int, batch: int, with_set: bool) -> tuple[list[float], list[float]]:
    """Seconds of each iteration but the first, and of the set's calls within it."""
    ppo = PPO(envs, batch=batch, total=8 * batch)
    if with_set:
        hook_set().register(ppo.trainer)
    ends: list[float] = []
    spent: list[float] = []
    inside = [0.0]

    def end(batch: Any) -> None:
        ends.append(time.perf_counter())
        spent.append(inside[0])
        inside[0] = 0.0

    for stage in STAGES:
        setattr(ppo.trainer, stage, timed(getattr(ppo.trainer, stage), inside))
    ppo.trainer.register_op("post_steps_log", end)
    ppo.trainer.train()
    return [b - a for a, b in pairwise(ends)], spent[1:]


def timed(call: Callable[..., Any], inside: list[float]) -> Callable[..., Any]:
    def wrapped(*arguments: Any) -> Any:
        begin = time.perf_counter()
        try:
            return call(*arguments)
        finally:
            inside[0] += time.perf_counter() - begin

    return wrapped


def main() -> None:
    for envs, batch in ((1, 150), (1, 1000), (3, 1500)):
        seconds: dict[bool, list[float]] = {True: [], False: []}
        within: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(ROUNDS):
            for with_set in (True, False):
                found, spent = iterations(envs, batch, with_set)
                seconds[with_set] += found
                within[with_set] += spent
        alone, whole = statistics.median(seconds[False]), statistics.median(seconds[True])
        own = statistics.median(within[True]) - statistics.median(within[False])
        print(
            f"{envs} environments, {batch} frames: {1e3 * alone:.1f} ms without, "
            f"{1e3 * whole:.1f} ms with ({whole / alone - 1:+.1%}); "
            f"in its own calls {1e3 * own:.2f} ms ({own / alone:.2%})",
            flush=True,
        )


if __name__ == "__main__":
    main()
