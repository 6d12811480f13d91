"""Many values of a name -> one; rates, times, and when to log. As the reference names them
(elements 3.22: `Agg`, `FPS`, `Timer`, `LocalClock`), without their faults.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from openloop_cli.arrays import Array

MOST_ROWS = 1_000_000


class Agg:
    """Reduces values by name.

    `mean` (also called `avg`), `sum`, `min` and `max` go element by element in float64 and leave
    out values with any NaN; where all have one, the result is NaN. `stack` puts values along a new
    first axis, `concat` along their own first one; both keep at most a million rows. `last` keeps
    the last value as it is. A name's first value fixes its reduction: text `last`, numbers `mean`,
    vectors `concat`, and all of higher rank `last`, where the reference joins videos of several
    batches in time. No array that is passed is changed. Safe in threads.
    """

    def __init__(self) -> None:
        self._found: dict[str, _Reduction] = {}
        self._lock = threading.Lock()

    def add(
        self,
        key: str | Mapping[str, Any],
        value: Any = None,
        agg: str | Sequence[str] | None = None,
        prefix: str | None = None,
    ) -> None:
        """Takes a value by name, or a dict of values.

        Args:
          agg: The reduction; None is the default of the value's rank. Of several, each has its
            result under the name and its own, such as `reward/max`.
          prefix: Put before each name, with a `/`.

        Raises:
          ValueError: A reduction that is unknown or does not fit, or not that of the name.
        """
        metrics = key if isinstance(key, Mapping) else {key: value}
        with self._lock:
            for name, found in metrics.items():
                whole = f"{prefix}/{name}" if prefix else name
                if agg is None or isinstance(agg, str):
                    self._add(whole, found, agg)
                else:
                    for one in agg:
                        self._add(f"{whole}/{one}", found, one)

    def _add(self, name: str, value: Any, agg: str | None) -> None:
        known = self._found.get(name)
        if known is None:
            known = self._found[name] = _Reduction(agg or _default(value))
        elif agg and _NAMES.get(agg, agg) != known.name:
            raise ValueError(f"{name}: reduced by {known.name}, not by {agg}")
        known.add(value)

    def result(self, reset: bool = True, prefix: str | None = None) -> dict[str, Any]:
        """The values so far by name, and a new beginning unless told otherwise."""
        with self._lock:
            found = {
                f"{prefix}/{name}" if prefix else name: reduction.result()
                for name, reduction in self._found.items()
            }
            if reset:
                self._found = {}
            return found


_NAMES = {"avg": "mean"}
_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "mean": np.add,
    "sum": np.add,
    "min": np.minimum,
    "max": np.maximum,
}
_JOINED = ("stack", "concat")


def _default(value: Any) -> str:
    if isinstance(value, str):
        return "last"
    return {0: "mean", 1: "concat"}.get(np.ndim(value), "last")


class _Reduction:
    """The values of one name."""

    def __init__(self, name: str) -> None:
        self.name = _NAMES.get(name, name)
        if self.name not in (*_BINARY, *_JOINED, "last"):
            known = ", ".join((*_NAMES, *_BINARY, *_JOINED, "last"))
            raise ValueError(f"unknown reduction {name!r}, expected one of {known}")
        self._count = self._rows = 0
        self._value: Any = None
        self._parts: list[Array] = []

    def add(self, value: Any) -> None:
        if self.name == "last":
            self._value = value if isinstance(value, str) else np.array(value)
        elif self.name in _JOINED:
            self._join(np.array(value))
        else:
            self._combine(np.array(value, np.float64))

    def _combine(self, value: Array) -> None:
        if np.isnan(value).any():
            if not self._count:
                self._value = np.full_like(value, np.nan)
            return
        self._value = value if not self._count else _BINARY[self.name](self._value, value)
        self._count += 1

    def _join(self, value: Array) -> None:
        if self.name == "stack":
            value = value[None]
        elif not value.ndim:
            raise ValueError("a number cannot be joined by concat, use stack")
        value = value[: MOST_ROWS - self._rows]
        self._rows += len(value)
        if len(value) or not self._parts:
            self._parts.append(value)

    def result(self) -> Any:
        if self.name in _JOINED:
            return np.concatenate(self._parts)
        if self.name == "mean" and self._count:
            return self._value / self._count
        return self._value


class FPS:
    """Steps per second since the last result."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steps, self._start = 0.0, clock()
        self._lock = threading.Lock()

    def step(self, count: float = 1) -> None:
        """Counts steps."""
        with self._lock:
            self._steps += count

    def result(self, reset: bool = True) -> float:
        """The rate; 0 where no time has passed."""
        with self._lock:
            now = self._clock()
            passed = now - self._start
            rate = self._steps / passed if passed > 0 else 0.0
            if reset:
                self._steps, self._start = 0.0, now
            return rate


class Timer:
    """Seconds of nested sections, those of each thread by its own path."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds: dict[str, list[float]] = {}
        self._start = clock()
        self._lock = threading.Lock()
        self._path = threading.local()

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """What is inside takes so long; sections within it are `name/…`."""
        above = getattr(self._path, "now", "")
        path = self._path.now = f"{above}/{name}" if above else name
        start = self._clock()
        try:
            yield
        finally:
            passed = self._clock() - start
            self._path.now = above
            with self._lock:
                self._seconds.setdefault(path, []).append(passed)

    def stats(self, reset: bool = True) -> dict[str, float | str]:
        """`<path>/{sum,min,max,mean,frac,count}`, and `summary`, the shares in words; `frac` is of
        the time since the last stats. Nothing but an empty summary where nothing was timed."""
        with self._lock:
            now, seconds = self._clock(), self._seconds
            passed = now - self._start
            if reset:
                self._seconds, self._start = {}, now
            found: dict[str, float | str] = {}
            shares = {}
            for path, values in seconds.items():
                total = sum(values)
                shares[path] = total / passed if passed > 0 else 0.0
                found |= {
                    f"{path}/sum": total,
                    f"{path}/min": min(values),
                    f"{path}/max": max(values),
                    f"{path}/mean": total / len(values),
                    f"{path}/frac": shares[path],
                    f"{path}/count": len(values),
                }
            order = sorted(shares, key=lambda path: -shares[path])
            found["summary"] = "\n".join(f"{shares[path]:6.1%} {path}" for path in order)
            return found


class Clock:
    """Says when something is due that is to happen every so many seconds.

    Zero is never, a negative number always, as the reference's `LocalClock` has it; its other
    clocks have it the other way round.

    Args:
      every: Seconds.
      first: Whether it is due at the first call.
    """

    def __init__(
        self, every: float, first: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.every = every
        self._clock = clock
        self._last: float | None = None
        self._first = first

    def __call__(self, skip: bool = False) -> bool:
        """Whether it is due; then the time begins anew. `skip` asks nothing and changes nothing."""
        if skip or self.every == 0:
            return False
        if self.every < 0:
            return True
        now = self._clock()
        if self._last is None:
            self._last = now
            return self._first
        if now < self._last + self.every:
            return False
        self._last = now
        return True
