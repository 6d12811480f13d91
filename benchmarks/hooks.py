"""What the hook set adds to an iteration of PPO on CartPole, evaluation left out. By hand:

    python -m benchmarks.hooks

Seconds of this process's CPU in one thread, which a busy machine does not stretch as it does the
clock's. Trainings with and without the set take turns; what is compared is the median iteration of
each. Beside it, what is spent in the set's own calls, which is steadier than that difference.
"""

import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from tests.hooks.training import PPO, hook_set

ROUNDS = 2
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
        ends.append(time.process_time())
        spent.append(inside[0])
        inside[0] = 0.0

    for stage in STAGES:
        setattr(ppo.trainer, stage, timed(getattr(ppo.trainer, stage), inside))
    ppo.trainer.register_op("post_steps_log", end)
    ppo.trainer.train()
    return [b - a for a, b in pairwise(ends)], spent[1:]


def timed(call: Callable[..., Any], inside: list[float]) -> Callable[..., Any]:
    def wrapped(*arguments: Any) -> Any:
        begin = time.process_time()
        try:
            return call(*arguments)
        finally:
            inside[0] += time.process_time() - begin

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
