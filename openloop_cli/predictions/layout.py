"""The layout of predictions: which array is which. docs/any-model.md describes it for users.

truth/<key>, prediction/<key>    (B, T, …); a prediction may leave the context out: (B, H, …)
context                          how many steps were seen, of T
reconstruction/<key>             (B, T, …), of a model that sees every frame
futures/<key>                    (B, M, H, …)
shuffled/<key>, other/<key>      (B, H, …): imagined with other actions, from another context
deterministic/<key>              (B, T, …): beside futures, without drawing anything
action/<key>                     (B, T, …): the one that led to each step
reward, terminal                 (B, T), as recorded
predicted/reward                 (B, T)
windows                          (B,) text
episodes                         (B,) the episode of each window, numbered
apart                            how many windows share no step, at most
"""

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.rollout.result import OpenLoop, Trace

TRUTH, PREDICTION, RECONSTRUCTION = "truth", "prediction", "reconstruction"
SHUFFLED, OTHER, DETERMINISTIC = "shuffled", "other", "deterministic"
FUTURES, ACTION, PREDICTED = "futures", "action", "predicted"


def loop_arrays(loop: OpenLoop) -> dict[str, Array]:
    """A rollout as named arrays, latents and heads included."""
    arrays: dict[str, Array] = {"context": np.array(loop.context)}
    traces: dict[str, Trace | None] = {PREDICTION: loop.model, DETERMINISTIC: loop.deterministic}
    if loop.evaluation:
        seen = loop.evaluation
        traces |= {RECONSTRUCTION: seen.posterior, SHUFFLED: seen.shuffled, OTHER: seen.other}
    for key, truth in loop.truth.items():
        arrays[f"{TRUTH}/{key}"] = truth
        arrays |= {f"{name}/{key}": x.prediction[key] for name, x in traces.items() if x}
    arrays |= {f"{ACTION}/{key}": x for key, x in loop.actions.items()}
    model = loop.model
    more = {
        "reward": loop.reward,
        "terminal": loop.terminal,
        f"{PREDICTED}/reward": model.reward,
        f"{PREDICTED}/continue": model.cont,
        f"{PREDICTED}/value": model.value,
        "deter": model.deter,
        "logit": model.logit,
    }
    arrays |= {name: x for name, x in more.items() if x is not None}
    if loop.episodes:
        arrays |= {"episodes": np.array(loop.episodes), "apart": np.array(loop.apart)}
    return arrays | {"windows": np.array(loop.ids)}
