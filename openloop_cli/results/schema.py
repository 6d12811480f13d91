"""metrics.json against its own schema, before anything relies on what a file says.

Types, minima and lengths: the part of JSON Schema that a reader relies on, in a page, since no
command should need a library for it. What the schema does not know is let pass, since a later
version may have more, and what is missing too: part of a report is of use to those who need no
more. The tests hold what is written against the whole schema, with `jsonschema`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from openloop_cli.text import clean

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_WORDS = {"object": "an object", "array": "a list", "string": "text", "integer": "a whole number",
          "number": "a number", "boolean": "true or false", "null": "null"}  # fmt: skip


def first_problem(tree: Any) -> str | None:
    """Where a tree is not what the schema says, in a line: the place, what was expected, what was
    found. None where nothing is wrong."""
    return next(_problems(tree, metrics_schema(), ()), None)


@cache
def metrics_schema() -> dict[str, Any]:
    """The schema of metrics.json."""
    text = files("openloop_cli.results").joinpath("metrics.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _problems(value: Any, rule: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[str]:
    rule = _resolved(rule)
    kinds = rule.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        expected = " or ".join(_WORDS[kind] for kind in kinds)
        yield f"{_path(place)}: expected {expected}, found {_found(value)}"
        return
    if "enum" in rule and not isinstance(value, str):
        yield f"{_path(place)}: expected text, found {_found(value)}"
    if _is(value, "number") and value < rule.get("minimum", value):
        yield f"{_path(place)}: expected {rule['minimum']} or more, found {_found(value)}"
    if isinstance(value, list):
        if len(value) < rule.get("minItems", 0):
            yield f"{_path(place)}: expected {rule['minItems']} or more, found {len(value)}"
        if "items" in rule and not _all_of_a_kind(value, rule["items"]):
            for index, item in enumerate(value):
                yield from _problems(item, rule["items"], (*place, str(index)))
    if isinstance(value, dict):
        yield from _members(value, rule, place)


def _members(
    value: Mapping[str, Any], rule: Mapping[str, Any], place: tuple[str, ...]
) -> Iterator[str]:
    named, patterns = rule.get("properties", {}), rule.get("patternProperties", {})
    others = rule.get("additionalProperties")
    for name, item in value.items():
        below = named.get(name)
        if below is None:
            below = next((x for form, x in patterns.items() if re.search(form, name)), others)
        if isinstance(below, Mapping):
            yield from _problems(item, below, (*place, name))


def _resolved(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in rule:
        return rule
    named: Mapping[str, Any] = metrics_schema()["$defs"][rule["$ref"].rpartition("/")[2]]
    return named


def _all_of_a_kind(value: list[Any], rule: Mapping[str, Any]) -> bool:
    """Whether all items are plainly right, at a glance: most of a file is lists of numbers."""
    rule = _resolved(rule)
    if not rule.keys() <= {"type", "description"}:
        return False
    kinds = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    return set(map(type, value)) <= {kind for name in kinds for kind in _TYPES[name]}


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool) and kind in ("integer", "number"):
        return False
    return isinstance(value, _TYPES[kind])


def _path(place: tuple[str, ...]) -> str:
    return ".".join(clean(name, 60) for name in place) or "metrics.json"


def _found(value: Any) -> str:
    for kind in ("object", "array"):
        if _is(value, kind):
            return _WORDS[kind]
    return clean(json.dumps(value, ensure_ascii=False), 60)
