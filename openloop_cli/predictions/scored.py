"""Columns of one layout -> rollouts, checked, a few windows at a time."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import OptionError, PredictionsError
from openloop_cli.predictions import layout
from openloop_cli.predictions.columns import Column
from openloop_cli.predictions.pixels import Pixels, rows_where
from openloop_cli.replay import is_window_id
from openloop_cli.replay.names import uuid_text
from openloop_cli.rollout.result import Evaluation, Futures, OpenLoop, Trace, kind_of
from openloop_cli.text import clean, plural

# Of one array as float32; measuring takes several of that size.
BLOCK_BYTES = 32 << 20
# How different from the truth, in its own units, what copies the context may be.
_COPIED = 1e-6


@dataclass(frozen=True)
class Layout:
    """What lies where: columns by their names in `layout`, such as `truth/image`.

    Attributes:
      place: What was read, for errors.
      context, step: None where the file does not say.
      run: Whose predictions these are; empty likewise.
      channels_first: Of the format itself, whatever an option says.
      notes: What to know about the numbers, such as that videos lose something.
    """

    place: str
    columns: Mapping[str, Column]
    context: int | None = None
    channels_first: bool = False
    notes: tuple[str, ...] = ()
    run: str = ""
    step: int | None = None

    def keys(self, part: str) -> list[str]:
        """The keys of `truth`, `prediction` and so on."""
        return [name[len(part) + 1 :] for name in self.columns if name.startswith(f"{part}/")]


@dataclass(frozen=True)
class Scored:
    """Rollouts that lie in files: `Rollouts`, read as they are asked for.

    Attributes:
      source: Where they are, checked by `scored`.
      chosen: The keys to measure.
    """

    source: Layout
    pixels: Pixels
    context: int
    chosen: tuple[str, ...]
    covers: bool
    reconstructs: bool = False
    notes: tuple[str, ...] = field(default=(), compare=False)

    @cached_property
    def kinds(self) -> Mapping[str, str]:
        """By key: `image`, `continuous` or `discrete`."""
        return {key: _kind(self._column(layout.TRUTH, key)) for key in self.chosen}

    @property
    def length(self) -> int:
        """T, the steps of a window."""
        return self._column(layout.TRUTH, self.chosen[0]).shape[1]

    @property
    def count(self) -> int:
        """B."""
        return self._column(layout.TRUTH, self.chosen[0]).shape[0]

    @property
    def samples(self) -> int:
        """Futures of each window."""
        futures = [self.source.columns.get(f"{layout.FUTURES}/{key}") for key in self.chosen]
        return next((x.shape[1] for x in futures if x is not None), 1)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """As the file names them, where that is as a replay does; else hashes of their truth."""
        named = self.source.columns.get("windows")
        if named is not None and named.dtype.kind == "U":
            found = tuple(str(x) for x in named.read(slice(None)))
            if len(set(found)) == self.count and all(is_window_id(x) for x in found):
                return found
        return tuple(self._hashes())

    @cached_property
    def episodes(self) -> tuple[int, ...]:
        """The episode of each window; none where the file does not say."""
        return tuple(self._whole_numbers("episodes", self.count))

    @property
    def apart(self) -> int:
        """How many windows share no step, at most; 0 where the file does not say."""
        return next(iter(self._whole_numbers("apart", 1)), 0)

    def _whole_numbers(self, name: str, count: int) -> list[int]:
        column = self.source.columns.get(name)
        if column is None:
            return []
        if column.dtype.kind not in "iu" or prod(column.shape) != count:
            raise PredictionsError(
                f"{self.source.place}: {name}: expected {plural(count, 'whole number')}, found"
                f" {column.dtype} {column.shape}"
            )
        return [int(x) for x in column.read(slice(None)).reshape(-1)]

    def blocks(self) -> list[slice]:
        """Of about `BLOCK_BYTES` each."""
        most = max(
            prod(x.shape[1:]) * 4
            for name, x in self.source.columns.items()
            if name.partition("/")[2] in self.chosen
        )
        size = max(1, BLOCK_BYTES // max(1, most))
        return [slice(i, min(i + size, self.count)) for i in range(0, self.count, size)]

    def only(self, keys: tuple[str, ...]) -> "Scored":
        """Some of the keys."""
        return replace(self, chosen=keys)

    def truth_rows(self, index: slice | Array) -> dict[str, Array]:
        """The truth of some windows, as rollouts have it."""
        return {key: self._truth(key, index) for key in self.chosen}

    def take(self, index: slice | Array) -> OpenLoop:
        """Some of the windows, in memory."""
        truth = self.truth_rows(index)
        whole = {key: self._whole(key, index, truth[key]) for key in self.chosen}
        scalars = self.scalars()
        return OpenLoop(
            ids=tuple(np.asarray(self.ids, object)[index]),
            context=self.context,
            truth=truth,
            reward=None if scalars.reward is None else scalars.reward[index],
            terminal=None if scalars.terminal is None else scalars.terminal[index],
            model=Trace(
                whole,
                reward=None if scalars.model.reward is None else scalars.model.reward[index],
            ),
            futures=self._futures(index),
            deterministic=self._trace(layout.DETERMINISTIC, index),
            evaluation=Evaluation(
                posterior=self._trace(layout.RECONSTRUCTION, index),
                shuffled=self._ahead(layout.SHUFFLED, index),
                other=self._ahead(layout.OTHER, index),
            ),
            actions={
                key: self._column(layout.ACTION, key).read(index)
                for key in self.source.keys(layout.ACTION)
            },
            reconstructs=self.reconstructs,
        )

    def scalars(self) -> OpenLoop:
        """All windows without observations."""
        return self._scalars

    @cached_property
    def _scalars(self) -> OpenLoop:
        found = {
            name: self.source.columns[name].read(slice(None)).astype(np.float32)
            for name in ("reward", "terminal", f"{layout.PREDICTED}/reward")
            if name in self.source.columns
        }
        model = Trace({}, reward=found.get(f"{layout.PREDICTED}/reward"))
        terminal = found.get("terminal")
        return OpenLoop(
            self.ids,
            self.context,
            {},
            found.get("reward"),
            None if terminal is None else terminal.astype(bool),
            model,
            episodes=self.episodes,
            apart=self.apart,
        )

    def _column(self, part: str, key: str) -> Column:
        return self.source.columns[f"{part}/{key}"]

    def _truth(self, key: str, index: slice | Array) -> Array:
        name = f"{layout.TRUTH}/{key}"
        rows = self.source.columns[name].read(index)
        place = f"{self.source.place}: {name}"
        if self.kinds[key] == "image":
            self._check_known(place, rows)
            return self.pixels.levels(place, self.pixels.last(rows))[0]
        if rows.dtype.kind == "f":
            self._check_known(place, np.where(np.isneginf(rows), 0, rows))
            return rows.astype(np.float32, copy=False)
        return rows.astype(np.int32, copy=False)

    def _check_known(self, place: str, rows: Array) -> None:
        if rows.dtype.kind == "f" and not np.isfinite(rows).all():
            bad = ~np.isfinite(rows)
            raise PredictionsError(
                f"{place}: NaN or Infinity in {rows_where(bad)}: the truth must be numbers",
                hint="leave that window out, or write -inf for a value of a vector that is missing",
            )

    def _prediction(self, part: str, key: str, rows: Array) -> Array:
        if self.kinds[key] == "image":
            place = f"{self.source.place}: {part}/{key}"
            return self.pixels.unit(place, self.pixels.last(rows))
        return rows.astype(np.int32 if self.kinds[key] == "discrete" else np.float32, copy=False)

    def _whole(self, key: str, index: slice | Array, truth: Array) -> Array:
        """All T steps of a prediction; where it leaves the context out, the truth stands there."""
        found = self._prediction(
            layout.PREDICTION, key, self._column(layout.PREDICTION, key).read(index)
        )
        if self.covers:
            return found
        seen = truth[:, : self.context]
        seen = seen.astype(np.float32) / 255 if self.kinds[key] == "image" else seen
        return np.concatenate([seen, found], 1)

    def _trace(self, part: str, index: slice | Array) -> Trace | None:
        if not all(f"{part}/{key}" in self.source.columns for key in self.chosen):
            return None
        return Trace(
            {
                key: self._prediction(part, key, self._column(part, key).read(index))
                for key in self.chosen
            }
        )

    def _ahead(self, part: str, index: slice | Array) -> Trace | None:
        """The imagined steps alone, of what may also hold the context."""
        found = self._trace(part, index)
        steps = self.length - self.context
        if found is None:
            return None
        return Trace({key: x[:, -steps:] for key, x in found.prediction.items()})

    def _futures(self, index: slice | Array) -> Futures | None:
        members: dict[str, Array] = {}
        for key in self.chosen:
            if f"{layout.FUTURES}/{key}" in self.source.columns and self.kinds[key] != "discrete":
                rows = self._column(layout.FUTURES, key).read(index)
                members[key] = self._prediction(layout.FUTURES, key, rows).swapaxes(0, 1)
        if not members:
            return None
        return Futures(
            mean={key: x.mean(0) for key, x in members.items()},
            std={key: x.std(0) for key, x in members.items()},
            kept=members,
            reward=None,
            cont=None,
            losses={},
        )

    def _hashes(self) -> Iterator[str]:
        for block in self.blocks():
            truth = self.truth_rows(block)
            for window in range(block.stop - block.start):
                digest = hashlib.sha256()
                for key in sorted(truth):
                    digest.update(f"{key} {truth[key].dtype.str} {truth[key].shape[1:]}\n".encode())
                    digest.update(np.ascontiguousarray(truth[key][window]).data)
                yield f"{uuid_text(digest.digest()[:16])}:0"


def scored(
    source: Layout, pixels: Pixels, *, context: int | None = None, keys: tuple[str, ...] = ()
) -> Scored:
    """Rollouts of a layout whose arrays go together.

    Args:
      context: Steps that were seen, where the files do not say or say otherwise.
      keys: Those to measure; empty is all.

    Raises:
      PredictionsError: What is missing, or does not go with what.
      OptionError: A key or a context that is not there.
    """
    place = source.place
    pixels = replace(pixels, channels_first=pixels.channels_first or source.channels_first)
    chosen = _chosen(source, keys)
    context = _context(source, context, source.columns[f"{layout.TRUTH}/{chosen[0]}"].shape)
    covers = {_check_key(source, key, context, pixels) for key in chosen}
    if len(covers) > 1:
        raise PredictionsError(
            f"{place}: some predictions hold the context and some do not",
            hint="all with it, or all without",
        )
    _check_lengths(source, chosen)
    found = Scored(source, pixels, context, chosen, covers.pop())
    return _looked_at(found)


def _looked_at(found: Scored) -> Scored:
    """The first windows are read: ranges are checked before anything is written."""
    first = replace(found, reconstructs=found.covers).take(found.blocks()[0])
    notes = list(found.source.notes)
    has_floor = first.evaluation is not None and first.evaluation.posterior is not None
    own = found.covers and not all(_copies(first, key) for key in found.chosen)
    if not has_floor and own:
        notes.append(
            "no reconstruction: the decoder's floor is the error of the last reconstruction before"
            " the imagined steps, which the prediction holds"
        )
    elif not has_floor:
        notes.append(
            "no reconstruction: the decoder's floor is unknown, and skill is raw, against the true"
            " last frame"
        )
    bad = [k for k, x in first.model.prediction.items() if not np.isfinite(x).all()]
    if bad:
        notes.append(f"predictions of {', '.join(map(clean, bad))} are not finite everywhere")
    for key, kind in found.kinds.items():
        column = found.source.columns[f"{layout.TRUTH}/{key}"]
        if kind == "image" and column.dtype.kind == "f":
            rows = found.pixels.last(column.read(found.blocks()[0]))
            if found.pixels.levels(key, rows)[1]:
                notes.append(
                    f"the truth of {clean(key)} was rounded to 256 levels: errors below 59 dB are"
                    " of the rounding, too"
                )
    return replace(found, reconstructs=own, notes=tuple(notes))


def _copies(loop: OpenLoop, key: str) -> bool:
    """Whether the last step before the imagined ones is the truth itself, not a reconstruction."""
    last = slice(loop.context - 1, loop.context)
    truth, said = loop.truth[key][:, last], loop.model.prediction[key][:, last]
    truth = truth.astype(np.float32) / 255 if loop.kinds[key] == "image" else truth
    return bool((np.abs(said - truth) <= _COPIED).all())


def _chosen(source: Layout, keys: tuple[str, ...]) -> tuple[str, ...]:
    place = source.place
    truth, said = source.keys(layout.TRUTH), source.keys(layout.PREDICTION)
    if not truth and not said:
        raise PredictionsError(
            f"{place}: holds no truth/<key> and prediction/<key>",
            hint=f"it holds {_some(list(source.columns))}; docs/any-model.md has the layout",
        )
    for key in keys:
        if key not in truth:
            raise OptionError(f"--keys {key}: no such observation; there are {', '.join(truth)}")
    chosen = keys or tuple(dict.fromkeys([*truth, *said]))
    both = ",".join(clean(key) for key in truth if key in said)
    for key in chosen:
        for part, there in ((layout.TRUTH, truth), (layout.PREDICTION, said)):
            if key not in there:
                raise PredictionsError(
                    f"{place}: {part}/{clean(key)} is missing",
                    hint=f"--keys {both} leaves it out" if both else "",
                )
    return chosen


def _context(source: Layout, asked: int | None, shape: tuple[int, ...]) -> int:
    if len(shape) < 2:
        raise PredictionsError(f"{source.place}: expected truth of (B, T, …), found {shape}")
    context = asked if asked is not None else source.context
    if context is None:
        raise OptionError(
            f"{source.place}: does not say how many steps were seen", hint="pass --context N"
        )
    if not 1 <= context < shape[1]:
        told = f"--context {context}" if asked is not None else f"context {context}"
        error = OptionError if asked is not None else PredictionsError
        raise error(
            f"{source.place}: {told}: expected 1 to {shape[1] - 1}, below the {shape[1]} steps of"
            " the truth"
        )
    return context


def _kind(column: Column) -> str:
    if len(column.shape) == 5:
        return "image"
    return kind_of(column.dtype, column.shape[2:])


def _check_key(source: Layout, key: str, context: int, pixels: Pixels) -> bool:
    """Whether the prediction of a key holds the context, too."""
    place = source.place
    truth = source.columns[f"{layout.TRUTH}/{key}"]
    name = f"{place}: {layout.TRUTH}/{clean(key)}"
    if not truth.shape[0]:
        raise PredictionsError(f"{name}: no windows")
    if _kind(truth) == "image":
        pixels.shape(name, truth.shape[2:])
    elif truth.dtype == np.uint8 and len(truth.shape) == 4:
        raise PredictionsError(
            f"{name}: expected pictures of (B, T, H, W, C), found {truth.shape}",
            hint="give them a last axis of one channel",
        )
    elif truth.dtype.kind not in "biuf":
        raise PredictionsError(f"{name}: expected numbers, found {truth.dtype}")
    steps, rest = truth.shape[1], truth.shape[2:]
    lengths = {
        layout.PREDICTION: {steps, steps - context},
        layout.RECONSTRUCTION: {steps},
        layout.DETERMINISTIC: {steps},
        layout.SHUFFLED: {steps, steps - context},
        layout.OTHER: {steps, steps - context},
    }
    for part, known in lengths.items():
        found = source.columns.get(f"{part}/{key}")
        if found is None:
            continue
        _check_dtype(f"{place}: {part}/{clean(key)}", truth, found)
        fits = found.shape[:1] + found.shape[2:] == truth.shape[:1] + rest
        if len(found.shape) < 2 or not fits or found.shape[1] not in known:
            _refuse_shape(f"{place}: {part}/{clean(key)}", truth.shape, found.shape, known)
    futures = source.columns.get(f"{layout.FUTURES}/{key}")
    if futures is not None:
        expected = (truth.shape[0], steps - context, *rest)
        found_shape = futures.shape[:1] + futures.shape[2:]
        if len(futures.shape) != len(truth.shape) + 1 or found_shape != expected:
            raise PredictionsError(
                f"{place}: {layout.FUTURES}/{clean(key)}: expected (B, M, H, …) ="
                f" {(expected[0], 'M', *expected[1:])}, found {futures.shape}"
            )
    return source.columns[f"{layout.PREDICTION}/{key}"].shape[1] == steps


def _refuse_shape(name: str, truth: tuple[int, ...], found: tuple[int, ...], known: Any) -> None:
    steps = " or ".join(map(str, sorted(known, reverse=True)))
    hint = ""
    if len(found) == 6 and len(truth) == 5:
        hint = "several futures of a window belong under futures/<key>, (B, M, H, …)"
    elif len(found) == 5 and len(truth) == 5 and found[2:] == (truth[4], *truth[2:4]):
        hint = "its channels stand elsewhere than in the truth; write both alike"
    raise PredictionsError(
        f"{name}: shape {found} does not go with the truth's {truth}: expected {steps} steps and"
        " all else equal",
        hint=hint,
    )


def _check_dtype(name: str, truth: Column, found: Column) -> None:
    whole = truth.dtype.kind in "biu" and _kind(truth) != "image"
    if whole and found.dtype.kind not in "biu":
        raise PredictionsError(
            f"{name}: expected whole numbers (classes), as in the truth, found {found.dtype}",
            hint="take the most likely class, or write the truth as floats",
        )
    if found.dtype.kind not in "biuf":
        raise PredictionsError(f"{name}: expected numbers, found {found.dtype}")


def _check_lengths(source: Layout, chosen: tuple[str, ...]) -> None:
    """All keys and all series have the same windows and steps."""
    first = source.columns[f"{layout.TRUTH}/{chosen[0]}"].shape
    names = [f"{layout.TRUTH}/{key}" for key in chosen]
    names += [f"{layout.ACTION}/{key}" for key in source.keys(layout.ACTION)]
    names += ["reward", "terminal", f"{layout.PREDICTED}/reward"]
    for name in names:
        column = source.columns.get(name)
        if column is not None and column.shape[:2] != first[:2]:
            raise PredictionsError(
                f"{source.place}: {name}: expected {plural(first[0], 'window')} of {first[1]}"
                f" steps, as {names[0]} has, found {column.shape[:2]}"
            )


def _some(names: list[str], most: int = 6) -> str:
    told = ", ".join(clean(x, 40) for x in names[:most]) or "no arrays"
    return told + (f" and {len(names) - most} more" if len(names) > most else "")
