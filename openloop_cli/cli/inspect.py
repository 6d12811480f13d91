"""`openloop inspect`: what a checkpoint, a replay or a run folder holds."""

from pathlib import Path


def inspect(path: Path) -> None:
    """x"""
