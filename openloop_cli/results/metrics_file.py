"""metrics.json, and the `.windows.npz` beside it: the numbers of a report, written and read.

The JSON is strict: what is undefined is null; there is no NaN and no Infinity. Numbers keep seven
digits, as many as float32 holds; those in lists, which curves are drawn from, five. Its schema is
`metrics.schema.json`. What each window did (every group `per_window` of the tree) lies in an npz
beside it, whose arrays are named by their place in the tree; the JSON has its name and SHA-256.

Format version 1 held those arrays in the JSON itself. Up to version 2 the useful horizon ended at
the first step whose skill was not above 0 by the lower end of its own interval, and skill was a
mean over steps. Both are still read, and become version 3 without these two numbers.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import MetricsError, RemoteError, ReplayError
from openloop_cli.measures.skill import DECODER
from openloop_cli.replay.npz import open_npz, read_steps
from openloop_cli.results import schema
from openloop_cli.results.entries import Entry
from openloop_cli.storage import RemotePath, place, remote
from openloop_cli.storage.atomic import atomic_path
from openloop_cli.storage.npz import npz_bytes
from openloop_cli.text import clean

FORMAT, VERSION = "openloop-metrics", 3
DIGITS, STEP_DIGITS = 7, 5
MAX_BYTES = 256 * 2**20
ENDING, WINDOWS_ENDING = ".metrics.json", ".windows.npz"
PER_WINDOW = "per_window"
_KEY = "windows_file"
_LONGEST_NUMBER = 18  # digits: every such number fits 64 bits
_WROTE = "pass the metrics.json that `openloop render` wrote"


def write_metrics(path: Path, tree: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the tree and what each window did, both or neither.

    Returns:
      The tree as its JSON holds it.

    Raises:
      OutputError: A place that cannot be written.
    """
    whole, arrays = _apart(tree)
    if not arrays:
        with atomic_path(path) as partial:
            partial.write_bytes(_encoded(whole))
        return whole
    data = npz_bytes({"/".join(map(_spelled, names)): x for names, x in arrays.items()})
    beside = windows_path(path)
    whole[_KEY] = {"name": beside.name, "sha256": hashlib.sha256(data).hexdigest()}
    with ExitStack() as files:
        # Renamed in the opposite order: the JSON comes last, since it vouches for the other.
        text = files.enter_context(atomic_path(path))
        windows = files.enter_context(atomic_path(beside, expected_bytes=len(data)))
        windows.write_bytes(data)
        text.write_bytes(_encoded(whole))
    return whole


def read_metrics(path: Path | str, *, windows: bool = False) -> dict[str, Any]:
    """Reads a metrics.json, of this machine or the network, as the schema says that it is.

    Args:
      windows: Read what each window did, too.

    Raises:
      MetricsError: Not readable, not JSON, of another format or version, not as the schema says;
        or the file beside it is missing or another one.
    """
    path = place(path)
    tree: Any = _parsed(path)
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise MetricsError(f"{path}: not a metrics.json of openloop", hint=_WROTE)
    if tree.get("version") == 1:
        tree = _upgraded(tree)
    if tree.get("version") == 2:
        tree = _without_old_horizons(tree)
    if tree.get("version") != VERSION:
        raise MetricsError(
            f"{path}: format version {tree.get('version')!r}, expected 1 to {VERSION}",
            hint="render it again, or use the openloop that wrote it",
        )
    checked: dict[str, Any] = tree
    problem = schema.first_problem(tree)
    if problem:
        raise MetricsError(f"{path}: {problem}", hint=_WROTE)
    if windows and _KEY in checked:
        for names, array in _read_windows(path, checked).items():
            _put(checked, names, array)
    return checked


def windows_path(metrics: Path) -> Path:
    """`video.windows.npz` of `video.metrics.json`, `numbers.windows.npz` of `numbers.json`."""
    name = metrics.name.removesuffix(ENDING) if metrics.name.endswith(ENDING) else metrics.stem
    return metrics.with_name(name + WINDOWS_ENDING)


def metrics_json(tree: Mapping[str, Any]) -> str:
    """The tree as strict JSON: a key to a line, a list of numbers on one line."""
    return _pretty(plain(tree), 0) + "\n"


