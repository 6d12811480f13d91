"""Rows of many environments -> what their episodes came to.

    episodes = Episodes()
    reported = episodes.add(rows, step=step, now=seconds)   # [(step, name, value), …]
    reported = episodes.flush(step=step)                    # means and sums since the last flush

No clock, no file, no network: the server and a training loop feed the same object. What is counted
as the reference's `parallel_logger` does it, and what otherwise:

- An episode is from `is_first` to `is_last`. Its score is the sum of all rewards, its length the
  number of rows less one. Both are reported at once, at the present step.
- `epstats/*` are means over the episodes that ended since the last flush: `reward_rate` (share of
  steps whose reward differs from the last by at least 0.01) and avg, max and sum of each scalar
  `log/<key>`. The video `policy_<key>` is of the first environment; of several in one interval the
  last one is kept, where the reference joins them in time.
- Evaluation episodes are reported under `eval/`; the reference mixes them with those of training.
- An environment that is silent for longer than the timeout loses its open episode. When it goes on
  in the midst of one, the rest is passed over up to the next `is_first`; the reference reports the
  rest as a whole episode.
- Every environment, open episode and frame that is kept is bounded; what is left out is counted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from openloop_cli.errors import OpenloopError

Entry = tuple[int, str, Any]
"""(step, name, value), as a logger's outputs take them."""

NEEDED = ("envid", "is_first", "is_last", "reward")
REWARD_CHANGE = 0.01
"""From here on a reward counts as another one; the reference's number."""


class RowsError(OpenloopError):
    """Rows that are none: a column is missing, or they are not all of one length."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is kept at most.

    Args:
      timeout: Seconds of silence after which an environment's open episode is dropped.
      environments: Open episodes at one time.
      keys: Different `log/` keys.
      frames: Of one policy video; frames after these are left out and counted.
      video_bytes: Of the frames of all open episodes together.
    """

    timeout: float = 180.0
    environments: int = 10_000
    keys: int = 1_000
    frames: int = 2_000
    video_bytes: int = 256 << 20


@dataclass
class _Mean:
    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        if np.isfinite(value):
            self.total += value
            self.count += 1


@dataclass
class _Log:
    total: float = 0.0
    most: float = -np.inf
    count: int = 0


@dataclass
class _Episode:
    whole: bool
    evaluation: bool
    seen: float
    score: float = 0.0
    rows: int = 0
    last_reward: float = 0.0
    changes: int = 0
    logs: dict[str, _Log] = field(default_factory=dict)
    frames: dict[str, list[np.ndarray]] = field(default_factory=dict)
    frame_bytes: int = 0


