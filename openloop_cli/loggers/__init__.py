"""Numbers and videos where people already look: the terminal, JSON lines, Scope, TensorBoard, W&B,
MLflow, trackio.

    with Logger(["terminal", "jsonl:logs", "tensorboard:logs"], step=step) as logger:
        logger.add({"loss": 0.5, "image": image, "video": video}, prefix="train")
        logger.write()

A metric is `(step, name, value)`. `Logger` collects them and hands them to its outputs, each in a
thread of its own. An output is a file here with the two methods of `Output`; `outputs` finds one
by the name that `--log NAME:TARGET` gives, others through the entry points `openloop.loggers`.
"""

from openloop_cli.loggers.logger import Logger, make_logger
from openloop_cli.loggers.outputs import Output, make_output
from openloop_cli.loggers.values import Attachment, Entry, VideoFile

__all__ = ["Attachment", "Entry", "Logger", "Output", "VideoFile", "make_logger", "make_output"]
