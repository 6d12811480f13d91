"""A metrics tree and its videos -> metrics for a logger, under the reference's names where it has
them. docs/metrics.md lists all; a test holds it against what is emitted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openloop_cli.errors import MetricsError, OpenloopError, OutputError
from openloop_cli.loggers.ledger import Ledger, file_digest
from openloop_cli.loggers.logger import Logger
from openloop_cli.loggers.outputs import Tell
from openloop_cli.loggers.values import Attachment, VideoFile
from openloop_cli.quantities import SHOWN_METRIC
from openloop_cli.results.entries import part
from openloop_cli.text import clean

Tree = Mapping[str, Any]

VIDEOS, PAGES = (".mp4", ".gif"), (".html",)
_HEADS = ("reward", "continue", "value")
_ENTROPIES = ("dyn_ent", "rep_ent")
# A curve is a vector; steps without a number would make it another one.
_HOLE = float("nan")


def report_metrics(
    tree: Tree, folder: Path, *, multiplier: int = 1, tell: Tell = lambda line: None
) -> dict[str, Any]:
    """What a report says, by name.

    Args:
      tree: Of a metrics.json.
      multiplier: Environment steps that one step of the run takes.
      folder: Where the metrics.json lies; videos lie beside it.
      tell: Takes a line about a video that is gone.
    """
    found: dict[str, Any] = {}
    for key, numbers in part(tree, "headline").items():
        headline = part(numbers)
        _put(found, f"report/skill/{key}", headline.get("skill"))
        _put(found, f"report/reconstruction_skill/{key}", headline.get("reconstruction_skill"))
        horizon = part(headline, "useful_horizon").get("steps")
        _put(found, f"report/useful_horizon/{key}", horizon)
        for path in ("context", "imagined", "persistence"):
            _put(found, f"report/{headline.get('metric')}/{path}/{key}", headline.get(path))
    for key, numbers in part(tree, "observations").items():
        metric = SHOWN_METRIC.get(part(numbers).get("kind", ""), "")
        _curve(found, f"report/curve/skill/{key}", part(numbers, "skill"))
        _curve(found, f"report/curve/{metric}/{key}", part(numbers, "imagined", "model", metric))
    for name, series in part(tree, "losses").items():
        group = "report" if name in _ENTROPIES else "report/loss"
        _put(found, f"{group}/{name}", part(series).get("mean"))
    for head in _HEADS:
        _put(found, f"report/mae/{head}", part(tree, head, "imagined", "mae").get("mean"))
    _put(found, "report/drift", part(tree, "drift").get("mean"))
    checkpoint = part(tree, "checkpoint")
    _put(found, "report/params/count", checkpoint.get("parameters"))
    if type(step := checkpoint.get("step")) is int:
        found["counters/env_step"] = step * multiplier
    for name, count in part(checkpoint, "counters").items():
        _put(found, f"counters/{name}", count)
    found |= dict(_videos(tree, folder, tell))
    _put_recorded(found, part(tree, "recorded"))
    _put_times(found, tree)
    page = _beside(folder, part(tree, "files").get("page"), PAGES)
    if page and page.is_file():
        found["report/page"] = Attachment(page)
    return found


@contextmanager
def report_log(
    outputs: Sequence[str], *, keep: str | None, multiplier: int | None, tell: Tell
) -> Iterator["ReportLog"]:
    """Where reports are logged. Its end waits for the outputs.

    Args:
      outputs: As `--log` names them.
      keep, multiplier: As of `Logger`; the run's action repeat if no multiplier is given.

    Raises:
      OptionError: An output that is unknown or not installed.
      OutputError: An output that cannot be written; at the end, what was not logged.
    """
    with Logger(outputs, keep=keep, tell=tell) as logger:
        found = ReportLog(logger, multiplier, tell)
        yield found
    if found.failed:
        raise OutputError(f"not all was logged: {found.failed[0]}")


class ReportLog:
    """Hands reports to a logger.

    Attributes:
      failed: What was wrong with reports that could not be logged.
    """

    def __init__(self, logger: Logger, multiplier: int | None, tell: Tell) -> None:
        self.failed: list[str] = []
        self._logger, self._multiplier, self._tell = logger, multiplier, tell

    def expect(self, key: str, video: Path) -> None:
        """The video of an observation key, whose report is still being made, is there."""
        self._logger.expect(f"report/openloop/{key}", video)

    def take(
        self,
        reports: Iterable[tuple[Tree, Path]],
        several_runs: bool | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """Logs reports in the order of their steps; those that cannot be are told.

        Args:
          reports: Metrics trees, and the metrics.json of each.
          several_runs: Whether the run's name stands before each name; by default if these differ.
          ledger: Knows which outputs have which report, and learns it. All get all without.
        """
        found = list(reports)
        if several_runs is None:
            several_runs = len({_run(tree) for tree, _ in found}) > 1
        for tree, path in sorted(found, key=lambda x: _step(x[0]) or 0):
            try:
                self._take(tree, path, _run(tree) if several_runs else None, ledger)
            except OpenloopError as error:
                self.failed.append(f"{path}: {error}")
                self._tell(f"not logged: {self.failed[-1]}")

    def _take(self, tree: Tree, path: Path, prefix: str | None, ledger: Ledger | None) -> None:
        step, logger = _step(tree), self._logger
        outputs = logger.outputs
        if ledger:
            digest = file_digest(path)
            outputs = ledger.missing(path.name, outputs, digest)
            if not outputs:
                return
        if step is None:
            raise MetricsError("the report names no step, so there is no place for it in a log")
        repeat = part(tree, "config").get("action_repeat")
        logger.step = step
        logger.multiplier = self._multiplier or (repeat if type(repeat) is int else 1)
        found = report_metrics(tree, path.parent, multiplier=logger.multiplier, tell=self._tell)
        logger.add({**found, "report/metrics": Attachment(path)}, prefix)
        if ledger:
            logger.write(outputs, lambda output: ledger.note(path.name, output, digest))
        else:
            logger.write()


def _put_recorded(found: dict[str, Any], recorded: Tree) -> None:
    """What the run recorded of itself, where the report was made to be logged."""
    replay = part(recorded, "replay")
    for name in ("items", "chunks", "streams"):
        _put(found, f"replay/{name}", replay.get(name))
    for name, size in (("disk_gb", "bytes"), ("ram_gb", "bytes_in_memory")):
        if type(count := replay.get(size)) is int:
            found[f"replay/{name}"] = count / 1024**3
    episodes = part(recorded, "episodes")
    for name in ("score", "length", "complete", "incomplete"):
        _put(found, f"episode/{name}", episodes.get(name))
    _put(found, "epstats/reward_rate", episodes.get("reward_rate"))
    if modules := part(recorded, "modules"):
        found["report/params/summary"] = _summary(modules)
    for name, value in part(recorded, "train", "metrics").items():
        _put(found, name, value)
    for name, value in part(recorded, "usage").items():
        _put(found, f"usage/{name}", value)


def _summary(modules: Tree) -> str:
    """Parameters of each module, the largest first."""
    counts = {clean(name): count for name, count in modules.items() if type(count) is int}
    order = sorted(counts, key=lambda name: -counts[name])
    return "\n".join(f"{counts[name]:12,d} {name}" for name in order)


def _put_times(found: dict[str, Any], tree: Tree) -> None:
    """Seconds of each stage, and steps of windows in a second of the rollout."""
    timings, rollout = part(tree, "timings"), part(tree, "rollout")
    for name, seconds in timings.items():
        _put(found, f"timers/{name.replace(' ', '_')}", seconds)
    windows, length, seconds = (
        rollout.get("windows"),
        rollout.get("length"),
        timings.get("roll out"),
    )
    if isinstance(windows, list) and type(length) is int and type(seconds) is float and seconds:
        found["fps/report"] = len(windows) * length / seconds


def _step(tree: Tree) -> int | None:
    step = part(tree, "checkpoint").get("step")
    return step if type(step) is int else None


def _run(tree: Tree) -> str:
    return str(part(tree, "run").get("name"))


def _put(found: dict[str, Any], name: str, value: Any) -> None:
    if type(value) in (int, float):
        found[name] = value


def _curve(found: dict[str, Any], name: str, series: Tree) -> None:
    values = series.get("per_step")
    if isinstance(values, list) and values:
        numbers = [x if type(x) in (int, float) else _HOLE for x in values]
        found[name] = numbers


def _videos(tree: Tree, folder: Path, tell: Tell) -> Iterator[tuple[str, VideoFile]]:
    for what, name in part(tree, "files").items():
        path = _beside(folder, name, VIDEOS) if what.startswith("video/") else None
        if path is None:
            continue
        if not path.is_file():
            tell(f"{path}: the video of this report is gone, its numbers are logged")
            continue
        key = what.removeprefix("video/")
        yield f"report/openloop/{key}", VideoFile(path)


def _beside(folder: Path, name: Any, endings: Sequence[str]) -> Path | None:
    """The file of that name in the folder; None for a name that leads elsewhere, which would log
    whatever lies there, or is of another kind."""
    if not isinstance(name, str) or Path(name).name != name:
        return None
    path = folder / name
    return path if path.suffix.lower() in endings else None
