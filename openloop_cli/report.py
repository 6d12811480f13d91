"""OpenLoop -> Report: the numbers and the pictures of one rollout. Pure; touches no file."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from openloop_cli.arrays import Array, Frames
from openloop_cli.config import ModelConfig
from openloop_cli.errors import OptionError
from openloop_cli.grid import Caption, explained_grid, prediction_rows, reference_grid
from openloop_cli.grid.reference import to_levels
from openloop_cli.measure import measure
from openloop_cli.metrics_tree import Tree, headline, model_tree, observation_tree
from openloop_cli.openloop import OpenLoop


@dataclass(frozen=True)
class Report:
    """What one rollout shows.

    Attributes:
      loop: The rollout itself.
      name: The run's name, for captions.
      step: The checkpoint's environment step, None when unknown.
      observations: Numbers of each observation key; see `metrics_tree`.
      model: Numbers of reward, continue, value, losses and drift.
    """

    loop: OpenLoop
    name: str
    step: int | None
    observations: Mapping[str, Tree]
    model: Tree
    headline: Tree = field(default_factory=dict)

    def frames(
        self, key: str, *, show: int = 6, style: str = "explained", scale: int | None = None
    ) -> Frames:
        """The picture of one image key: (T, height, width, 3).

        Args:
          show: Windows that are drawn, the first ones.
          style: `explained`, or `reference` for DreamerV3's own report, pixel for pixel.
          scale: Pixels for each pixel of `explained`, even; None for tiles of about 128.
        """
        truth, prediction = self.loop.truth[key][:show], self.loop.model.prediction[key][:show]
        if style == "reference":
            return reference_grid(truth, prediction, self.loop.context)
        rows = prediction_rows(truth, to_levels(prediction))
        step = "" if self.step is None else f"{self.step:,}"
        caption = Caption(run=self.name, step=step, key=key)
        return explained_grid(rows, self.loop.context, caption, scale=scale)

    def _repr_html_(self) -> str:
        """In a notebook: the headline and the first image key, moving."""
        lines = "<br>".join(summary_lines(self))
        if not self.loop.image_keys:
            return f"<p>{lines}</p>"
        picture = base64.b64encode(_gif(self.frames(self.loop.image_keys[0], show=4))).decode()
        return (
            f'<p>{lines}</p><img alt="truth and prediction" src="data:image/gif;base64,{picture}">'
        )


def make_report(
    loop: OpenLoop,
    config: ModelConfig,
    *,
    name: str = "",
    step: int | None = None,
    keys: Sequence[str] = (),
) -> Report:
    """Measures a rollout.

    Args:
      keys: Observation keys to measure and draw; none means all.

    Raises:
      OptionError: A key that the run does not have.
    """
    for key in keys:
        if key not in loop.truth:
            raise OptionError(f"key {key!r}: the run observes {', '.join(loop.truth)}")
    if keys:
        truth = {key: x for key, x in loop.truth.items() if key in keys}
        loop = OpenLoop(**{**_fields(loop), "truth": truth})
    observations = {key: observation_tree(x) for key, x in measure(loop).items()}
    return Report(
        loop=loop,
        name=name,
        step=step,
        observations=observations,
        model=model_tree(loop, config.horizon, config.contdisc),
        headline=headline(observations),
    )


def report_arrays(report: Report, show: int = 6) -> dict[str, Array]:
    """Everything as arrays: `truth/<key>`, `prediction/<key>`, `grid/<key>`, latents, heads, ids.

    Shapes (B, T, …); `grid/<key>` is the reference's uint8 grid of the first `show` windows,
    (T, 3H + 4, B (W + 4), C).
    """
    loop, arrays = report.loop, {}
    for key, truth in loop.truth.items():
        arrays[f"truth/{key}"] = truth
        arrays[f"prediction/{key}"] = loop.model.prediction[key]
        if key in loop.image_keys:
            arrays[f"grid/{key}"] = report.frames(key, show=show, style="reference")
    arrays |= {
        "deter": loop.model.deter,
        "logit": loop.model.logit,
        "reward": loop.model.reward,
        "continue": loop.model.cont,
        "value": loop.model.value,
        "windows": np.array(loop.ids),
    }
    return arrays


def summary_lines(report: Report) -> list[str]:
    """The headline in a few lines of plain text."""
    lines = []
    for key, numbers in report.headline.items():
        unit = " dB" if numbers["metric"] == "psnr" else ""
        form = "{:.1f}" if unit else "{:.3g}"
        parts = [
            f"{name} {form.format(float(numbers[name]))}{unit}"
            for name in ("context", "imagined", "persistence")
        ]
        lines.append(f"{key} ({numbers['metric']}): " + ", ".join(parts))
        if "useful_horizon" in numbers:
            lines.append(f"{key}: useful horizon {horizon_words(numbers['useful_horizon'])}")
    return lines


def horizon_words(horizon: Mapping[str, Any]) -> str:
    """Such as `≥ 25 of 25 steps`."""
    if horizon["steps"] is None:
        return f"undefined: {horizon['reason']}"
    words = f"{'≥ ' if horizon['at_least'] else ''}{horizon['steps']} of {horizon['of']} steps"
    return f"{words} ({horizon['reason']})" if horizon["reason"] else words


def _fields(loop: OpenLoop) -> dict[str, Any]:
    return {name: getattr(loop, name) for name in loop.__dataclass_fields__}


def _gif(frames: Frames) -> bytes:
    from PIL import Image

    images = [Image.fromarray(frame).quantize(128) for frame in frames]
    with io.BytesIO() as buffer:
        images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=100, loop=0)
        return buffer.getvalue()
