"""YAML 1.2 from a stranger -> settings by name. Nothing is run, and aliases cannot explode.

Importing this takes longer than `openloop --help` should: import it where it is used.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import CollectionNode

from openloop_cli.errors import ConfigError

MAX_BYTES = 4 * 2**20
# A genuine config has 600 values; a hundred bytes of aliases to aliases stand for billions.
MAX_VALUES = 100_000


def load_yaml(path: Path) -> Mapping[str, Any]:
    """The settings in a file.

    Raises:
      ConfigError: Not readable, not YAML, or no settings by name.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigError(
                f"{path}: {size} bytes, a config.yaml has a few thousand",
                hint="pass the run's own config.yaml",
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    tree = parse_yaml(path, text, hint="pass the config.yaml that the run wrote")
    if not isinstance(tree, Mapping):
        raise ConfigError(
            f"{path}: expected settings by name, found {type(tree).__name__}",
            hint="pass the config.yaml that the run wrote",
        )
    return tree


def parse_yaml(path: Path, text: str, *, hint: str = "") -> Any:
    """What a text from `path` says.

    Raises:
      ConfigError: Not YAML, or more values than `MAX_VALUES`.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _BoundedConstructor
    try:
        return yaml.load(text)
    except (YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: not YAML: {_reason(error)}", hint=hint) from None


class _BoundedConstructor(SafeConstructor):
    """Counts what the nodes stand for before anything is made of them."""

    def construct_document(self, node: Any) -> Any:
        pending, count = [node], 0
        while pending:
            for item in _children(pending.pop()):
                count += 1
                if count > MAX_VALUES:
                    raise ValueError(f"more than {MAX_VALUES} values, or aliases in a circle")
                pending.append(item)
        return super().construct_document(node)


def _children(node: Any) -> list[Any]:
    if not isinstance(node, CollectionNode):
        return []
    return [x for item in node.value for x in (item if isinstance(item, tuple) else (item,))]


def _reason(error: Exception) -> str:
    """One line."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return (where + " ".join(str(problem or error).split()))[:200]
