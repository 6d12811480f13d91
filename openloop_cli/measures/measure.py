"""OpenLoop -> numbers for each window and step. NumPy only; averages and intervals come later.

Paths, in the words of weather forecasting:
  model                what was predicted: reconstructed during the context, imagined after it
  floor                the posterior's reconstruction, which sees every frame: the decoder's limit
  persistence          the last context frame, repeated
  last_reconstruction  the model's own last reconstruction, repeated; it shares the model's blur
  climatology          the mean of all other measured windows
  shuffled_actions     imagined with actions shuffled between windows
  other_context        imagined from another window's context
  futures_mean, futures_best   of several imagined futures: their mean, the best for each window
  deterministic        beside futures: mode latents, context included
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from openloop_cli.arrays import Array, PerFrame
from openloop_cli.measures import metrics
from openloop_cli.measures.recording import Recording
from openloop_cli.quantities import ERROR_METRIC
from openloop_cli.rollout.result import OpenLoop, Rollouts, Trace

# SSIM costs more than all other numbers together; the baselines go without.
WITH_SSIM = ("model", "persistence", "floor", "futures_mean", "deterministic")
_OF_RECORDING = ("persistence", "climatology")

Numbers = dict[str, PerFrame]
Paths = dict[str, Numbers]
"""path -> metric -> (B, N)."""


@dataclass(frozen=True)
class Observation:
    """One observation key, measured.

    Attributes:
      kind: `image`, `continuous` or `discrete`.
      shape: Of a single step.
      context: Numbers by path and metric over the context steps, (B, C).
      imagined: The same over the imagined steps, (B, H).
      dimensions: Mean absolute error of each dimension of a continuous vector over the imagined
        steps, (B, D); None for the others.
      spread: Standard deviation over the futures and error of their mean, both (B, H), as roots
        of mean squares; None without futures.
    """

    kind: str
    shape: tuple[int, ...]
    context: Paths
    imagined: Paths
    dimensions: Array | None = None
    spread: tuple[Array, Array] | None = None

    def error(self, path: str) -> PerFrame:
        """(B, H): the error that skill is made of."""
        return self.imagined[path][ERROR_METRIC[self.kind]]


def measure(loops: Rollouts) -> dict[str, Observation]:
    """Every observation key of a rollout, on every path that was rolled out."""
    blocks = list(loops.blocks())
    if len(blocks) == 1:
        loop = loops.take(blocks[0])
        return {key: _observation(loop, key) for key in loop.truth}
    climates = _climates(loops, blocks)
    parts = []
    for block in blocks:
        loop = loops.take(block)
        parts.append({key: _observation(loop, key, climates[key]) for key in loop.truth})
    return {key: _joined([part[key] for part in parts]) for key in parts[0]}


def _climates(loops: Rollouts, blocks: Sequence[slice]) -> dict[str, tuple[Array, int]]:
    """By key: the sum over all windows of each one's mean, (1, 1, …), and their number."""
    sums: dict[str, Array] = {}
    for block in blocks:
        for key, truth in loops.truth_rows(block).items():
            own = _own_means(_unit(truth, loops.kinds[key])).sum(0, keepdims=True)
            sums[key] = sums[key] + own if key in sums else own
    return {key: (total, len(loops.ids)) for key, total in sums.items()}


