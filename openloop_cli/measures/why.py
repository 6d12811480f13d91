"""Why a model sees as far as it does: one sentence for each key, out of numbers that are there."""

import numpy as np

from openloop_cli.arrays import Array, PerFrame
from openloop_cli.measures.clusters import Clusters
from openloop_cli.measures.horizon import horizon_parts
from openloop_cli.measures.measure import Observation
from openloop_cli.measures.statistics import interval
from openloop_cli.text import plural

# Below, it may be significant, but hardly matters.
_LISTENS = 1.1
# So few dimensions, a third of all at most, are named where they have half of the error.
_NAMED, _HALF = 3, 0.5


def why(measured: Observation, shared: Clusters | None = None) -> str:
    """Whether the model listens to its actions, how long the context helps, how much of the error
    is the decoder's, and which dimensions have most of it."""
    error, floor = measured.error("model"), measured.error("floor")
    parts = []
    if "shuffled_actions" in measured.imagined:
        parts.append(_actions(error, measured.error("shuffled_actions"), shared))
    if "other_context" in measured.imagined:
        parts.append(_context(error, floor, measured.error("other_context")))
    parts.append(_decoder(error, floor, "blur" if measured.kind == "image" else "the decoder's"))
    if measured.dimensions is not None:
        parts.append(_dimensions(measured.dimensions.mean(0)))
    return "; ".join(part for part in parts if part)


def _actions(error: PerFrame, shuffled: PerFrame, shared: Clusters | None) -> str:
    times = _mean(shuffled) / _mean(error) if _mean(error) > 0 else np.nan
    if not np.isfinite(times):
        return ""
    more = interval(np.asarray(shuffled - error).mean(1), shared=shared)
    told = f"shuffled: {times:.2g} times the error"
    if more.low > 0 and times >= _LISTENS:
        return f"listens to its actions ({told})"
    if more.low > 0:
        return f"hardly listens to its actions ({told})"
    return f"it does not show whether it listens to its actions ({told})"


def _context(error: PerFrame, floor: PerFrame, other: PerFrame) -> str:
    """The steps up to which another window's context is worse, as far as a horizon counts them."""
    steps = horizon_parts(error, floor, other).steps
    if steps == error.shape[1]:
        return "uses its context to the end"
    if steps == 0:
        return "does not use its context"
    return f"forgets its context after {plural(steps, 'step')}"


def _decoder(error: PerFrame, floor: PerFrame, name: str) -> str:
    share = _mean(floor) / _mean(error) if _mean(error) > 0 else np.nan
    if not np.isfinite(share):
        return ""
    if share < _HALF:
        return f"{1 - share:.0%} of its error is dynamics"
    return f"{min(share, 1):.0%} of its error is {name}"


def _dimensions(error: Array) -> str:
    total = float(error.sum())
    if len(error) < 2 or not total > 0:
        return ""
    order = np.argsort(-error, kind="stable")
    count = int(np.searchsorted(np.cumsum(error[order]), _HALF * total)) + 1
    if count > min(_NAMED, len(error) // 3):
        return ""
    names = [str(i) for i in sorted(order[:count])]
    share = float(error[order[:count]].sum()) / total
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if count > 1 else names)
    verb = "dimension {} has" if count == 1 else "dimensions {} have"
    return f"{verb.format(listed)} {share:.0%} of it"


def _mean(x: PerFrame) -> float:
    return float(np.mean(x))
