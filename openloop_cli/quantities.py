"""Every number that a report has, once: its name, words, unit, direction, format and definition.

A `Metric` says how far a prediction is from the recording, a path what the prediction was; both
are keys of metrics.json. Tables, charts, the page, comparisons and the gate all ask here. A new
metric is an entry in METRICS and a function in `measures.measure`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Metric:
    """A measure of a prediction against the recording.

    Attributes:
      name: Its key in metrics.json.
      title: In words, for tables and charts.
      definition: What it is, in a sentence, for metrics.json and the glossary.
      better: Which direction is.
      unit: Such as `dB`; empty for what has none or the observation's own.
      digits: Of a number that is shown, a format such as `.1f`.
      limits: What a chart's axis shows at most; None leaves that end to the numbers.
      reading: What an axis says instead of which direction is better.
    """

    name: str
    title: str
    definition: str
    better: Literal["higher", "lower"] = "lower"
    unit: str = ""
    digits: str = ".3g"
    limits: tuple[float | None, float | None] = (0.0, None)
    reading: str = ""

    @property
    def axis(self) -> str:
        """What an axis or a column says: `PSNR in dB, higher is better`."""
        unit = f" in {self.unit}" if self.unit else ""
        return f"{self.title}{unit}, {self.reading or f'{self.better} is better'}"

    @property
    def short(self) -> str:
        """The same for a narrow column: `PSNR in dB ↑`."""
        unit = f" in {self.unit}" if self.unit else ""
        return f"{self.title}{unit} {'↑' if self.better == 'higher' else '↓'}"

    def shown(self, value: float | None, *, unit: bool = False) -> str:
        """A number as tables show it; `–` where there is none."""
        if value is None:
            return "–"
        return f"{value:{self.digits}}" + (f" {self.unit}" if unit and self.unit else "")


_ALL = (
    Metric(
        "psnr",
        "PSNR",
        "-10 log10 of the mse, in dB, data range 1, at most 100",
        "higher",
        "dB",
        ".1f",
        # A perfect copy has 100 dB; a picture that far up would flatten all that can be told apart.
        (None, 60.0),
    ),
    Metric(
        "ssim",
        "SSIM",
        "structural similarity (Wang et al. 2004): Gaussian window 11 x 11, sigma 1.5, K1 0.01,"
        " K2 0.03, data range 1, population covariance, mean over positions, then channels",
        "higher",
        limits=(None, 1.0),
    ),
    Metric(
        "mse",
        "MSE",
        "mean squared error over the values of a step; images in [0, 1] over H, W and C",
    ),
    Metric("mae", "mean absolute error", "mean absolute error, likewise"),
    Metric(
        "symlog_mse",
        "symlog MSE",
        "mse after sign(x) log(1 + |x|), the space in which the model predicts vectors",
    ),
    Metric(
        "mistakes",
        "error rate",
        "share of a discrete key's values whose most likely class is not the recorded one",
        limits=(0.0, 1.0),
    ),
    Metric("accuracy", "accuracy", "1 - mistakes", "higher", limits=(0.0, 1.0)),
    Metric(
        "log_likelihood",
        "log likelihood",
        "of the recorded classes in nats, summed over a step's values",
        "higher",
        "nats",
        limits=(None, 0.0),
    ),
    Metric(
        "skill",
        "skill",
        "1 - (error - floor) / (persistence - floor), of mean errors (mse, symlog_mse or mistakes),"
        " persistence of the last reconstruction: 1 is perfect dynamics, 0 no better than standing"
        " still; over all steps of errors summed first, at each step undefined where nothing moved"
        " beyond noise, and everywhere where reconstruction skill is at or below 0",
        "higher",
        digits=".2f",
        limits=(-1.0, 1.5),
        reading="1 is perfect dynamics",
    ),
    Metric(
        "reconstruction_skill",
        "reconstruction skill",
        "1 - floor / climatology over the imagined steps",
        "higher",
        digits=".2f",
        limits=(-1.0, 1.0),
    ),
    Metric(
        "drift",
        "KL",
        "KL in nats from the posterior, which sees the frame, to the imagined prior",
        unit="nats",
        reading="0 is none",
    ),
)
METRICS = {metric.name: metric for metric in _ALL}

# By kind of observation: what skill is made of, and what tables and charts show of it.
ERROR_METRIC = {"image": "mse", "continuous": "symlog_mse", "discrete": "mistakes"}
SHOWN_METRIC = {"image": "psnr", "continuous": "symlog_mse", "discrete": "mistakes"}

PATHS = {
    "model": "model",
    "last_reconstruction": "last reconstruction",
    "floor": "floor",
    "persistence": "persistence",
    "climatology": "climatology",
    "shuffled_actions": "shuffled actions",
    "other_context": "other context",
    "futures_mean": "mean of the futures",
    "futures_best": "best of the futures",
    "deterministic": "mode latents",
}
"""What was predicted and what it is compared with, by its key in metrics.json, in words. Skill is
made of the first three."""

DEFINITIONS = {
    **{metric.name: metric.definition for metric in _ALL},
    "per_step": "mean over windows; low and high bound its 95 % interval over windows, of which"
    " those of one episode are taken to share 30 % of their variance, as far as they do not tell",
    "per_window": "errors of the imagined steps for each window, for paired comparisons; they lie"
    " in the .windows.npz beside this file",
    "mean": "mean over windows and steps; of psnr, the psnr of the mean mse",
    "model": "the prediction: reconstructed during the context, imagined after it",
    "persistence": "the last context frame repeated; during the context, the frame before",
    "floor": "the decoder's floor: the error of reconstructions by the posterior, which sees every"
    " frame",
    "last_reconstruction": "the model's reconstruction of the last context step, repeated: the"
    " persistence that skill is made of",
    "climatology": "the mean frame: the mean over all steps of all other measured windows",
    "shuffled_actions": "imagined with the actions shuffled between windows",
    "other_context": "imagined from another window's context with this window's actions",
    "futures_mean": "the mean of all imagined futures",
    "deterministic": "the prediction with mode latents: each one's most likely class, not a sample",
    "futures_best": "of each window's futures the one with the smallest total error",
    "useful_horizon": "the last step at which skill, taken to fall with the steps (a monotone fit,"
    " weighted by how much moved), is at least 0.1; its 95 % interval is of resampled windows",
    "episodes": "the episode in which each window ends; apart: the most windows of which no two"
    " share a step",
    "why": "what the numbers say about the reason: whether shuffled actions and another context"
    " make the error larger, how much of it is the floor, which dimensions have most of it",
    "con": "cross entropy of the continue head against whether the episode went on;"
    " con_discounted is the trainer's own loss, its target 1 - 1/horizon with contdisc",
}
"""Every word of metrics.json that needs one."""


LATENTS = {"sample": "sampled latents", "mode": "mode latents"}
"""How latents were chosen, by its key in metrics.json, in words."""


def metric(name: object) -> Metric:
    """A metric by its key; one that this version does not know is shown by its name."""
    return METRICS.get(str(name)) or Metric(str(name), str(name).replace("_", " "), "")


def horizon_text(horizon: Mapping[str, Any] | None, unit: str = "") -> str:
    """A useful horizon as metrics.json holds it, with its interval: `24 of 25 (18 to ≥ 25)`;
    `undefined` where there is no telling, `–` where it was not measured.

    Args:
      unit: What stands after the number, such as ` steps`.
    """
    if not horizon:
        return "–"
    steps, low, high = (horizon.get(name) for name in ("steps", "low", "high"))
    if steps is None:
        return "undefined"
    text = f"{'≥ ' if horizon.get('at_least') else ''}{steps} of {horizon.get('of')}{unit}"
    if low is None or high is None or low == high:
        return text
    return f"{text} ({low} to {'≥ ' if horizon.get('high_at_least') else ''}{high})"
