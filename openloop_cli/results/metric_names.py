"""Numbers of a metrics.json by their path: `observations.image.imagined.model.psnr.mean`.

A path is names and list indices with dots between them; indices count from 0, negative ones from
the end. Where a name itself holds dots (`log/a.b`), the longest name that fits is taken; one in
double quotes, spelled as JSON spells it, stands for itself: `observations."log/a.b".skill.mean`.
A path that ends on a group stands for its `mean`, or for the `steps` of a horizon.
"""

import difflib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from openloop_cli.errors import MetricsError
from openloop_cli.text import clean

# What a group stands for.
_SHORT = ("mean", "steps")
_LONGEST_PATH = 500
_NEAREST = 3


@dataclass(frozen=True)
class Number:
    """A number and where it stands.

    Attributes:
      path: Its full path.
      value: None where it is undefined.
      reason: Why it is undefined, in words, as far as the tree says.
    """

    path: str
    value: float | None
    reason: str = ""


def find_number(tree: Mapping[str, Any], path: str, source: str) -> Number:
    """The number at a path.

    Args:
      source: What the tree was read from, for the error.

    Raises:
      MetricsError: No number stands there; with the nearest paths that there are.
    """
    parts, hint = _split(path), ""
    for found in _walk(tree, parts) if parts else ():
        steps = _shortened(found)
        value = steps[-1][1]
        if value is None or _is_number(value):
            name = path_text(*(name for name, _ in steps))
            return Number(name, None if value is None else float(value), _reason(steps, value))
        hint = hint or _what_is_there(value)
    raise MetricsError(f"{source}: no number {clean(path)!r}", hint=hint or _nearest(tree, path))


def path_text(*names: str | int) -> str:
    """Names and indices as a path, with quotes where a name needs them."""
    return ".".join(
        json.dumps(name) if isinstance(name, str) and _needs_quotes(name) else str(name)
        for name in names
    )


def number_paths(tree: Mapping[str, Any]) -> list[str]:
    """The paths of all numbers that do not lie in a list."""
    return [path_text(*names) for names in _leaves(tree, ())]


Steps = list[tuple[str | int, Any]]
"""The names on the way with what stands under each, from the top."""


def _split(path: str) -> list[tuple[str, bool]]:
    """Parts between dots, and whether each was in quotes; none where the path is malformed."""
    parts: list[tuple[str, bool]] = []
    rest = path if len(path) <= _LONGEST_PATH else ""
    while rest:
        if rest[0] == '"':
            try:
                name, end = json.JSONDecoder().raw_decode(rest)
            except ValueError:
                return []
            parts.append((name, True))
        else:
            end = rest.find(".") if "." in rest else len(rest)
            parts.append((rest[:end], False))
        if rest[end : end + 1] not in ("", ".") or rest[end:] == ".":
            return []
        rest = rest[end + 1 :]
    return parts


def _walk(value: Any, parts: list[tuple[str, bool]]) -> Iterator[Steps]:
    """Every way to read the parts, the longest names first."""
    if not parts:
        yield []
        return
    if isinstance(value, Mapping):
        for count in range(len(parts), 0, -1):
            if count > 1 and any(quoted for _, quoted in parts[:count]):
                continue
            name = ".".join(part for part, _ in parts[:count])
            if name in value:
                for steps in _walk(value[name], parts[count:]):
                    yield [(name, value[name]), *steps]
    elif isinstance(value, list):
        index = _index(parts[0], len(value))
        if index is not None:
            for steps in _walk(value[index], parts[1:]):
                yield [(index, value[index]), *steps]


def _index(part: tuple[str, bool], length: int) -> int | None:
    text, quoted = part
    digits = text.removeprefix("-")
    if quoted or not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        return None
    index = int(text)
    index += length * (index < 0)
    return index if 0 <= index < length else None


def _shortened(steps: Steps) -> Steps:
    group = steps[-1][1]
    for name in _SHORT if isinstance(group, Mapping) else ():
        if name in group:
            return [*steps, (name, group[name])]
    return steps


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _reason(steps: Steps, value: Any) -> str:
    """The nearest reason on the way up."""
    for _, group in reversed(steps[:-1] if value is None else []):
        if isinstance(group, Mapping):
            for place in (group, group.get("useful_horizon")):
                if isinstance(place, Mapping) and isinstance(place.get("reason"), str):
                    return clean(place["reason"])
    return ""


def _needs_quotes(name: str) -> bool:
    return not name or "." in name or '"' in name or not name.isprintable()


def _leaves(value: Any, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _leaves(below, (*names, name))
    elif value is None or _is_number(value):
        yield names


def _what_is_there(value: Any) -> str:
    if isinstance(value, Mapping):
        return "that is a group: " + ", ".join(clean(str(name)) for name in list(value)[:20])
    if isinstance(value, list):
        return f"that is a list of {len(value)}: add an index from 0, such as .0 or .-1"
    return f"that is {clean(str(value), 60)!r}"


def _nearest(tree: Mapping[str, Any], path: str) -> str:
    names = number_paths(tree)
    near = difflib.get_close_matches(path[:_LONGEST_PATH], names, _NEAREST, 0.5)
    if not near:
        return "numbers stand under " + ", ".join(clean(name) for name in list(tree)[:20])
    return "the nearest are " + ", ".join(clean(name) for name in near)