def plain(value: Any, digits: int = DIGITS) -> Any:
    """Dictionaries, lists, text, whole numbers, floats of so many digits, booleans, None. What each
    window did stays as it is."""
    if isinstance(value, Mapping):
        return {str(k): v if k == PER_WINDOW else plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), STEP_DIGITS if value.ndim else digits)
    if isinstance(value, (list, tuple)):
        return [plain(v, STEP_DIGITS) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item(), digits)
    if isinstance(value, (Path, RemotePath)):
        return str(value)
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value


def _encoded(tree: Mapping[str, Any]) -> bytes:
    # A file name that is no UTF-8 stands in our text as lone surrogates. Spelled out, they are
    # JSON's own way of writing them, so that a metrics.json still names that file.
    return metrics_json(tree).encode(errors="backslashreplace")


def _pretty(value: Any, depth: int) -> str:
    if isinstance(value, dict) and value:
        # What has no groups below stands on one line, which is what most of the file is.
        if depth > 1 and not any(isinstance(x, dict) and x for x in value.values()):
            return _on_a_line(value)
        pad = "  " * (depth + 1)
        lines = (f"{pad}{json.dumps(k)}: {_pretty(v, depth + 1)}" for k, v in value.items())
        return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"
    return _on_a_line(value)


def _on_a_line(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ": "))


def _apart(tree: Mapping[str, Any]) -> tuple[dict[str, Any], dict[tuple[str, ...], Array]]:
    """The tree without its groups `per_window`, and their arrays by place."""
    rest: dict[str, Any] = {}
    arrays: dict[tuple[str, ...], Array] = {}
    for name, value in tree.items():
        if name == PER_WINDOW and isinstance(value, Mapping):
            arrays |= {(name, path): np.asarray(x, np.float32) for path, x in value.items()}
        elif isinstance(value, Mapping):
            rest[name], below = _apart(value)
            arrays |= {(name, *names): x for names, x in below.items()}
        else:
            rest[name] = value
    return rest, arrays


def _read_windows(path: Path, tree: Mapping[str, Any]) -> dict[tuple[str, ...], Array]:
    """The arrays of the file beside a metrics.json, by their places in its tree."""
    entry = Entry("", tree, str(path))
    digest, length = entry.part(str, _KEY, "sha256"), len(entry.windows)
    beside = path.with_name(_plain_name(path, entry.part(str, _KEY, "name")))
    again = "it holds what each window did and belongs beside the metrics.json; render it again"
    try:
        if beside.stat().st_size > MAX_BYTES:
            raise MetricsError(f"{beside}: {beside.stat().st_size} bytes are too many", hint=again)
        data = beside.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise MetricsError(f"{beside}: cannot be read: {reason}", hint=again) from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise MetricsError(f"{beside}: not the file that {path.name} was written with", hint=again)
    try:
        members = open_npz(beside, length)
        # All of them together: a small file can declare many arrays that unpack to a lot each.
        if sum(x.size for x in members.values()) > MAX_BYTES:
            raise ReplayError("it unpacks to too many bytes")
        if any(x.dtype.kind != "f" for x in members.values()):
            raise ReplayError("it holds other things than numbers of windows")
        found = read_steps(beside, members.values(), [(0, length)])
    except (ReplayError, RemoteError) as error:
        raise MetricsError(f"{beside}: {error}", hint=again) from None
    return {tuple(map(_as_it_was, name.split("/"))): array for name, array in found.items()}


def _spelled(name: str) -> str:
    """A name of the tree as a part of an array's name: a key may hold anything."""
    kept = quote(name, safe="", errors="surrogatepass")
    return kept.replace(".", "%2E") if not name.strip(".") else kept


def _as_it_was(part: str) -> str:
    return unquote(part, errors="surrogatepass")


def _plain_name(path: Path, name: str) -> str:
    """A name that leads nowhere else."""
    if name in ("", ".", "..") or any(x in name for x in "/\\\0") or len(name) > 255:
        raise MetricsError(f"{path}: {_KEY}: {name[:80]!r} is not the name of a file beside it")
    return name


