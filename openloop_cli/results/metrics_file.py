"""A metrics.json that was written before -> its tree, checked to be one."""

import json
import math
from pathlib import Path
from typing import Any

from openloop_cli.errors import MetricsError
from openloop_cli.storage import place

FORMAT, VERSION = "openloop-metrics", 1
MAX_BYTES = 256 * 2**20


def read_metrics(path: Path | str) -> dict[str, Any]:
    """Reads a metrics.json, of this machine or the network.

    Raises:
      MetricsError: Not readable, not JSON, or of another format or version.
    """
    path = place(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MetricsError(f"{path}: {path.stat().st_size} bytes, too large for a metrics.json")
        tree = json.loads(
            path.read_text(encoding="utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except OSError as error:
        raise MetricsError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise MetricsError(
            f"{path}: not JSON: {_reason(error)}",
            hint="pass the metrics.json that `openloop render` wrote",
        ) from None
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise MetricsError(
            f"{path}: not a metrics.json of openloop",
            hint="pass the metrics.json that `openloop render` wrote",
        )
    if tree.get("version") != VERSION:
        raise MetricsError(
            f"{path}: format version {tree.get('version')!r}, expected {VERSION}",
            hint="render it again, or use the openloop that wrote it",
        )
    return tree


def _refuse_constant(name: str) -> float:
    """JSON knows no NaN and no Infinity, though Python reads them."""
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    """A number as it stands there; 1e999 is none that we hold."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large")
    return value


def _reason(error: ValueError | RecursionError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not text"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error).splitlines()[0][:200] if str(error) else "unreadable"
