"""Checkpoints of other programs, known by their names and first bytes, so that a refusal can say
what is there. Nothing of them is read but a few bytes.
"""

import os
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path

_MOST_NAMES = 2000
_DEEP = 2
_OURS = (
    "openloop rolls out the agent.pkl of danijar/dreamerv3, and its checkpoint.pkl of December 2024"
)

# In the order in which they are asked: what a name says for sure comes first.
_BY_NAME: tuple[tuple[str, str], ...] = (
    (r"rllib_checkpoint\.json|algorithm_state\.(pkl|msgpack)|policy_state\.pkl", "Ray RLlib"),
    (r"ckpt_\d+_\d+\.ckpt", "sheeprl"),
    (r"checkpoint\.ckpt", "DreamerV3 of 2023 and 2024, before December"),
    (r"variables\.pkl", "DreamerV2"),
    (r"_CHECKPOINT_METADATA|_METADATA|manifest\.ocdbt", "Orbax"),
    (r"latest\.pt", "dreamerv3-torch"),
    (r"saved_model\.pb|.+\.data-\d{5}-of-\d{5}", "TensorFlow"),
    (r".+\.safetensors", "safetensors"),
    (r".+\.(pt|pth|ckpt|bin)", "PyTorch"),
    (r".+\.(msgpack|flax)", "Flax"),
    (r".+\.(h5|hdf5|keras)", "Keras"),
)


def other_kind(path: Path) -> tuple[str, str] | None:
    """Which other program's checkpoint lies at a local path: the file, and what it is."""
    found = [path] if path.is_file() else sorted(_files(path))
    for pattern, kind in _BY_NAME:
        for file in found:
            if re.fullmatch(pattern, file.name):
                told = _by_bytes(file) or kind
                shown = file if path.is_file() else file.relative_to(path)
                return str(shown), told if told == kind else f"{told} ({kind} by its name)"
    for file in found:
        if file.suffix in ("", ".zip", ".pkl") and (kind := _by_bytes(file)):
            return file.name, kind
    return None


def other_hint(kind: str) -> str:
    """What can be done with a checkpoint of that kind."""
    return f"{kind} is another format; {_OURS}"


def _files(top: Path) -> list[Path]:
    """Files of a folder and of those in it, the nearest first, of a bounded number of entries."""
    found: list[Path] = []
    folders, left = [top], _MOST_NAMES
    for _ in range(1 + _DEEP):
        inside: list[Path] = []
        for folder in folders:
            try:
                with os.scandir(folder) as entries:
                    for entry in islice(entries, left):
                        left -= 1
                        if entry.is_file(follow_symlinks=True):
                            found.append(Path(entry.path))
                        elif entry.is_dir(follow_symlinks=False) and entry.name != "replay":
                            inside.append(Path(entry.path))
            except OSError:
                left -= 1  # what cannot be looked at tells nothing
            if left <= 0:
                return found
        folders = inside
    return found


def _by_bytes(file: Path) -> str:
    """What the first bytes say for sure; empty where they say nothing."""
    try:
        with file.open("rb") as opened:
            head = opened.read(4096)
    except OSError:
        return ""
    return next((kind for fits, kind in _SIGNS if fits(head)), "")


_SIGNS: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (lambda head: head.startswith(b"PK") and b"/data.pkl" in head, "PyTorch"),
    (lambda head: head.startswith(b"PK") and b"policy.pth" in head, "Stable-Baselines3"),
    (lambda head: head[8:9] == b"{" and b'"dtype"' in head, "safetensors"),
    (lambda head: head.startswith(b"\x89HDF"), "Keras"),
)
