"""Golden results: windows that the reference sampled, and what it computed on them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openloop_cli.checkpoints import read_checkpoint
from openloop_cli.config import RunConfig, parse_config, read_config
from openloop_cli.keys import infer_spaces
from openloop_cli.models.dreamerv3.shapes import check_params
from openloop_cli.models.model import Model, place_model
from openloop_cli.replay import KeyInfo, Windows
from openloop_cli.replay.names import uuid_text
from openloop_cli.rollout.result import OpenLoop
from openloop_cli.rollout.roll_out import roll_out

RUNS = ("context5", "crafter_bf16", "crafter_f32", "dmc_proprio", "dummy_f32", "strided")
FIXTURES = Path(__file__).parent / "fixtures"
SHARED = Path(__file__).resolve().parents[2] / "shared"


def genuine(name: str) -> tuple[Path, Path]:
    """A run folder that the reference wrote, and what it computed on some of its windows.

    Some lie in the fixtures, the others beside the checkout, where there are any.
    """
    for runs, golden in (
        (FIXTURES / name, FIXTURES / f"{name}.golden.npz"),
        (FIXTURES / "genuine/runs" / name, FIXTURES / "genuine/golden" / f"{name}.npz"),
        (SHARED / "runs" / name, SHARED / "golden" / f"{name}.npz"),
    ):
        if runs.is_dir() and golden.is_file():
            return runs, golden
    pytest.skip(f"the genuine run {name} is neither in the fixtures nor beside this checkout")


@dataclass
class Case:
    """A model on its device, a batch of windows, and the reference's numbers by name."""

    config: RunConfig
    model: Model
    windows: Windows
    golden: Mapping[str, np.ndarray]

    @property
    def steps(self) -> int:
        return self.windows.data["is_first"].shape[1] - self.windows.replay_context

    def roll_out(self, **options: Any) -> OpenLoop:
        return roll_out(self.model, self.windows, context=self.steps // 2, **options)


def run_case(run: Path, golden: Path) -> Case:
    """A genuine run folder and its golden results."""
    arrays = dict(np.load(golden))
    checkpoint = read_checkpoint(run)
    shapes = {name: ref.shape for name, ref in checkpoint.params.items()}
    return _case(read_config(run / "config.yaml"), shapes, checkpoint.read_params, arrays)


def architecture_case(path: Path) -> Case:
    """A fixture of the folder `architectures`: config, parameters and results in one file."""
    arrays = dict(np.load(path))
    params = {name[7:]: x for name, x in arrays.items() if name.startswith("params/")}
    shapes = {name: x.shape for name, x in params.items()}
    config = parse_config(json.loads(str(arrays["config"])), [])
    return _case(config, shapes, lambda names: {name: params[name] for name in names}, arrays)


def window_ids(golden: Mapping[str, np.ndarray]) -> list[str]:
    """The ids of the golden windows, from their stored step ids."""
    firsts = [row[0].tobytes() for row in golden["data/stepid"]]
    return [f"{uuid_text(x[:16])}:{int.from_bytes(x[16:], 'big')}" for x in firsts]


def _case(config: RunConfig, shapes: Any, read: Any, arrays: dict[str, np.ndarray]) -> Case:
    data = {name[5:]: x for name, x in arrays.items() if name.startswith("data/")}
    keys = {name: KeyInfo(x.dtype, x.shape[2:]) for name, x in data.items()}
    spaces, _ = infer_spaces(shapes, keys)
    names = check_params(shapes, config.model, spaces)
    model = place_model(read(names), config.model, spaces, device="cpu")
    ids = tuple(window_ids(arrays))
    return Case(config, model, Windows(ids, data, config.replay_context, ()), arrays)
