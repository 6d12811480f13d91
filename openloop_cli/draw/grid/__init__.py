"""Pictures of predictions against truth: uint8 videos in, frames for a video file out.

`reference_grid` is DreamerV3's own report grid, pixel for pixel. `explained_grid` is the same
picture made to explain itself, from any number of rows. `line_frames` draws what is no image.
"""

from openloop_cli.draw.grid.explained import Caption, default_scale, explained_grid
from openloop_cli.draw.grid.lines import LINES_NOTE, line_frames
from openloop_cli.draw.grid.panels import Lines
from openloop_cli.draw.grid.reference import reference_grid, to_levels
from openloop_cli.draw.grid.rows import (
    Legend,
    Row,
    channels_note,
    error_row,
    future_rows,
    image_row,
    prediction_rows,
    spread_row,
)

__all__ = [
    "LINES_NOTE",
    "Caption",
    "Legend",
    "Lines",
    "Row",
    "channels_note",
    "default_scale",
    "error_row",
    "explained_grid",
    "future_rows",
    "image_row",
    "line_frames",
    "prediction_rows",
    "reference_grid",
    "spread_row",
    "to_levels",
]
