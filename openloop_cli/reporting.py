"""OpenLoop -> Report: the numbers and the pictures of one rollout. Pure; touches no file."""

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from openloop_cli.arrays import Array, Frames
from openloop_cli.config import ModelConfig
from openloop_cli.draw.grid import (
    LINES_NOTE,
    Caption,
    Lines,
    Row,
    explained_grid,
    future_rows,
    line_frames,
    prediction_rows,
    reference_grid,
)
from openloop_cli.draw.grid.reference import to_levels
from openloop_cli.errors import OptionError, OutputError
from openloop_cli.measures.measure import measure
from openloop_cli.predictions.layout import loop_arrays
from openloop_cli.quantities import horizon_text, metric
from openloop_cli.results.metrics_file import plain
from openloop_cli.results.metrics_tree import Tree, result_tree
from openloop_cli.results.table import TableRow, metrics_rows
from openloop_cli.rollout.result import OpenLoop, Rollouts
from openloop_cli.text import clean, markup, plural


@dataclass(frozen=True, repr=False)
class Report:
    """What one rollout shows. Numbers are measured when they are first asked for.

    Attributes:
      loop: The rollout itself.
      config: Of the model that was rolled out; None where only its predictions are known.
      name: The run's name, for captions.
      step: The checkpoint's environment step, None when unknown.
      keys: The observation keys that were asked for; none means all.
    """

    loop: Rollouts
    config: ModelConfig | None = None
    name: str = ""
    step: int | None = None
    keys: tuple[str, ...] = ()

    @cached_property
    def tree(self) -> Tree:
        """All numbers, as metrics.json holds them; see `metrics_tree`."""
        config = self.config or ModelConfig()
        # What is not a number is null there, and told in a note; NumPy's warnings add nothing.
        with np.errstate(invalid="ignore", over="ignore"):
            scalars = self.loop.scalars()
            return result_tree(measure(self.loop), scalars, config.horizon, config.contdisc)

    @cached_property
    def truth(self) -> dict[str, str]:
        """What the truth of each key is known by: SHA-256 of dtype, shape and bytes."""
        kept = {key: hashlib.sha256() for key in self.loop.kinds}
        for block in self.loop.blocks():
            for key, rows in self.loop.truth_rows(block).items():
                if block.start == 0:
                    shape = (len(self.loop.ids), *rows.shape[1:])
                    kept[key].update(f"{rows.dtype.str} {shape}\n".encode())
                kept[key].update(np.ascontiguousarray(rows).data)
        return {key: digest.hexdigest() for key, digest in kept.items()}

    @property
    def observations(self) -> Mapping[str, Tree]:
        """The tree's part on each observation key."""
        return dict(self.tree["observations"])

    @property
    def headline(self) -> Tree:
        """The few numbers to look at first, by observation key."""
        return dict(self.tree["headline"])

    @property
    def image_keys(self) -> tuple[str, ...]:
        """Keys whose truth is a picture."""
        return tuple(key for key, kind in self.loop.kinds.items() if kind == "image")

    @property
    def pictures(self) -> dict[str, tuple[str, ...]]:
        """What there is to draw, by name, with its keys: each image, and all vectors in one
        picture where they were asked for or the run has nothing else."""
        pictures: dict[str, tuple[str, ...]] = {key: (key,) for key in self.image_keys}
        vectors = tuple(key for key in self.loop.kinds if key not in pictures)
        if vectors and (self.keys or not pictures):
            pictures[vectors[0] if len(vectors) == 1 else "vectors"] = vectors
        return pictures

    def frames(
        self, name: str, *, show: int = 6, style: str = "explained", scale: int | None = None
    ) -> Frames:
        """One of `pictures`, or any one observation key: (T, height, width, 3).

        Args:
          show: Windows that are drawn, the first ones.
          style: `explained`, or `reference` for DreamerV3's own report, pixel for pixel.
          scale: Pixels for each pixel of `explained`, even; None for tiles of about 128. Lines
            of vectors have a size of their own.

        Raises:
          OptionError: The reference draws no vectors.
        """
        if name not in self.image_keys:
            return self._line_frames(self.pictures.get(name, (name,)), show, style)
        if style == "reference":
            loop = self._first(show)
            return reference_grid(loop.truth[name], loop.model.prediction[name], loop.context)
        return explained_grid(
            self.rows(name, show), self.loop.context, self.caption(name), scale=scale
        )

    def rows(self, key: str, show: int) -> list[Row]:
        """What there is to see of an image key in the first windows: truth, what was predicted,
        the error."""
        return image_rows(self._first(show), key)

    def _first(self, show: int) -> OpenLoop:
        return self.loop.take(slice(0, min(show, len(self.loop.ids))))

    def caption(self, key: str) -> Caption:
        """Whose picture it is."""
        return Caption(run=self.name, step="" if self.step is None else f"{self.step:,}", key=key)

    def _line_frames(self, keys: Sequence[str], show: int, style: str) -> Frames:
        if style == "reference":
            raise OptionError(
                f"--style reference: it has no picture of {', '.join(keys)}, only of images",
                hint="use --style explained",
            )
        loop = self._first(show)
        lines = [_lines(loop, key) for key in keys]
        caption = replace(self.caption(", ".join(keys)), note=LINES_NOTE)
        return line_frames(lines, self.loop.context, caption)

    def to_frame(self) -> Any:
        """All numbers as a pandas DataFrame, a row for each; see `results.table`.

        Raises:
          OutputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise OutputError(
                "a DataFrame needs pandas, which is not installed", hint="pip install pandas"
            ) from None
        whole = {
            "run": {"name": self.name},
            "checkpoint": {"step": self.step},
            "rollout": {"context": self.loop.context},
            **self.tree,
        }
        return pandas.DataFrame(list(metrics_rows(plain(whole))), columns=TableRow._fields)

    def __repr__(self) -> str:
        step = "" if self.step is None else f", step {self.step:,}"
        windows = plural(len(self.loop.ids), "window")
        return f"<Report of {clean(self.name) or 'a rollout'}{step}: {windows}>"

    def _repr_html_(self) -> str:
        """In a notebook: run, step, the headline, and the first picture, moving."""
        lines = "<br>".join(map(markup, [repr(self)[1:-1], *summary_lines(self)]))
        first = next(iter(self.pictures))
        picture = base64.b64encode(_small_gif(self.frames(first, show=3))).decode()
        return (
            f'<p>{lines}</p><img alt="truth, prediction and error"'
            f' src="data:image/gif;base64,{picture}">'
        )


def make_report(
    loop: Rollouts,
    config: ModelConfig | None = None,
    *,
    name: str = "",
    step: int | None = None,
    keys: Sequence[str] = (),
) -> Report:
    """A report on a rollout.

    Args:
      keys: Observation keys to measure and draw; none means all.

    Raises:
      OptionError: A key that the run does not have.
    """
    for key in keys:
        if key not in loop.kinds:
            raise OptionError(f"key {key!r}: the run observes {', '.join(loop.kinds)}")
    loop = loop.only(tuple(keys)) if keys else loop
    return Report(loop, config, name, step, tuple(keys))


def image_rows(loop: OpenLoop, key: str) -> list[Row]:
    """What there is to see of an image key: truth, what was predicted, the error."""
    if loop.futures:
        return future_rows(loop.truth[key], *_futures(loop, key))
    return prediction_rows(loop.truth[key], to_levels(loop.model.prediction[key]))


def _lines(loop: OpenLoop, key: str) -> Lines:
    """One vector key, with the spread of the futures where there are any."""
    truth, band = loop.truth[key], None
    if loop.futures and key in loop.futures.mean:
        mean, std = loop.futures.mean[key], loop.futures.std[key]
        band = (mean - std, mean + std)
    discrete = not np.issubdtype(truth.dtype, np.floating)
    return Lines(key, truth, loop.model.prediction[key], band, discrete)


def _futures(loop: OpenLoop, key: str) -> tuple[Array, Array]:
    """The kept futures and the spread of all, in levels, over all steps."""
    assert loop.futures is not None
    seen = loop.model.prediction[key][:, : loop.context]
    kept = [np.concatenate([seen, x], 1) for x in loop.futures.kept[key]]
    spread = 255 * np.concatenate([np.zeros_like(seen), loop.futures.std[key]], 1)
    return to_levels(np.stack(kept)), spread


def report_arrays(report: Report, show: int = 6) -> dict[str, Array]:
    """Everything as arrays, in the layout that `openloop score` reads (docs/any-model.md), and of
    images `grid/<key>`: the reference's uint8 grid of the first `show` windows,
    (T, 3H + 4, B (W + 4), C)."""
    grids = {
        f"grid/{key}": report.frames(key, show=show, style="reference") for key in report.image_keys
    }
    arrays = loop_arrays(report.loop.take(slice(0, len(report.loop.ids)))) | grids
    if report.name:
        arrays["run"] = np.array(report.name)
    if report.step is not None:
        arrays["step"] = np.array(report.step)
    return arrays


def summary_lines(report: Report) -> list[str]:
    """The headline in a few lines of plain text."""
    lines = []
    for key, numbers in report.headline.items():
        shown = metric(numbers["metric"])
        parts = [
            f"{name} {shown.shown(numbers[name], unit=True)}"
            for name in ("context", "imagined", "persistence")
        ]
        lines.append(f"{key} ({numbers['metric']}): " + ", ".join(parts))
        if "useful_horizon" in numbers:
            horizon = numbers["useful_horizon"]
            skill = numbers.get("skill")
            told = "" if skill is None else f", skill {metric('skill').shown(skill)}"
            steps = horizon_text(horizon, " steps")
            lines.append(f"{key}: useful horizon {steps}{told}: {horizon['reason']}")
    return lines


def _small_gif(frames: Frames, most: int = 350_000) -> bytes:
    """A GIF of at most so many bytes: of fewer colours, smaller, or with fewer steps.

    One palette for all frames and no dithering, so that what stands still costs nothing.
    """
    from PIL import Image

    for shrink, colours, stride in ((1, 96, 1), (1, 64, 2), (2, 64, 2), (2, 32, 4), (4, 16, 8)):
        chosen = frames[::stride, ::shrink, ::shrink]
        palette = Image.fromarray(chosen[len(chosen) // 2]).quantize(colours)
        images = [
            Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
            for frame in np.ascontiguousarray(chosen)
        ]
        with io.BytesIO() as buffer:
            more = {"save_all": True, "append_images": images[1:], "duration": 100 * stride}
            images[0].save(buffer, "GIF", loop=0, **more)
            data = buffer.getvalue()
        if len(data) <= most:
            break
    return data
