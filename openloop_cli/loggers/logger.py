"""Collects metrics and hands them to outputs, none of which can hold up the others or the caller.

Each output has a thread and a queue of its own. Order is kept. What an output raises is told at
once; it gets the next entries all the same, never the same ones again. An output that is so slow
that its queue is full loses what comes then, which is told and counted.
"""

import atexit
import os
import re
import signal
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from openloop_cli.errors import OptionError, OutputError
from openloop_cli.loggers.outputs import Output, Tell, make_output
from openloop_cli.loggers.values import Entry, checked, size_of
from openloop_cli.text import message

Written = Callable[[str], None]


def _to_stderr(line: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"{message(line)}\n")
        sys.stderr.flush()


class Logger:
    """Metrics of one process on their way to its outputs. Safe in threads.

    Args:
      outputs: As `--log` names them (`jsonl:FOLDER`), or objects with the methods of `Output`.
      step: A number, something that `int` takes, such as a counter, or a function.
      multiplier: Environment steps that one of these steps takes, the action repeat.
      keep: Names that are logged: a regular expression to be found in them. None takes all.
      tell: Takes a line for the person who watches; stderr by default.
      queue_bytes: What may wait for one output.
      patience: Seconds that `close` waits for outputs.

    Attributes:
      step: The same; may be set.

    Raises:
      OptionError: An output that is unknown or not installed.
      OutputError: An output that cannot be written.
    """

    def __init__(
        self,
        outputs: Iterable[str | Output],
        *,
        step: Any = 0,
        multiplier: int = 1,
        keep: str | None = None,
        tell: Tell = _to_stderr,
        queue_bytes: int = 256 << 20,
        patience: float = 60.0,
    ) -> None:
        self.step = step
        self.multiplier = multiplier
        try:
            self._keep = re.compile(keep) if keep is not None else None
        except re.error as error:
            raise OptionError(f"filter {keep!r}: no regular expression: {error}") from None
        self._patience = patience
        # Re-entrant: a signal may come while it is held, and its handler closes us.
        self._lock = threading.RLock()
        self._pending: list[Entry] = []
        self._open = True
        made = [(_name(x), make_output(x, tell) if isinstance(x, str) else x) for x in outputs]
        self._lanes = [_Lane(name, output, queue_bytes, tell) for name, output in made]
        _at_the_end(self)

    def add(self, metrics: Mapping[str, Any], prefix: str | None = None) -> None:
        """Takes metrics at the present step, to be handed on by `write`: all of them, or none.

        Args:
          metrics: By name: numbers, texts, vectors, images (H, W[, C]), videos (T, H, W, C) or
            `VideoFile`s; arrays are copied.
          prefix: Put before each name, with a `/`.

        Raises:
          OutputError: A name or a value that cannot be logged.
        """
        step = self.step() if callable(self.step) else self.step
        step = int(step) * self.multiplier
        found = [
            (step, f"{prefix}/{name}" if prefix else name, checked(name, value))
            for name, value in metrics.items()
        ]
        if self._keep is not None:
            found = [entry for entry in found if self._keep.search(entry[1])]
        with self._lock:
            self._pending += found

    @property
    def outputs(self) -> list[str]:
        """The outputs by name, as they were given."""
        return [lane.name for lane in self._lanes]

    def expect(self, name: str, video: Path) -> None:
        """Tells outputs that may want to begin early of a video that is going to be added."""
        if self._keep is None or self._keep.search(name):
            for lane in self._lanes:
                lane.expect(video)

    def write(
        self, only: Collection[str] | None = None, written: Written = lambda output: None
    ) -> None:
        """Hands all that was added to the outputs; returns at once.

        Args:
          only: Names of the outputs that get it; the others never do. All by default.
          written: Called with the name of each output that has written all of it, in its thread.

        Raises:
          OutputError: It is closed.
        """
        with self._lock:
            if not self._open:
                raise OutputError("the logger is closed")
            entries, self._pending = self._pending, []
            if entries:
                size = sum(size_of(value) for _, _, value in entries)
                for lane in self._lanes:
                    if only is None or lane.name in only:
                        lane.put(_Parcel(entries, size, written))

    def close(self) -> None:
        """Writes what is left and waits until it is there.

        Raises:
          OutputError: Which outputs failed, and of each how first.
        """
        with self._lock:
            if not self._open:
                return
            self.write()
            self._open = False
        _OPEN.discard(self)
        for lane in self._lanes:
            lane.finish()
        end = time.monotonic() + self._patience
        failed = [f"{x.name}: {why}" for x in self._lanes if (why := x.join(end))]
        if failed:
            raise OutputError(f"not all was logged: {'; '.join(failed)}")

    def __enter__(self) -> "Logger":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An error that is on its way tells more than one of an output, which was told anyway.
        with suppress(*([OutputError] if error is not None else [])):
            self.close()


