"""What several hooks need of a trainer: when something is due, time that does not count, an end by
an error, and names that it is not to log again.

TorchRL's trainer runs its `shutdown` hooks only where training ends well; `close_on_failure` closes
what is open where it raises.
"""

import functools
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

LOG = logging.getLogger(__name__)


class Schedule:
    """Due once whenever a multiple of `every` frames is reached or passed, and at the end.

    Args:
      every: Frames; zero and negative numbers are never.
      final: Whether it is due at the end.
    """

    def __init__(self, every: int, final: bool = True) -> None:
        self.every, self.final = every, final
        self.seen: int | None = None
        self.fired = 0

    def begin(self, frames: int) -> None:
        """A training begins at so many frames; what a restored state says comes first."""
        if self.seen is None:
            self.seen = frames

    def due(self, frames: int, ended: bool = False) -> bool:
        """Whether it is due at so many frames; it is then taken as done."""
        if self.every <= 0 or frames <= 0:
            return False
        crossed = frames // self.every > (self.seen or 0) // self.every
        self.seen = frames
        if not crossed and not (ended and self.final and frames != self.fired):
            return False
        self.fired = frames
        return True

    def state_dict(self) -> dict[str, Any]:
        """Frames that were seen last, and at which it fired last."""
        return {"seen_frames": self.seen or 0, "fired_frames": self.fired}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """A state of the originals has none of it: then it goes on from the trainer's frames."""
        if "seen_frames" in state:
            self.seen, self.fired = state["seen_frames"], state["fired_frames"]


def is_last(trainer: Any) -> bool:
    """Whether the trainer ends after this iteration."""
    total = getattr(trainer, "total_frames", None)
    reached = isinstance(total, (int, float)) and trainer.collected_frames >= total
    return reached or getattr(trainer, "_stop_training", False) is True


def pause(trainer: Any, seconds: float) -> None:
    """So many seconds just now were neither collection nor training."""
    if trainer is not None:
        trainer._openloop_paused = paused(trainer) + seconds


def paused(trainer: Any) -> float:
    """All those seconds."""
    return 0.0 if trainer is None else float(vars(trainer).get("_openloop_paused", 0.0))


def logged_already(trainer: Any, names: Iterable[str]) -> None:
    """The trainer takes these names into its history, not to its logger, which has them."""
    last, interval = getattr(trainer, "_last_log", None), getattr(trainer, "_log_interval", None)
    if isinstance(last, dict) and isinstance(interval, (int, float)):
        # It logs what is more than `log_interval` frames old; a negative one logs all.
        last.update(dict.fromkeys(names, trainer.collected_frames - min(interval, 0)))


def close_on_failure(trainer: Any, close: Callable[[], None], *, last: bool = False) -> None:
    """Let this be called where `trainer.train()` raises, Ctrl-C included.

    Args:
      last: After those that are not: what closes a logger waits for what still writes to it.
    """
    closers = vars(trainer).get("_openloop_closers")
    if closers is None:
        if not hasattr(trainer, "train"):
            return
        closers = trainer._openloop_closers = []
        trainer.train = _watched(trainer.train, closers)
    closers.append((last, close))


def _watched(train: Callable[..., Any], closers: list[tuple[bool, Callable[[], None]]]) -> Any:
    @functools.wraps(train)
    def watched(*args: Any, **options: Any) -> Any:
        try:
            return train(*args, **options)
        except BaseException:
            for _, close in sorted(closers, key=lambda x: x[0]):
                try:
                    close()
                except Exception as error:  # noqa: BLE001  the training's own error tells more
                    LOG.warning("training failed, and so did closing: %s", error)
            raise

    return watched


def close_logger(logger: Any) -> None:
    """Closes a TorchRL logger; 0.13's have no `close` of their own."""
    for owner, names in ((logger, ("close",)), (_experiment(logger), ("finish", "close"))):
        for name in names:
            close = getattr(owner, name, None)
            if callable(close):
                close()
                return


def _experiment(logger: Any) -> Any:
    return getattr(logger, "experiment", None)
