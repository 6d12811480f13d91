"""YAML 1.2 from a stranger -> plain values. Nothing is executed, and no input is expensive.

ruamel.yaml only splits the text into events; the values are built here, from the core schema
(https://yaml.org/spec/1.2.2/#103-core-schema) and nothing else. Its own constructors cost 80 µs a
value before any limit applies, look tags up as functions, and end in a traceback for `!!int ''`.

Importing this takes longer than `openloop --help` should: import it where it is used.
"""

import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from openloop_cli.errors import ConfigError

# The reference's config.yaml has 4 kB, 180 values and depth 5.
MAX_BYTES = 1 << 18
# Of a document that is split into events at some 50 µs each.
MAX_EVENTS = 10_000
MAX_DEPTH = 50
# What the values stand for once aliases are followed: a hundred bytes can stand for billions.
MAX_VALUES = 50_000

_INT = re.compile(r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?")
_WORDS = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"], None),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
    **dict.fromkeys([".nan", ".NaN", ".NAN"], float("nan")),
    **{f"{sign}.{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in ("inf", "Inf")},
}
_LONGEST_NUMBER = 100
_KINDS = {list: "a list", type(None): "nothing"}


def load_yaml(path: Path) -> Mapping[str, Any]:
    """The settings in a file.

    Raises:
      ConfigError: Not readable, not YAML, or no settings by name.
    """
    hint = "pass the config.yaml that the run wrote"
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            # A pipe would block for ever, and a device has no end.
            raise ConfigError(f"{path}: expected a regular file", hint=hint)
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigError(
                f"{path}: {size} bytes, expected a few thousand for a config.yaml", hint=hint
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    tree = parse_yaml(path, text, hint=hint)
    if not isinstance(tree, Mapping):
        raise ConfigError(
            f"{path}: expected settings by name, found {_KINDS.get(type(tree), 'one value')}",
            hint=hint,
        )
    return tree


def parse_yaml(path: Path, text: str, *, hint: str = "") -> Any:
    """The value of a text that was read from `path`.

    Raises:
      ConfigError: Not YAML, more than `MAX_EVENTS` or `MAX_VALUES`, nested deeper than
        `MAX_DEPTH`, or with tags, which could ask for anything.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(
            f"{path}: {len(text)} characters, expected at most {MAX_BYTES}", hint=hint
        )
    try:
        return _Builder(YAML(typ="safe", pure=True).parse(text)).document()
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not YAML: {_reason(error)}", hint=hint) from None


class _Builder:
    """Events -> the value of the first document, counted while it is built."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._seen = self._depth = self._count = 0
        # What an anchor stands for, and how many values that is.
        self._anchors: dict[str, tuple[Any, int]] = {}

    def document(self) -> Any:
        """The value; None where there is no document.

        Raises:
          ValueError, YAMLError: Where, and what is wrong.
        """
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                value = self._value(next(self._events))
                if isinstance(following := self._following_document(), DocumentStartEvent):
                    raise _at(following, "a second document, expected one")
                return value
        return None

    def _following_document(self) -> Any:
        next(self._events, None)  # the end of the first
        return next(self._events, None)

    def _next(self) -> Any:
        event = next(self._events)
        self._seen += 1
        if self._seen > MAX_EVENTS:
            raise _at(event, f"more than {MAX_EVENTS:,} values and brackets")
        return event

    def _value(self, event: Any) -> Any:
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise _at(event, "an alias of something that is not complete yet, or missing")
            value, count = self._anchors[event.anchor]
            self._add(event, count)
            return value
        tag = str(event.ctag or "")
        if tag not in ("", "!"):
            raise _at(event, f"tag {tag[:40]}: tags are not read")
        before = self._count
        self._add(event, 1)
        value = self._of_kind(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, self._count - before
        return value

    def _of_kind(self, event: Any) -> Any:
        if isinstance(event, ScalarEvent):
            plain = event.style is None and str(event.ctag or "") != "!"
            # Long texts count as much as what they take: aliases repeat them, too.
            self._add(event, len(event.value) // 100)
            return _scalar(event) if plain else event.value
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _at(event, f"nested deeper than {MAX_DEPTH} levels")
        value = self._list() if isinstance(event, SequenceStartEvent) else self._dict(event)
        self._depth -= 1
        return value

    def _list(self) -> list[Any]:
        values = []
        while not isinstance(event := self._next(), CollectionEndEvent):
            values.append(self._value(event))
        return values

    def _dict(self, start: Any) -> dict[Any, Any]:
        assert isinstance(start, MappingStartEvent)
        merged: dict[Any, Any] = {}
        own: dict[Any, Any] = {}
        while not isinstance(event := self._next(), CollectionEndEvent):
            key, value = self._value(event), self._value(self._next())
            if not isinstance(key, Hashable):
                raise _at(event, "expected a plain value as a key")
            if key in own:
                raise _at(event, f"the key {str(key)[:40]!r} is there twice")
            if key == "<<" and isinstance(event, ScalarEvent) and event.style is None:
                merged = _merged(event, value) | merged
            else:
                own[key] = value
        return merged | own

    def _add(self, event: Any, count: int) -> None:
        self._count += count
        if self._count > MAX_VALUES:
            raise _at(event, f"more than {MAX_VALUES:,} values, aliases followed")


def _merged(event: Any, value: Any) -> dict[Any, Any]:
    """What `<<` takes over: of several mappings the first that has a key."""
    found: dict[Any, Any] = {}
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict):
            raise _at(event, "<<: expected settings by name")
        found = one | found
    return found


def _scalar(event: Any) -> Any:
    """A plain scalar by the core schema: null, bool, int, float or str."""
    text: str = event.value
    if text in _WORDS:
        return _WORDS[text]
    whole = _INT.fullmatch(text)
    if not (whole or _FLOAT.fullmatch(text)):
        return text
    if len(text) > _LONGEST_NUMBER:
        # Python converts long ones in quadratic time, and refuses to print them.
        raise _at(event, f"a number of {len(text):,} characters")
    digits = text.replace("_", "")
    try:
        based = digits.lstrip("+-")[1:2] in ("b", "o", "x")
        return int(digits, 0 if based else 10) if whole else float(digits)
    except ValueError:  # `0x_`
        return text


def _at(event: Any, problem: str) -> ValueError:
    mark = event.start_mark
    return ValueError(f"line {mark.line + 1}, column {mark.column + 1}: {problem}")


def _reason(error: Exception) -> str:
    """One line."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return (where + " ".join(str(problem or error).split()))[:200]