def make_logger(
    config: Path | str | Mapping[str, Any], *, step: Any = 0, tell: Tell = _to_stderr
) -> Logger:
    """The logger that a run's settings ask for, in place of the reference's `make_logger`.

    The terminal with `logger.filter`, and in `logdir` the outputs that `logger.outputs` names;
    steps are multiplied by the suite's `repeat`.

    Args:
      config: A config.yaml, or its settings.
      step: As of `Logger`.

    Raises:
      ConfigError: The file cannot be read.
      OptionError: An output that is unknown or not installed.
    """
    from openloop_cli.config.run_yaml import action_repeat

    if isinstance(config, (str, Path)):
        from openloop_cli.config.yaml_text import load_yaml

        config = load_yaml(Path(config))
    logdir = str(config.get("logdir") or ".")
    settings = config.get("logger") or {}
    pattern = settings.get("filter")
    outputs = ["terminal" if pattern is None else f"terminal:{pattern}"]
    outputs += [f"{name}:{logdir}" for name in settings.get("outputs", ("jsonl", "scope"))]
    return Logger(outputs, step=step, multiplier=action_repeat(config) or 1, tell=tell)


class _Parcel(NamedTuple):
    entries: Sequence[Entry]
    size: int
    written: Written


class _Lane:
    """One output, its queue and its thread."""

    def __init__(self, name: str, output: Output, most: int, tell: Tell) -> None:
        self.name = name
        self._output = output
        self._most = most
        self._tell = tell
        self._queue: deque[_Parcel] = deque()
        self._queued = self._lost = 0
        self._failures: dict[str, None] = {}
        self._changed = threading.Condition()
        self._finishing = False
        # A daemon: an output that hangs must not keep the process.
        self._thread = threading.Thread(target=self._run, name=f"log {name}", daemon=True)
        self._thread.start()

    def put(self, parcel: _Parcel) -> None:
        with self._changed:
            if self._queue and self._queued + parcel.size > self._most:
                self._lost += len(parcel.entries)
                self._fail("it is too slow: what comes while its queue is full is lost")
                return
            self._queue.append(parcel)
            self._queued += parcel.size
            self._changed.notify()

    def expect(self, video: Path) -> None:
        """An output need not have such a method."""
        if (begin := getattr(self._output, "expect", None)) is not None:
            self._try(partial(begin, video))

    def finish(self) -> None:
        """Nothing comes any more."""
        with self._changed:
            self._finishing = True
            self._changed.notify()

    def join(self, end: float) -> str:
        """Waits until that time; what failed first, or nothing."""
        self._thread.join(max(0.0, end - time.monotonic()))
        if self._thread.is_alive():
            left = self._lost + sum(len(parcel.entries) for parcel in self._queue)
            self._fail(f"it is still busy, {left:,} values are lost")
        why = next(iter(self._failures), "")
        return f"{why} ({self._lost:,} values)" if self._lost and why else why

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._finishing)
                if not self._queue:
                    break
                parcel = self._queue[0]
            if self._try(partial(self._output.write, parcel.entries)):
                self._try(partial(parcel.written, self.name))
            with self._changed:
                self._queue.popleft()
                self._queued -= parcel.size
        self._try(self._output.close)

    def _try(self, call: Callable[[], None]) -> bool:
        """Whether it went well."""
        try:
            call()
        except Exception as error:  # noqa: BLE001  whatever it is, the others go on
            self._fail(str(error) or type(error).__name__)
            return False
        return True

    def _fail(self, why: str) -> None:
        if why not in self._failures and len(self._failures) < 100:
            self._failures[why] = None
            self._tell(f"--log {self.name}: {why}")


def _name(output: str | Output) -> str:
    return output if isinstance(output, str) else type(output).__name__.lower()


# Loggers that something is still to be written of when the process ends.
_OPEN: "weakref.WeakSet[Logger]" = weakref.WeakSet()


def _at_the_end(logger: Logger) -> None:
    """Let it be closed when the process ends, by SIGTERM too, which would end Python at once."""
    if not _OPEN:
        atexit.unregister(_close_all)
        atexit.register(_close_all)
    _OPEN.add(logger)
    here = threading.current_thread() is threading.main_thread()
    if here and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)


def _close_all() -> None:
    for logger in list(_OPEN):
        with suppress(OutputError):  # it was told
            logger.close()


def _terminated(number: int, frame: FrameType | None) -> None:
    _close_all()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
