"""metrics.json: the numbers of a report as strict JSON. Its schema is `metrics.schema.json`.

What is undefined is null; there is no NaN and no Infinity. Numbers keep seven digits, more than
float32 holds, so that a file stays readable and small.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from openloop_cli.storage import RemotePath
from openloop_cli.storage.atomic import write_text

DIGITS = 7


def write_metrics(path: Path, tree: Mapping[str, Any]) -> None:
    """Write the tree, whole or not at all.

    Raises:
      OutputError: A place that cannot be written.
    """
    write_text(path, metrics_json(tree))


def metrics_json(tree: Mapping[str, Any]) -> str:
    """The tree as strict JSON: a key to a line, a list of numbers on one line."""
    return _pretty(plain(tree), 0) + "\n"


def plain(value: Any) -> Any:
    """Dictionaries, lists, text, whole numbers, floats of seven digits, booleans, None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, (Path, RemotePath)):
        return str(value)
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def _pretty(value: Any, depth: int) -> str:
    if isinstance(value, dict) and value:
        pad = "  " * (depth + 1)
        lines = (f"{pad}{json.dumps(k)}: {_pretty(v, depth + 1)}" for k, v in value.items())
        return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"
    return json.dumps(value, allow_nan=False, ensure_ascii=False)