def _joined(parts: Sequence[Any]) -> Any:
    """The same of all windows, whose arrays begin with the windows of each part."""
    first = parts[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    if isinstance(first, dict):
        return {name: _joined([part[name] for part in parts]) for name in first}
    if isinstance(first, tuple) and any(isinstance(x, np.ndarray) for x in first):
        return tuple(_joined(same) for same in zip(*parts, strict=True))
    if isinstance(first, Observation):
        names = [x.name for x in fields(first)]
        return Observation(**{n: _joined([getattr(part, n) for part in parts]) for n in names})
    return first


def imagined_error(loops: Rollouts, key: str) -> tuple[PerFrame, str]:
    """The model's error that skill is made of, (B, H), and its metric; without all the rest."""
    metric = ERROR_METRIC[loops.kinds[key]]
    parts = [_imagined_error(loops.take(block), key, metric) for block in loops.blocks()]
    return np.concatenate(parts), metric


def _imagined_error(loop: OpenLoop, key: str, metric: str) -> PerFrame:
    kind, c = loop.kinds[key], loop.context
    truth, prediction = _unit(loop.truth[key][:, c:], kind), loop.model.prediction[key][:, c:]
    if kind == "image":
        return metrics.mse(truth, prediction)
    return _NUMBERS[kind](truth, prediction, "model")[metric]


def n_step_returns(reward: Array, cont: Array, bootstrap: Array) -> Array:
    """(B, T), (B, T), (B,) -> (B, T): recorded rewards, discounted, to the window's end.

    G_t = r_{t+1} + c_{t+1} · G_{t+1}, with the given value at the last step: what the value
    head predicts (`lambda_return` in the reference's agent.py with λ = 1).
    """
    returns = np.empty(reward.shape, np.float32)
    returns[:, -1] = bootstrap
    for t in reversed(range(reward.shape[1] - 1)):
        returns[:, t] = reward[:, t + 1] + cont[:, t + 1] * returns[:, t + 1]
    return returns


def _observation(loop: OpenLoop, key: str, climate: tuple[Array, int] | None = None) -> Observation:
    """Of these windows; `climate` is that of all, where these are only some of them."""
    c, kind = loop.context, loop.kinds[key]
    truth = _unit(loop.truth[key], kind)
    recording = None if climate else Recording(loop.truth[key], c)

    def numbers(part: str, path: str, truth: Array, prediction: Array) -> Numbers:
        def measure() -> Numbers:
            return _NUMBERS[kind](truth, prediction, path)

        if recording and path in _OF_RECORDING:
            return recording.numbers((kind, part, path), measure)
        return measure()

    before = {"model": loop.model.prediction[key][:, :c], "persistence": _previous(truth[:, :c])}
    context = {path: numbers("context", path, truth[:, :c], x) for path, x in before.items()}
    for values in context["persistence"].values():
        values[:, 0] = np.nan  # Nothing was seen before step 0.
    if not loop.reconstructs:
        context["model"] = {name: x * np.nan for name, x in context["model"].items()}
    after = _predictions(loop, key, truth, kind, climate)
    imagined = {path: numbers("imagined", path, truth[:, c:], x) for path, x in after.items()}
    if "last_reconstruction" in imagined and "floor" not in imagined:
        imagined["floor"] = _held(context["model"], loop.length - c)
    if kind == "discrete":
        _add_log_likelihood(loop, key, context, imagined)
    _add_best_future(loop, key, kind, imagined)
    return Observation(
        kind,
        truth.shape[2:],
        context,
        imagined,
        dimensions=_dimensions(truth[:, c:], after["model"]) if kind == "continuous" else None,
        spread=_spread(loop, key, truth[:, c:]),
    )


def _unit(truth: Array, kind: str) -> Array:
    """Pixels in [0, 1], everything else as it is."""
    return truth.astype(np.float32) / 255 if kind == "image" else truth


def _predictions(
    loop: OpenLoop, key: str, truth: Array, kind: str, climate: tuple[Array, int] | None
) -> dict[str, Array]:
    """What each path says of the imagined steps, (B, H, …)."""
    c = loop.context
    paths = {
        "model": loop.model.prediction[key][:, c:],
        "persistence": _repeated(truth[:, c - 1 : c], truth[:, c:]),
    }
    if found := loop.evaluation:
        if found.posterior:
            seen = found.posterior.prediction[key]
            paths["floor"] = seen[:, c:]
            paths["last_reconstruction"] = _repeated(seen[:, c - 1 : c], truth[:, c:])
        elif loop.reconstructs:
            last = loop.model.prediction[key][:, c - 1 : c]
            paths["last_reconstruction"] = _repeated(last, truth[:, c:])
        others = {"shuffled_actions": found.shuffled, "other_context": found.other}
        paths |= {name: x.prediction[key] for name, x in others.items() if x}
        if kind != "discrete":
            paths["climatology"] = _repeated(_climatology(truth, climate), truth[:, c:])
    if loop.deterministic:
        paths["deterministic"] = loop.deterministic.prediction[key][:, c:]
    if loop.futures and key in loop.futures.mean:
        paths["futures_mean"] = loop.futures.mean[key]
    return paths


def _image_numbers(truth: Array, prediction: Array, path: str) -> Numbers:
    numbers = {"mse": metrics.mse(truth, prediction), "mae": metrics.mae(truth, prediction)}
    if path in WITH_SSIM:
        numbers["ssim"] = metrics.ssim(truth, prediction)
    return numbers


def _continuous_numbers(truth: Array, prediction: Array, path: str) -> Numbers:
    """Missing values (−inf) count as zero, as the model is shown them."""
    truth = np.where(np.isneginf(truth), 0, truth).astype(np.float32)
    error = _flat(prediction - truth)
    return {
        "mse": np.square(error).mean(-1),
        "mae": np.abs(error).mean(-1),
        "symlog_mse": np.square(_flat(_symlog(prediction) - _symlog(truth))).mean(-1),
    }


def _discrete_numbers(truth: Array, prediction: Array, path: str) -> Numbers:
    mistakes = _flat(prediction.astype(np.int64) != truth.astype(np.int64)).mean(-1)
    return {"accuracy": 1 - mistakes, "mistakes": mistakes}


_NUMBERS: dict[str, Callable[[Array, Array, str], Numbers]] = {
    "image": _image_numbers,
    "continuous": _continuous_numbers,
    "discrete": _discrete_numbers,
}


def _add_log_likelihood(loop: OpenLoop, key: str, context: Paths, imagined: Paths) -> None:
    """Log-likelihood of the recorded classes in nats, summed over the key's own values."""
    if key not in loop.model.losses:
        return
    context["model"]["log_likelihood"] = -loop.model.losses[key][:, : loop.context]
    imagined["model"]["log_likelihood"] = -loop.model.losses[key][:, loop.context :]
    for path, trace in _other_traces(loop).items():
        if key in trace.losses:
            imagined[path]["log_likelihood"] = -trace.losses[key][:, loop.context - loop.length :]


def _add_best_future(loop: OpenLoop, key: str, kind: str, imagined: Paths) -> None:
    """The future of each window whose error summed over the imagined steps is smallest."""
    if not loop.futures or key not in loop.futures.losses:
        return
    error = loop.futures.losses[key] / max(1, int(np.prod(loop.truth[key].shape[2:])))
    best = error.sum(-1).argmin(0)
    name = {"image": "mse", "continuous": "symlog_mse", "discrete": "cross_entropy"}[kind]
    imagined["futures_best"] = {name: error[best, np.arange(error.shape[1])]}


def _spread(loop: OpenLoop, key: str, ahead: Array) -> tuple[Array, Array] | None:
    if not loop.futures or key not in loop.futures.mean:
        return None
    ahead = ahead if np.issubdtype(ahead.dtype, np.floating) else ahead.astype(np.float32)
    error = loop.futures.mean[key] - np.where(np.isneginf(ahead), 0, ahead)
    root = [np.sqrt(np.square(_flat(x)).mean(-1)) for x in (loop.futures.std[key], error)]
    return root[0], root[1]


def _dimensions(ahead: Array, prediction: Array) -> Array:
    error = np.abs(prediction - np.where(np.isneginf(ahead), 0, ahead))
    return np.asarray(_flat(error).mean(1))


def _other_traces(loop: OpenLoop) -> Mapping[str, Trace]:
    if not loop.evaluation:
        return {}
    traces = {
        "floor": loop.evaluation.posterior,
        "shuffled_actions": loop.evaluation.shuffled,
        "other_context": loop.evaluation.other,
    }
    return {path: trace for path, trace in traces.items() if trace is not None}


def _climatology(truth: Array, climate: tuple[Array, int] | None) -> Array:
    """(B, T, …) -> (B, 1, …): the mean over all steps of all other windows; of its own steps
    where there is no other."""
    own = _own_means(truth)
    total, batch = climate or (own.sum(0, keepdims=True), len(own))
    mean = own if batch == 1 else (total - own) / (batch - 1)
    return np.asarray(mean.astype(np.float32))


def _own_means(truth: Array) -> Array:
    """(B, T, …) -> (B, 1, …): of each window, missing values as zeros."""
    clean = np.where(np.isneginf(truth), 0, truth) if truth.ndim < 5 else truth
    return np.asarray(clean.mean(1, keepdims=True, dtype=np.float64))


def _previous(seen: Array) -> Array:
    """(B, C, …) -> the same one step later; step 0 repeats itself."""
    return np.concatenate([seen[:, :1], seen[:, :-1]], 1)


def _held(seen: Numbers, steps: int) -> Numbers:
    """What was measured at the last context step, for so many steps after it: where nobody rolled
    out the posterior, the nearest thing to the decoder's floor."""
    return {name: np.repeat(x[:, -1:], steps, 1) for name, x in seen.items()}


def _repeated(frame: Array, like: Array) -> Array:
    """(B, 1, …) -> (B, H, …)."""
    return np.broadcast_to(frame, like.shape)


def _flat(x: Array) -> Array:
    return x.reshape((*x.shape[:2], -1))


def _symlog(x: Array) -> Array:
    return np.asarray(np.sign(x) * np.log1p(np.abs(x)))
