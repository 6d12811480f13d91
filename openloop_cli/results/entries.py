"""One checkpoint's metrics tree as comparisons take it: its parts checked when they are asked for.

The trees come from files that others may have edited or that another openloop wrote, so every part
is checked for its shape; what is missing is told with its path.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import MetricsError
from openloop_cli.measures.clusters import Clusters, clusters
from openloop_cli.results.metric_names import path_text
from openloop_cli.text import clean, plural

# What must be the same for windows to be paired, and for a comparison to be of the model alone.
PAIRED = ("windows", "length", "context")
DRAWN = ("seed", "latents", "start")

_AGAIN = "render it again with this openloop, without --no-evaluate"


@dataclass(frozen=True)
class Entry:
    """A metrics tree, what it is called in tables, and where it is from, for errors."""

    label: str
    tree: Mapping[str, Any]
    source: str = ""

    @property
    def place(self) -> str:
        """Where it is from, as errors say it."""
        return self.source or self.label

    @property
    def keys(self) -> list[str]:
        """The observation keys that have a headline."""
        return list(self.part(Mapping, "headline"))

    @property
    def step(self) -> int | None:
        """The checkpoint's environment step."""
        step = self.part(Mapping, "checkpoint").get("step")
        return step if isinstance(step, int) else None

    @property
    def run(self) -> str:
        """The run's name; empty when unknown."""
        name = self.tree["run"].get("name") if isinstance(self.tree.get("run"), Mapping) else None
        return clean(name, 60) if isinstance(name, str) else ""

    @property
    def windows(self) -> list[str]:
        """The windows' ids."""
        return [str(name) for name in self.part(list, "rollout", "windows")]

    @property
    def shared(self) -> Clusters:
        """Which windows share their luck."""
        return shared_windows(self.tree)

    @property
    def horizon(self) -> int:
        """How many steps were imagined."""
        length, context = (self.part(int, "rollout", name) for name in ("length", "context"))
        return int(length) - int(context)

    def part(self, kind: Any, *names: str) -> Any:
        """What stands at a path, of that kind.

        Raises:
          MetricsError: Nothing, or something else, stands there.
        """
        value: Any = self.tree
        for name in names:
            if not isinstance(value, Mapping) or name not in value:
                raise MetricsError(f"{self.place}: {path_text(*names)}: missing", hint=_AGAIN)
            value = value[name]
        if not isinstance(value, kind):
            words = f"expected {_word(kind)}, found {_word(type(value))}"
            raise MetricsError(f"{self.place}: {path_text(*names)}: {words}")
        return value

    def rollout(self, name: str) -> Any:
        """How it was rolled out; None of what older files, and predictions, do not tell."""
        of_another = self.has("rollout", "model") or (
            self.part(Mapping, "rollout").get("selection") == "scored"
        )
        untold = DRAWN if of_another else ("start",)
        if name in untold and not self.has("rollout", name):
            return None
        return self.part(object, "rollout", name)

    def number(self, *names: str) -> float | None:
        """A number, None where it is undefined."""
        value = self.part((int, float, type(None)), *names)
        return None if value is None else float(value)

    def has(self, *names: str) -> bool:
        """Whether something stands there."""
        value: Any = self.tree
        for name in names:
            if not isinstance(value, Mapping) or name not in value:
                return False
            value = value[name]
        return True

    def rows(self, *names: str) -> Array:
        """Numbers by window and imagined step, (B, H) float64, NaN where undefined."""
        return self._array(self._windows(*names), (len(self.windows), self.horizon), names)

    def column(self, *names: str) -> Array:
        """A number for each window, (B,)."""
        return self._array(self._windows(*names), (len(self.windows),), names)

    def steps(self, *names: str) -> Array:
        """A number for each imagined step, (H,)."""
        return self._array(self.part(list, *names), (self.horizon,), names)

    def _windows(self, *names: str) -> Any:
        return self.part((list, np.ndarray), *names)

    def _array(self, value: Any, shape: tuple[int, ...], names: tuple[str, ...]) -> Array:
        if isinstance(value, np.ndarray) and value.shape == shape:
            return value.astype(np.float64)
        flat = _flat(value, shape)
        if flat is None:
            raise MetricsError(
                f"{self.place}: {path_text(*names)}: expected {shape} numbers, found others"
            )
        return np.array(flat, np.float64).reshape(shape)