def _put(tree: dict[str, Any], names: tuple[str, ...], array: Array) -> None:
    """Into the group `per_window` that it is named after; elsewhere no array replaces anything."""
    if len(names) < 2 or names[-2] != PER_WINDOW:
        return
    for name in names[:-2]:
        below = tree.get(name)
        if not isinstance(below, dict):
            return  # of something that is not in this report
        tree = below
    if not isinstance(tree.get(PER_WINDOW), dict):
        tree[PER_WINDOW] = {}
    tree[PER_WINDOW][names[-1]] = array


def _upgraded(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Version 1 as version 2: the mean errors of the context stand with those of the windows, and
    there is no skill where the decoder does not show what moves."""
    tree = {**tree, "version": 2}
    observations = tree.get("observations")
    if isinstance(observations, dict):
        tree["observations"] = {key: _upgraded_key(x) for key, x in observations.items()}
    headline = tree.get("headline")
    if isinstance(headline, dict):
        tree["headline"] = {
            key: {**x, "skill": None} if _is_blind(x, "reconstruction_skill") else x
            for key, x in headline.items()
        }
    return tree


def _without_old_horizons(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Version 2 as version 3: the horizon and the mean skill meant something else."""
    tree = {**tree, "version": VERSION}
    for part in ("headline", "observations"):
        if isinstance(tree.get(part), dict):
            tree[part] = {key: _without_old_horizon(found) for key, found in tree[part].items()}
    return tree


def _without_old_horizon(found: Any) -> Any:
    if not isinstance(found, dict):
        return found
    skill, horizon = found.get("skill"), found.get("useful_horizon")
    if isinstance(skill, dict):
        found = {**found, "skill": {**skill, "mean": None}}
    elif "skill" in found:
        found = {**found, "skill": None}
    if isinstance(horizon, dict):
        if str(horizon.get("reason")).startswith(DECODER):  # which means the same
            kept = {"low": None, "high": None, "high_at_least": False}
            return {**found, "useful_horizon": {**horizon, **kept}}
        reason = "format version 2 measured it otherwise: render it again"
        none = {"steps": None, "at_least": False, "reason": reason}
        none |= {"low": None, "high": None, "high_at_least": False}
        found = {**found, "useful_horizon": {"of": horizon.get("of")} | none}
    return found


def _is_blind(found: Any, *names: str) -> bool:
    """Whether the number there, reconstruction skill, is at or below 0."""
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return type(found) in (int, float) and found <= 0


def _upgraded_key(found: Any) -> Any:
    if _is_blind(found, "reconstruction_skill", "mean") and isinstance(found.get("skill"), dict):
        nothing = {k: [None] * len(v) if isinstance(v, list) else None
                   for k, v in found["skill"].items()}  # fmt: skip
        found = {**found, "skill": nothing}
    if not isinstance(found, dict) or not isinstance(found.get(PER_WINDOW), dict):
        return found
    rows = {**found[PER_WINDOW], "context": found.get("per_window_observed")}
    return {k: v for k, v in found.items() if k != "per_window_observed"} | {PER_WINDOW: rows}


def _parsed(path: Path) -> Any:
    try:
        if remote(path):
            data = path.read_bytes()
        else:
            with path.open("rb") as file:  # a pipe tells no size beforehand
                data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise MetricsError(f"{path}: more than {MAX_BYTES >> 20} MiB are no metrics.json")
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_each_once,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except OSError as error:
        raise MetricsError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise MetricsError(f"{path}: not JSON: {_reason(error)}", hint=_WROTE) from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON leaves open which of two equal names counts; a file of ours has none."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"{clean(twice, 60)!r} stands there twice")
    return found


def _refuse_constant(name: str) -> float:
    """JSON knows no NaN and no Infinity, though Python reads them."""
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    """A number as it stands there; 1e999 is none that we hold."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large")
    return value


def _whole(text: str) -> int:
    """A whole number that others can hold as well: counters, floats, columns of a table."""
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"{text[:20]}… is too large")
    return int(text)


def _reason(error: ValueError | RecursionError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not text"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error).splitlines()[0][:200] if str(error) else "unreadable"
