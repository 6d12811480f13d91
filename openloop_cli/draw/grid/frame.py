"""What every moving picture has around it: a header, a timeline, a caption, one set of colours."""

from dataclasses import dataclass

import numpy as np

from openloop_cli.arrays import Array, Frames
from openloop_cli.draw.grid import layout, text
from openloop_cli.draw.grid.layout import Box

BACKGROUND = (24, 26, 31)
BRIGHT = (236, 238, 242)
MUTED = (158, 164, 176)
OBSERVED = (46, 184, 92)
IMAGINED = (232, 72, 72)
_DIM = 0.35

NOTE = (
    "Each column is one recorded window. Green: the model sees every frame. "
    "Red: it sees none, and imagines them from the recorded actions."
)


@dataclass(frozen=True)
class Caption:
    """What stands below the picture: run name, checkpoint step, image key, how to read it."""

    run: str
    step: str
    key: str
    note: str = NOTE


def draw_header(frames: Frames, box: Box, context: int) -> None:
    """What is going on, in words, and the step: each step's words are drawn once."""
    steps = len(frames)
    for step, canvas in enumerate(frames):
        seen = step < context
        state = "context" if seen else f"imagined +{step - context + 1}"
        fill = OBSERVED if seen else IMAGINED
        patch = text.pill(state, layout.TITLE, (255, 255, 255), fill, BACKGROUND)
        paste(canvas, patch, box.y + (box.height - patch.shape[0]) // 4 * 2, box.x)
        means = "the model sees each frame" if seen else "the model sees only the actions"
        y = box.y + (box.height - text.height_of(layout.BODY)) // 2
        write(canvas, means, layout.BODY, BRIGHT, y, box.x + patch.shape[1] + layout.SPACE)
        counter = f"step {step + 1} of {steps}"
        left = box.width - text.width_of(counter, layout.BODY)
        write(canvas, counter, layout.BODY, BRIGHT, y, box.x + left)


def draw_timeline(frames: Frames, box: Box, context: int) -> None:
    """A bar, green then red, dim where still to come."""
    steps = len(frames)
    ends = np.arange(steps + 1) * box.width // (2 * steps) * 2
    colours = np.empty((box.width, 3), np.uint8)
    colours[:] = IMAGINED
    colours[: ends[context]] = OBSERVED
    dim = (colours * _DIM + np.array(BACKGROUND) * (1 - _DIM)).astype(np.uint8)
    area = area_of(frames, box)
    area[:] = dim
    for step in range(steps):
        done = ends[step + 1]
        area[step, :, :done] = colours[:done]


def draw_caption(canvas: Array, caption: Caption, box: Box) -> None:
    """Run, step and key in one line, and how to read the picture below it."""
    facts = f" · checkpoint step {caption.step} · {caption.key}"
    left = max(box.width // 4, box.width - text.width_of(facts, layout.BODY))
    line = text.shortened(caption.run, layout.BODY, left) + facts
    line = text.shortened(line, layout.BODY, box.width)
    y = write(canvas, line, layout.BODY, BRIGHT, box.y, box.x) + 4
    for line in text.wrapped(caption.note, layout.SMALL, box.width, layout.FOOTER_LINES):
        y = write(canvas, line, layout.SMALL, MUTED, y, box.x)


def write(canvas: Array, line: str, size: int, colour: text.Colour, y: int, x: int) -> int:
    """Write a line and return where the next one starts."""
    paste(canvas, text.words(line, size, colour, BACKGROUND), y, x)
    return y + text.height_of(size)


def paste(canvas: Array, patch: Array, y: int, x: int) -> None:
    """Lay a patch over the canvas, its upper left corner there."""
    canvas[y : y + patch.shape[0], x : x + patch.shape[1]] = patch


def area_of(frames: Array, box: Box) -> Array:
    """The box of every frame."""
    return frames[:, box.y : box.y + box.height, box.x : box.x + box.width]