def what_differs(first: Entry, other: Entry, names: tuple[str, ...]) -> list[str]:
    """What the two were not rolled out alike in, in words: `context (25 and 20 steps)`."""
    differing = []
    truths = _truths(first, other)
    for name in names:
        a, b = (entry.rollout(name) for entry in (first, other))
        if name == "windows" and truths and len(a) == len(b):
            # What was recorded counts, not what it is called.
            other_data = [key for key, (x, y) in truths.items() if x != y]
            if other_data and a == b:
                differing.append(f"truth of {', '.join(clean(key, 40) for key in other_data)}")
                continue
            if not other_data:
                continue
        if a == b or (name in DRAWN and None in (a, b)):
            continue
        if name == "windows":
            common = len({str(x) for x in first.windows} & {str(x) for x in other.windows})
            words = f"{len(first.windows)} and {len(other.windows)}, {common} of them the same"
            differing.append(f"windows ({words})")
        else:
            differing.append(f"{name} ({clean(str(a), 40)} and {clean(str(b), 40)})")
    return differing


def _truths(first: Entry, other: Entry) -> dict[str, tuple[str, str]]:
    """The hashes of the keys that both have; none where a file is older."""
    path = ("rollout", "truth")
    if not (first.has(*path) and other.has(*path)):
        return {}
    a, b = (entry.part(Mapping, *path) for entry in (first, other))
    return {key: (str(a[key]), str(b[key])) for key in a if key in b}


def _flat(value: Any, shape: tuple[int, ...]) -> list[float] | None:
    """The numbers of nested lists of exactly this shape, None for any other."""
    if not shape:
        if value is None:
            return [math.nan]
        small = isinstance(value, (int, float)) and not isinstance(value, bool)
        return [float(value)] if small and abs(value) < 1e300 else None
    if not isinstance(value, list) or len(value) != shape[0]:
        return None
    numbers: list[float] = []
    for item in value:
        found = _flat(item, shape[1:])
        if found is None:
            return None
        numbers += found
    return numbers


def _word(kind: Any) -> str:
    words = {
        Mapping: "a group",
        dict: "a group",
        list: "a list",
        str: "text",
        int: "a whole number",
    }
    words |= {float: "a number", bool: "true or false", type(None): "null"}
    return "a number" if isinstance(kind, tuple) else words.get(kind, "something else")


def part(tree: Any, *path: str) -> Mapping[str, Any]:
    """The group that stands there; an empty one where there is none."""
    for name in path:
        tree = tree.get(name, {}) if isinstance(tree, Mapping) else {}
    return tree if isinstance(tree, Mapping) else {}


def shared_windows(tree: Any) -> Clusters:
    """Which windows of a metrics tree share their luck; where older files do not tell, those of one
    chunk are taken for those of one episode."""
    rollout = part(tree, "rollout")
    ids: Any = rollout.get("windows") or [""]
    told, apart = (rollout.get(name) for name in ("episodes", "apart"))
    if isinstance(told, list) and len(told) == len(ids) and all(type(x) is int for x in told):
        episodes = told
    else:
        names = [str(window).partition(":")[0] for window in ids]
        episodes = [names.index(name) for name in names]
    return clusters(episodes, apart if type(apart) is int and apart > 0 else None)


def windows_words(tree: Any) -> str:
    """How many windows there are, and how many independent ones they are worth."""
    shared = shared_windows(tree)
    text = plural(len(shared.labels), "window")
    known = bool(part(tree, "rollout").get("episodes"))
    if not known or shared.episodes == len(shared.labels) == shared.apart:
        return text
    apart = f", {shared.apart} of them apart" if shared.apart < len(shared.labels) else ""
    told = f"{text} of {plural(shared.episodes, 'episode')}{apart}"
    return f"{told} (worth {shared.independent:.0f} independent)"