class Episodes:
    """The open episodes of all environments, and what ended since the last flush."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.dropped: dict[str, int] = {}
        """What was left out because of a bound, since the start."""
        self._open: dict[int, _Episode] = {}
        self._filmed: int | None = None
        self._film_bytes = 0
        self._stats: dict[str, _Mean] = {}
        self._videos: dict[str, np.ndarray] = {}
        self._counts = dict.fromkeys(("ep_starts", "ep_ends", "ep_abandoned", "ep_timeout"), 0)
        self._any = False

    @property
    def open(self) -> int:
        """Environments with an episode that has not ended."""
        return sum(episode.whole for episode in self._open.values())

    @staticmethod
    def training_rows(rows: Mapping[str, Any]) -> int:
        """How many rows are not evaluation: by so many the step grows, before anything is added."""
        return check(rows) - int(np.sum(_flags(rows, "is_eval")))

    def add(self, rows: Mapping[str, Any], *, step: int, now: float) -> list[Entry]:
        """Takes rows in their order; returns the episodes that ended.

        Args:
          rows: Arrays with one leading axis of rows: `envid`, `is_first`, `is_last`, `reward`,
            `is_eval` (all False if missing), observations, `log/…`; others are passed over.
          step: At which ended episodes are reported.
          now: Seconds of any clock that does not go back.

        Raises:
          RowsError: They are no rows; nothing of them was taken.
        """
        count = check(rows)
        self._time_out(now)
        columns = [_flags(rows, name).tolist() for name in ("is_first", "is_last", "is_eval")]
        envids = np.asarray(rows["envid"]).reshape(count).tolist()
        rewards = np.asarray(rows["reward"], np.float64).reshape(count).tolist()
        logs = list(self._logs(rows))
        videos = {key: value for key, value in rows.items() if _is_video(value)}
        ended: list[Entry] = []
        for i, (envid, reward, first, last, evaluation) in enumerate(
            zip(envids, rewards, *columns, strict=True)
        ):
            episode = self._episode(int(envid), bool(first), bool(evaluation), now)
            if episode is None:
                continue
            self._count(episode, reward, [(name, column[i]) for name, column in logs])
            if self._filmed == envid and episode.whole:
                self._film(episode, {key: frames[i] for key, frames in videos.items()})
            if last:
                ended += self._end(int(envid), episode, step)
        return ended

    def flush(self, *, step: int) -> list[Entry]:
        """`epstats/*` of the episodes that ended and `parallel/*` since the last flush; nothing if
        no rows came."""
        if not self._any:
            return []
        found: list[Entry] = [(step, f"parallel/{key}", n) for key, n in self._counts.items()]
        found += [
            (step, name, mean.total / mean.count)
            for name, mean in self._stats.items()
            if mean.count
        ]
        found += [(step, name, video) for name, video in self._videos.items()]
        self._counts = dict.fromkeys(self._counts, 0)
        self._stats, self._videos, self._any = {}, {}, False
        return found

    def _episode(self, envid: int, first: bool, evaluation: bool, now: float) -> _Episode | None:
        """The open episode that a row belongs to, a new one if it begins; None if it belongs to
        none that is counted."""
        self._any = True
        episode = self._open.get(envid)
        if first:
            if episode is not None:
                self._counts["ep_abandoned"] += episode.whole
                self._forget(envid)
            episode = self._begin(envid, evaluation, now, whole=True)
            self._counts["ep_starts"] += episode is not None
        elif episode is None:
            # Seen in the midst: after a timeout, or the server came later than the run.
            episode = self._begin(envid, evaluation, now, whole=False)
        if episode is None:
            return None
        episode.seen = now
        return episode

    def _begin(self, envid: int, evaluation: bool, now: float, *, whole: bool) -> _Episode | None:
        if len(self._open) >= self.limits.environments:
            self._drop("environments")
            return None
        self._open[envid] = episode = _Episode(whole, evaluation, now)
        if self._filmed is None and not evaluation:
            self._filmed = envid
        return episode

    def _count(self, episode: _Episode, reward: float, logs: list[tuple[str, float]]) -> None:
        if episode.rows:
            episode.changes += abs(reward - episode.last_reward) >= REWARD_CHANGE
        episode.rows += 1
        episode.score += reward
        episode.last_reward = reward
        for name, value in logs:
            log = episode.logs.setdefault(name, _Log())
            log.total += value
            log.most = max(log.most, value)
            log.count += 1

    def _film(self, episode: _Episode, frames: dict[str, np.ndarray]) -> None:
        for key, frame in frames.items():
            kept = episode.frames.setdefault(key, [])
            full = self._film_bytes + frame.nbytes > self.limits.video_bytes
            other = bool(kept) and kept[0].shape != frame.shape
            if full or other or len(kept) >= self.limits.frames:
                self._drop("frames")
            else:
                kept.append(frame.copy())  # a view would keep its whole message
                episode.frame_bytes += frame.nbytes
                self._film_bytes += frame.nbytes

    def _end(self, envid: int, episode: _Episode, step: int) -> list[Entry]:
        self._forget(envid)
        if not episode.whole:
            return []
        self._counts["ep_ends"] += 1
        lead = "eval/" if episode.evaluation else ""
        stats = {
            "reward_rate": episode.changes / (episode.rows - 1) if episode.rows > 1 else np.nan
        }
        for name, log in episode.logs.items():
            stats |= {
                f"{name}/avg": log.total / log.count,
                f"{name}/max": log.most,
                f"{name}/sum": log.total,
            }
        for name, value in stats.items():
            self._stats.setdefault(f"{lead}epstats/{name}", _Mean()).add(value)
        for key, frames in episode.frames.items():
            if frames:
                self._videos[f"{lead}epstats/policy_{key}"] = np.stack(frames)
        return [
            (step, f"{lead}episode/score", episode.score),
            (step, f"{lead}episode/length", episode.rows - 1),
        ]

    def _forget(self, envid: int) -> None:
        self._film_bytes -= self._open.pop(envid).frame_bytes

    def _time_out(self, now: float) -> None:
        silent = [e for e, x in self._open.items() if now - x.seen > self.limits.timeout]
        for envid in silent:
            self._counts["ep_timeout"] += self._open[envid].whole
            self._any = True
            self._forget(envid)
            if self._filmed == envid:
                self._filmed = None  # the next one that begins is filmed

    def _logs(self, rows: Mapping[str, Any]) -> Iterator[tuple[str, list[float]]]:
        names = [name for name in rows if name.startswith("log/")]
        for name in names[: self.limits.keys]:
            column = np.asarray(rows[name])
            if column.ndim == 1 and column.dtype.kind in "biuf":
                yield name, column.astype(np.float64).tolist()
        if len(names) > self.limits.keys:
            self._drop("keys")

    def _drop(self, what: str) -> None:
        self.dropped[what] = self.dropped.get(what, 0) + 1


def check(rows: Mapping[str, Any]) -> int:
    """How many rows there are.

    Raises:
      RowsError: A column is missing, is of another kind, or is not as long as the others.
    """
    if not isinstance(rows, Mapping):
        raise RowsError(f"rows: expected columns by name, found {type(rows).__name__}")
    for name in NEEDED:
        if name not in rows:
            raise RowsError(f"rows: {name} is missing")
    lengths = set()
    for name, value in rows.items():
        shape = getattr(value, "shape", ())
        if not shape:
            raise RowsError(f"rows: {name[:60]}: expected an array with an axis of rows")
        lengths.add(shape[0])
    if len(lengths) != 1:
        raise RowsError(f"rows: columns of different lengths: {sorted(lengths)[:5]}")
    for name in (*NEEDED, "is_eval"):
        column = np.asarray(rows.get(name, np.zeros(1, bool)))
        kinds = "iu" if name == "envid" else "biuf"
        if column.ndim != 1 or column.dtype.kind not in kinds:
            raise RowsError(f"rows: {name}: expected one number a row")
    return int(lengths.pop())


def _flags(rows: Mapping[str, Any], name: str) -> np.ndarray:
    count = len(rows["envid"])
    return np.asarray(rows.get(name, np.zeros(count)), bool).reshape(count)


def _is_video(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 4
