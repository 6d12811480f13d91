"""Numbers and videos where people already look: the terminal, JSON lines, Scope, TensorBoard, W&B,
MLflow, trackio.

    with Logger(["terminal", "jsonl:logs", "tensorboard:logs"], step=step) as logger:
        logger.add({"loss": 0.5, "image": image, "video": video}, prefix="train")
        logger.write()

A metric is `(step, name, value)`. `Logger` collects them and hands them to its outputs, each in a
thread of its own; `Agg`, `FPS`, `Timer` and `Clock` make few numbers out of many. An output is a
file here with the two methods of `Output`; `outputs` finds one by the name that `--log NAME:TARGET`
gives, others through the entry points `openloop.loggers`.
"""

from openloop_cli.loggers.aggregate import FPS, Agg, Clock, Timer
from openloop_cli.loggers.logger import Logger, make_logger
from openloop_cli.loggers.outputs import Output, make_output
from openloop_cli.loggers.values import Attachment, Entry, VideoFile

__all__ = [
    "FPS",
    "Agg",
    "Attachment",
    "Clock",
    "Entry",
    "Logger",
    "Output",
    "Timer",
    "VideoFile",
    "make_logger",
    "make_output",
]
