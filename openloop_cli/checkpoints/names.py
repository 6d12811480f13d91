"""Parameter names as the reference gives them, of copies that put a prefix before them: `wm/enc/…`,
`ac/pol/…`, `agent/dyn/…`.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from openloop_cli.text import clean

MODULES = ("enc", "dyn", "dec", "rew", "con", "val", "pol")
# What holds further copies of the same names.
_COPIES = frozenset(("opt", "optim", "optimizer", "slow", "target", "ema", "polyak"))
_ROOT = "dynin0/kernel"  # of the module `dyn`, in every DreamerV3 world model

T = TypeVar("T")


def without_prefix(params: Mapping[str, T]) -> tuple[dict[str, T], list[str]]:
    """The same with the prefix of each known module left out, and a note if there was one.

    Names stay as they are where no module is known, or its place is not the only one.
    """
    prefixes = _prefixes(params)
    told = sorted({f"{prefix}/" for prefix in prefixes.values() if prefix})
    if not told:
        return dict(params), []
    full = {f"{prefix}/{module}/": f"{module}/" for module, prefix in prefixes.items() if prefix}
    renamed: dict[str, T] = {}
    left: dict[str, T] = {}
    for name, value in params.items():
        old = next((x for x in full if name.startswith(x)), "")
        (renamed if old else left)[full[old] + name[len(old) :] if old else name] = value
    # Another module of the same name without the prefix is not the one that belongs to `dyn`.
    hidden = sorted({name.split("/")[0] for name in renamed.keys() & left.keys()})
    below = " and ".join(clean(prefix) for prefix in told)
    notes = [f"parameters lie below {below}: read as if they did not"]
    if hidden:
        notes.append(f"{', '.join(hidden)}: also there without the prefix, and those passed over")
    return left | renamed, notes


def _prefixes(names: Iterable[str]) -> dict[str, str]:
    """Of each module, what stands before it; empty where nothing does."""
    places: dict[str, set[str]] = {module: set() for module in MODULES}
    roots: set[str] = set()
    for name in names:
        parts = name.split("/")
        for at, part in enumerate(parts[:-1]):
            if part in places and not _COPIES.intersection(parts[:at]):
                prefix = "/".join(parts[:at])
                places[part].add(prefix)
                if part == "dyn" and name.endswith(f"dyn/{_ROOT}"):
                    roots.add(prefix)
                break
    shortest = [x for x in roots if x.count("/") == min(y.count("/") for y in roots)]
    if "" in roots or len(shortest) != 1:
        return {}
    (own,) = shortest
    return {
        module: own if own in found else next(iter(found))
        for module, found in places.items()
        if own in found or (len(found) == 1 and "" not in found)
    }
