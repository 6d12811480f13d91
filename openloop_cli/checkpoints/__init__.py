"""Checkpoints on disk: found by any path that a person would give, read without running them.

checkpoint = read_checkpoint(Path("logdir/run"))
params = checkpoint.read_params(name for name in checkpoint.params if name.startswith("dyn/"))
"""

from openloop_cli.checkpoints.checkpoint import Checkpoint
from openloop_cli.checkpoints.dreamerv3 import (
    find_checkpoint,
    find_checkpoints,
    list_files,
    read_checkpoint,
)
from openloop_cli.checkpoints.pickle.array_ref import ArrayRef

__all__ = [
    "ArrayRef",
    "Checkpoint",
    "find_checkpoint",
    "find_checkpoints",
    "list_files",
    "read_checkpoint",
]
