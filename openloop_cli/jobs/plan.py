"""Checkpoints and options -> items: what each is called, and the job that renders it.

An item's name is the stem of all its files: `<run>-<checkpoint>.mp4`, `….metrics.json`, `….html`.
It follows from the checkpoint's path, so that a batch finds its own results again; where two would
be called the same, both carry a few digits of a hash: of their path or, where one checkpoint stands
there with several replays or settings, of all that.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from openloop_cli.errors import OptionError
from openloop_cli.jobs.loading import ReportJob
from openloop_cli.jobs.sources import Source, absolute

# What the batch itself writes into the same folder.
RESERVED = ("index", "comparison")
_LONGEST_NAME = 120
_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True)
class Item:
    """One checkpoint of a batch: its name, unique among them, and how to render it."""

    name: str
    job: ReportJob


def make_items(
    sources: Sequence[Source],
    settings: ReportJob,
    folder: Path,
    *,
    kind: str = ".mp4",
    page: bool = False,
    arrays: bool = False,
) -> list[Item]:
    """An item for each checkpoint; what is named twice is there once.

    Args:
      settings: The options of all; its paths are not used.
      folder: Where the results go.
      kind: Ending of the video.
      page, arrays: Whether to write a page and all arrays, too.
    """
    # Inputs from the root on: results tell where they are from, whoever reads them where.
    sources = list(dict.fromkeys(_from_root(source, settings.config) for source in sources))
    items = []
    for source, name in zip(sources, _names(sources), strict=True):
        job = replace(
            settings,
            checkpoint=source.checkpoint,
            replay=source.replay,
            config=source.config,
            out=folder / f"{name}{kind}",
            metrics=folder / f"{name}.metrics.json",
            report=folder / f"{name}.html" if page else None,
            save_arrays=folder / f"{name}.npz" if arrays else None,
        )
        items.append(Item(name, job))
    return items


def shard_of(items: Sequence[Item], text: str) -> list[Item]:
    """The items of shard `I/N`, I from 1 to N: every Nth, from the Ith on.

    Raises:
      OptionError: Not of that form.
    """
    match = _SHARD.fullmatch(text)
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= count:
        raise OptionError(f"--shard {text}: expected I/N with I from 1 to N, such as 1/4")
    return list(items[number - 1 :: count])


def _from_root(source: Source, config: Path | None) -> Source:
    """The same with whole paths, and with the settings of all where it has none of its own."""
    config = source.config or config
    return replace(
        source,
        checkpoint=absolute(source.checkpoint),
        replay=tuple(absolute(path) for path in source.replay),
        config=absolute(config) if config else None,
    )


def _names(sources: Sequence[Source]) -> list[str]:
    """A name for each, never the same twice."""
    stems = [_stem(source) for source in sources]
    count = Counter(stem.casefold() for stem in stems)
    times = Counter(source.checkpoint for source in sources)
    names = []
    for source, stem in zip(sources, stems, strict=True):
        if count[stem.casefold()] == 1 and stem.casefold() not in RESERVED:
            names.append(stem)
            continue
        told: list[Path | str | None] = [source.checkpoint]
        if times[source.checkpoint] > 1:
            told += [*source.replay, source.config, source.name]
        names.append(f"{stem}-{_digest(*told)}")
    return names


def _stem(source: Source) -> str:
    path = source.checkpoint
    if path.suffix == ".pkl":
        path = path.parent
    above = path.parent
    # The folders that the reference's scripts put between a run and its checkpoints.
    for between in ("agent", "ckpt"):
        above = above.parent if above.name == between else above
    run = source.name or above.name
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{run}-{path.name}" if run else path.name)
    stem = stem.strip(".-") or "checkpoint"
    if len(stem) > _LONGEST_NAME:
        stem = f"{stem[:_LONGEST_NAME]}-{_digest(path)}"
    return stem


def _digest(*parts: Path | str | None) -> str:
    text = "\n".join(str(part) for part in parts)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:6]
