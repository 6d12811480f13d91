"""A run folder made up as the reference writes it: config, two checkpoints, linked chunks."""

import json
import pickle
from pathlib import Path

import numpy as np

from openloop_cli.config import parse_config
from openloop_cli.models.dreamerv3.shapes import expected_shapes
from openloop_cli.spaces import Space, Spaces

from .replay.synthetic import Writer

TIMES = ("20260101T000000F000001", "20260102T030405F000002")
SPACES = Spaces(
    obs=(
        ("image", Space((16, 16, 3), "uint8")),
        ("pose", Space((4,), "float32")),
        ("token", Space((), "int32", 7)),
    ),
    act=(("action", Space((), "int32", 5)),),
)
CODER = {"depth": 2, "mults": [1, 2], "layers": 1, "units": 8, "act": "silu", "norm": "rms"}
HEAD = {"layers": 1, "units": 8, "act": "silu", "norm": "rms"}
TREE = {
    "logdir": "somewhere/made_up",
    "task": "dummy_task",
    "replay_context": 1,
    "report_length": 8,
    "jax": {"compute_dtype": "float32"},
    "agent": {
        "enc": {"typ": "simple", "simple": CODER},
        "dyn": {
            "typ": "rssm",
            "rssm": {"deter": 16, "hidden": 8, "stoch": 4, "classes": 4, "blocks": 4},
        },
        "dec": {"typ": "simple", "simple": CODER | {"bspace": 4}},
        "rewhead": HEAD | {"bins": 5, "output": "symexp_twohot"},
        "conhead": HEAD | {"output": "binary"},
        "value": HEAD | {"bins": 5, "output": "symexp_twohot"},
    },
}


def make_params(tree=TREE, spaces=SPACES) -> dict[str, np.ndarray]:
    """World model and value of the right shapes, a policy, and an optimizer state."""
    rng = np.random.default_rng(0)
    shapes = expected_shapes(parse_config(tree, []).model, spaces)
    params = {name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}
    params["pol/head/action/logits/kernel"] = np.zeros((32, 5), np.float32)
    params["opt/state/1/0"] = np.zeros((), np.int32)
    params |= {f"opt/mu/{name}": np.zeros_like(x) for name, x in list(params.items())}
    return params


def make_run(folder: Path, tree=TREE, params=None) -> Path:
    """Two checkpoints, three chunks of 20 steps, episodes from steps 0, 25 and 41 on."""
    params = make_params() if params is None else params
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(json.dumps(tree))
    for step, time in zip((30, 60), TIMES, strict=True):
        save_checkpoint(folder / "ckpt" / time, params, step)
    (folder / "ckpt/latest").write_text(TIMES[-1])
    make_replay(folder)
    return folder


def save_checkpoint(folder: Path, params, step: int) -> None:
    folder.mkdir(parents=True)
    value = {"params": params, "counters": {"updates": step // 2, "actions": step}}
    (folder / "agent.pkl").write_bytes(pickle.dumps(value, 4))
    (folder / "step.pkl").write_bytes(pickle.dumps(step, 4))
    (folder / "done").touch()


def make_replay(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    flag = np.zeros(60, bool)
    writer = Writer(folder / "replay")
    extra = {
        "image": rng.integers(0, 256, (60, 16, 16, 3), np.uint8),
        "pose": rng.normal(size=(60, 4)).astype(np.float32),
        "token": rng.integers(0, 7, 60).astype(np.int32),
        "is_terminal": flag,
        "dyn/deter": np.zeros((60, 16), np.float32),
        "dyn/stoch": np.zeros((60, 4, 4), np.float32),
    }
    writer.stream([20, 20, 20], firsts=(0, 25, 41), extra=extra)
    return writer.paths
