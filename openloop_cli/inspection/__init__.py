"""What a checkpoint, a replay or a run folder holds: path -> Inspection. No jax, few bytes read.

What can be described is described, and what is wrong with it is part of the description
(`problems`): only a path that is nothing known is an error.
"""

from pathlib import Path

from openloop_cli.inspection.describe import describe
from openloop_cli.inspection.facts import Inspection, Module
from openloop_cli.inspection.known import open_path

__all__ = ["Inspection", "Module", "inspect_path"]


def inspect_path(path: Path) -> Inspection:
    """Describes a checkpoint (folder, agent.pkl), a replay folder, a chunk or a run folder.

    Raises:
      OpenloopError: There is nothing known at `path`, or nothing of it can be read.
    """
    return describe(path, open_path(path))
