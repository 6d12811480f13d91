"""What the server holds between two flushes: the step, metrics and episodes, each of them bounded.

    desk.take("add" | "tran", arguments, now=seconds)
    desk.write(written(arguments))
    desk.drain()     # everything since the last time, in order

Pure: no clock, no file, no network. `add` and `tran` are the reference's methods; `write` is our
own clients': entries that have a step already, with the client's id and a number, so that a
message that comes again is not counted again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openloop_cli.errors import OpenloopError
from openloop_cli.serve.episodes import Entry, Episodes, Limits, check

MOST_METRICS = 1_000
"""Of one call; the reference's bound."""
LONGEST_NAME = 200
"""Characters; the reference's bound."""
LONGEST_CLIENT = 64
MOST_ROWS = 10_000
"""Of one call; a run sends as many as the actor's batch has environments."""
MOST_CLIENTS = 10_000
"""Ids that are remembered; the one that was silent for the longest time is forgotten first."""


class EntryError(OpenloopError):
    """A call whose metrics cannot be taken; nothing of it was."""


class Desk:
    """The step, the episodes, and the entries that wait for the next flush.

    Args:
      step: Where the step goes on.
      numbers: For each of our own clients the number of its last message that was taken.
      multiplier: Environment steps for each row (the suite's `repeat`).
      limits: Of the episodes.
      most_bytes: Of all entries that wait; what comes after is dropped and counted.
    """

    def __init__(
        self,
        *,
        step: int = 0,
        numbers: Mapping[str, int] | None = None,
        multiplier: int = 1,
        limits: Limits | None = None,
        most_bytes: int = 1 << 30,
    ) -> None:
        self.step = step
        self.numbers = dict(numbers or {})
        self.episodes = Episodes(limits)
        self.rows = 0
        self.metrics = 0
        self.repeated = 0
        self.bytes_waiting = 0
        self._multiplier = multiplier
        self._most_bytes = most_bytes
        self._waiting: list[Entry] = []

    @property
    def waiting(self) -> int:
        """Entries that the next flush will write."""
        return len(self._waiting)

    def take(self, method: str, arguments: Sequence[Any], *, now: float) -> None:
        """Takes one call, whole or not at all.

        Raises:
          OpenloopError: It cannot be taken.
        """
        {"add": self._add, "tran": self._tran}[method](arguments, now)

    def is_known(self, message: "Written") -> bool:
        """Whether a message of one of our own clients was taken before."""
        return message.number <= self.numbers.get(message.client, -1)

    def has_room(self, message: "Written") -> bool:
        """Whether `write` would take it now."""
        return self.bytes_waiting + message.size <= self._most_bytes

    def write(self, message: "Written") -> None:
        """Takes a message of one of our own clients, unless it is known."""
        if self.is_known(message):
            self.repeated += 1
            return
        self.numbers.pop(message.client, None)
        self.numbers[message.client] = message.number
        if len(self.numbers) > MOST_CLIENTS:
            del self.numbers[next(iter(self.numbers))]
        self._keep(message.entries)

    def drain(self) -> list[Entry]:
        """All that waits, then what the episodes came to; both are forgotten here."""
        found = self._waiting + self.episodes.flush(step=self._now_step)
        self._waiting, self.bytes_waiting = [], 0
        return found

    def note(self, entries: Mapping[str, Any]) -> None:
        """The server's own metrics, at the present step."""
        self._waiting += [(self._now_step, name, value) for name, value in entries.items()]

    @property
    def _now_step(self) -> int:
        return self.step * self._multiplier

    def _add(self, arguments: Sequence[Any], now: float) -> None:
        if not 1 <= len(arguments) <= 2 or not isinstance(arguments[0], Mapping):
            raise EntryError("add: expected one mapping of metrics")
        metrics = arguments[0]
        if len(metrics) > MOST_METRICS:
            raise EntryError(f"add: {len(metrics)} metrics: expected at most {MOST_METRICS}")
        step = self._now_step
        self._keep([(step, _name(name), _value(name, value)) for name, value in metrics.items()])

    def _tran(self, arguments: Sequence[Any], now: float) -> None:
        if len(arguments) != 1:
            raise EntryError("tran: expected one mapping of rows")
        # The step grows before anything is added, as the reference's does.
        count = check(arguments[0])
        if count > MOST_ROWS:
            raise EntryError(f"tran: {count} rows: expected at most {MOST_ROWS}")
        step = self.step + Episodes.training_rows(arguments[0])
        ended = self.episodes.add(arguments[0], step=step * self._multiplier, now=now)
        self.step = step
        self.rows += count
        self._waiting += ended

    def _keep(self, entries: list[Entry]) -> None:
        size = sum(_size(name, value) for _, name, value in entries)
        if self.bytes_waiting + size > self._most_bytes:
            raise EntryError(f"{len(entries)} metrics: the queue is full until the next flush")
        self.bytes_waiting += size
        self.metrics += len(entries)
        # Arrays are views of their messages, which would stay in memory whole.
        self._waiting += [(step, name, _own(value)) for step, name, value in entries]


@dataclass(frozen=True)
class Written:
    """A message of one of our own clients."""

    client: str
    number: int
    entries: list[Entry]
    size: int


def written(arguments: Sequence[Any]) -> Written:
    """The message in the arguments of `write`: client, number, steps, names, values.

    Raises:
      EntryError: They are of other kinds or lengths.
    """
    match arguments:
        case [
            str(client),
            np.ndarray() as number,
            np.ndarray() as steps,
            list(names),
            list(values),
        ]:
            pass
        case _:
            raise EntryError("write: expected client, number, steps, names and values")
    if not client or len(client) > LONGEST_CLIENT:
        raise EntryError(f"write: a client's id of {len(client)} characters")
    whole = number.shape == () and number.dtype.kind in "iu" and steps.dtype.kind in "iu"
    if not whole or steps.shape != (len(names),) or len(values) != len(names):
        raise EntryError("write: expected a step, a name and a value for each entry")
    entries = [
        (step, _name(name), _value(name, value))
        for step, name, value in zip(steps.tolist(), names, values, strict=True)
    ]
    return Written(client, int(number), entries, sum(_size(x, y) for _, x, y in entries))


def _name(name: Any) -> str:
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME:
        raise EntryError(f"a name of {len(str(name))} characters: expected 1 to {LONGEST_NAME}")
    return name


def _value(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray) and value.ndim <= 4 and value.dtype.kind in "biuf":
        return value
    found = (
        f"an array of rank {value.ndim} and type {value.dtype}"
        if isinstance(value, np.ndarray)
        else type(value).__name__
    )
    raise EntryError(
        f"{name[:60]}: {found}", hint="send numbers, texts, or arrays of rank 4 at most"
    )


def _own(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def _size(name: str, value: Any) -> int:
    # 200 bytes: the tuple, the name, the value's own header.
    return 200 + len(name) + (value.nbytes if isinstance(value, np.ndarray) else len(value))
