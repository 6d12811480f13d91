"""Where an iteration's time goes, in seconds of this process's clock. Evaluation is not in it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from openloop_cli.hooks.trainers import paused


class IterationTimers:
    """`timers/{collection_time,training_time,iteration_time,total_time}`.

    `collection_time` is since the last iteration's end, `training_time` from then to the end of
    this one, `iteration_time` their sum, `total_time` the sum of those. The very first iteration's
    collection is not seen: 0. What `trainers.pause` takes out, such as evaluation, is in none.

    Args:
      clock: Seconds, rising.
      with_pauses: Count what is taken out as well, as the original does.
    """

    def __init__(
        self, clock: Callable[[], float] = time.perf_counter, *, with_pauses: bool = False
    ) -> None:
        self._clock = clock
        self._with_pauses = with_pauses
        self._trainer: Any = None
        self._start: float | None = None
        self._last_end: float | None = None
        self.collection_time = 0.0
        self.total_time = 0.0

    def attach(self, trainer: Any) -> None:
        """Whose pauses are taken out."""
        self._trainer = trainer

    def begin(self) -> None:
        """Training begins, or goes on: from a restored state, collection is seen from here."""
        self._last_end = self._now() if self.total_time else None

    def start(self) -> None:
        """A batch is there."""
        self._start = self._now()
        self.collection_time = 0.0 if self._last_end is None else self._start - self._last_end

    def start_without_batch(self) -> None:
        """The same, where no batch said so."""
        if self._start is None:
            self.start()

    def end(self) -> dict[str, float]:
        """The iteration is over."""
        now = self._now()
        training = 0.0 if self._start is None else now - self._start
        iteration = self.collection_time + training
        self.total_time += iteration
        self._start, self._last_end = None, now
        return {
            "timers/collection_time": self.collection_time,
            "timers/training_time": training,
            "timers/iteration_time": iteration,
            "timers/total_time": self.total_time,
        }

    def state_dict(self) -> dict[str, Any]:
        """Sums only: a clock's reading in one process means nothing to another."""
        return {"collection_time": self.collection_time, "total_time": self.total_time}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on from these sums; the clock readings in an original's state are left out."""
        self.collection_time = state_dict["collection_time"]
        self.total_time = state_dict["total_time"]
        self._start = self._last_end = None

    def _now(self) -> float:
        return self._clock() - (0.0 if self._with_pauses else paused(self._trainer))
