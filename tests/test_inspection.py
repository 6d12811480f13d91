"""What is told about paths of every kind, and that it costs neither jax nor many bytes."""

import json
import math
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from openloop_cli.checkpoints import read_checkpoint
from openloop_cli.config import ACTIVATION_NAMES, parse_config
from openloop_cli.errors import OpenloopError
from openloop_cli.inspection import inspect_path
from openloop_cli.replay import choose_windows, open_replay
from tests.golden import genuine

from .synthetic_run import SPACES, TIMES, TREE, make_params, make_run, save_checkpoint

RUNS = ("context5", "crafter_bf16", "crafter_f32", "dmc_proprio", "dummy_f32", "strided")


@pytest.fixture
def run(tmp_path) -> Path:
    return make_run(tmp_path / "run")


def test_a_run_folder_is_told_in_full(run):
    found = inspect_path(run)
    assert (found.kind, found.problems) == ("run folder", ())
    assert found.checkpoint.step == 60
    assert found.checkpoint.time == "2026-01-02 03:04:05"
    assert found.checkpoint.counters == {"updates": 30, "actions": 60}
    assert found.checkpoint.complete
    assert found.checkpoint.bytes == (run / "ckpt" / TIMES[1] / "agent.pkl").stat().st_size
    assert [(save.name, save.step) for save in found.checkpoints] == [
        (TIMES[0], 30),
        (TIMES[1], 60),
    ]
    assert (found.run.name, found.run.task, found.run.report_length) == ("made_up", "dummy_task", 8)
    assert found.run.source == str(run / "config.yaml")
    assert found.run.model == asdict(parse_config(TREE, []).model)
    json.dumps(asdict(found), allow_nan=False)


def test_modules_add_up_to_all_parameters(run):
    params = make_params()
    found = inspect_path(run).checkpoint
    assert sum(module.arrays for module in found.modules) == len(params)
    assert sum(module.bytes for module in found.modules) == sum(x.nbytes for x in params.values())
    assert math.isclose(sum(module.share for module in found.modules), 1)
    modules = {module.name: module for module in found.modules}
    assert list(modules) == ["enc", "dyn", "dec", "rew", "con", "val", "pol", "opt"]
    assert modules["opt"].read == modules["pol"].read == 0
    assert modules["opt"].dtypes == ("float32", "int32")
    assert all(modules[name].read == modules[name].bytes for name in list(modules)[:6])
    dyn = {name: x for name, x in params.items() if name.startswith("dyn/")}
    assert modules["dyn"].parameters == sum(x.size for x in dyn.values())
    assert found.parameters == sum(modules[name].parameters for name in list(modules)[:7])
    assert found.read == sum(module.read for module in found.modules)


def test_spaces_are_those_of_the_run(run):
    found = inspect_path(run).spaces
    assert {key: (x.shape, x.dtype, x.classes) for key, x in found.observations.items()} == {
        key: (x.shape, x.dtype, x.classes) for key, x in SPACES.obs
    }
    kinds = {key: x.kind for key, x in found.observations.items()}
    assert kinds == {"image": "image", "pose": "continuous", "token": "discrete"}
    assert {key: (x.kind, x.classes) for key, x in found.actions.items()} == {
        "action": ("discrete", 5)
    }


def test_replay_counts_episodes_and_windows(run):
    found = inspect_path(run).replay
    assert (found.chunks, found.steps, found.streams) == (3, 60, 1)
    assert (found.episodes.starts, found.episodes.complete) == (3, 2)
    assert (found.episodes.shortest, found.episodes.mean, found.episodes.longest) == (16, 20.5, 25)
    assert found.windows.fit == 60 - 9 + 1
    # By hand: starts s with a first step in s + 5 … s + 8 are unsafe, for 25 and for 41.
    assert found.windows.without_resets == 52 - 4 - 4
    assert found.keys["image"] == {"dtype": "uint8", "shape": (16, 16, 3)}


def test_as_many_windows_as_can_be_chosen(run):
    windows = inspect_path(run).replay.windows
    options = {"length": 8, "replay_context": 1, "context": 4, "count": 100, "seed": 0}
    safe = choose_windows(open_replay(run), **options)
    assert safe.candidates == windows.fit
    assert len(safe.ids) == windows.without_resets


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        ("ckpt", "checkpoint"),
        (f"ckpt/{TIMES[0]}", "checkpoint"),
        (f"ckpt/{TIMES[0]}/agent.pkl", "checkpoint"),
        ("replay", "replay"),
    ],
)
def test_parts_find_the_rest_of_their_run(run, inside, kind):
    found = inspect_path(run / inside)
    assert found.kind == kind
    assert found.problems == ()
    assert found.run.name == "made_up"
    if kind == "checkpoint":
        assert found.spaces.observations["token"].classes == 7
        assert found.replay is None
    else:
        assert found.checkpoint is None
        assert found.replay.windows.fit == 52


def test_a_chunk(run):
    chunk = next((run / "replay").iterdir())
    found = inspect_path(chunk)
    assert found.kind == "chunk"
    assert (found.replay.chunks, found.replay.steps) == (1, 20)


def test_a_lone_checkpoint_with_its_config(run, tmp_path):
    (run / "replay").rename(tmp_path / "elsewhere")
    found = inspect_path(run)
    assert (found.kind, found.problems) == ("checkpoint", ())
    assert found.spaces.observations["images"].shape == (16, 16, 3)
    assert "no replay" in found.spaces.source


def test_a_lone_agent_pkl(tmp_path):
    save_checkpoint(tmp_path / "alone", make_params(), 7)
    found = inspect_path(tmp_path / "alone/agent.pkl")
    assert found.problems == ()
    assert found.run.source is None
    assert found.run.model["dyn"]["deter"] == 16
    assert found.spaces.observations["images"].shape == (16, 16, 3)
    assert any("no config.yaml" in note for note in found.notes)


def test_all_disagreements_are_told(run):
    tree = json.loads(json.dumps(TREE))
    tree["agent"]["dyn"]["rssm"]["hidden"] = 12
    (run / "config.yaml").write_text(json.dumps(tree))
    found = inspect_path(run)
    assert len(found.problems) > 5
    assert "dyn/dynin0/kernel: expected (16, 12), found (16, 8)" in found.problems
    assert found.checkpoint.step == 60


def test_a_replay_of_another_run_is_a_problem(run):
    params = make_params()
    params["pol/head/jump/logits/kernel"] = params.pop("pol/head/action/logits/kernel")
    save_checkpoint(run / "ckpt/20260103T000000F000003", params, 90)
    (run / "ckpt/latest").write_text("20260103T000000F000003")
    found = inspect_path(run)
    assert "no key 'jump'" in found.problems[0]
    assert found.spaces is None
    assert found.run.name == "made_up"
    assert found.replay.steps == 60


def test_a_broken_config_is_a_problem(run):
    (run / "config.yaml").write_text("agent: [")
    found = inspect_path(run)
    assert len(found.problems) == 1
    assert "not YAML" in found.problems[0]
    assert found.checkpoint.step == 60
    assert found.replay.windows is None


def test_a_damaged_checkpoint_gives_its_place_to_the_newest_whole_one(run):
    file = run / "ckpt" / TIMES[1] / "agent.pkl"
    file.write_bytes(file.read_bytes()[:5000])
    found = inspect_path(run)
    assert found.checkpoint.step == 30
    assert "described " + TIMES[0] in found.problems[0]
    assert found.checkpoints[1].problem
    assert found.checkpoints[0].problem == ""


def test_no_checkpoint_left_is_a_problem_of_the_run(run):
    for time in TIMES:
        (run / "ckpt" / time / "agent.pkl").write_bytes(b"")
    found = inspect_path(run)
    assert found.kind == "replay"
    assert "empty file" in found.problems[0]


def test_damaged_and_copied_chunks_are_told(run):
    chunks = sorted((run / "replay").iterdir())
    chunks[0].write_bytes(chunks[0].read_bytes()[:200])
    (run / "replay/00001").mkdir()
    (run / "replay/00001" / chunks[1].name).write_bytes(chunks[1].read_bytes())
    found = inspect_path(run).replay
    assert list(found.damaged) == [chunks[0].name]
    assert "zip directory" in found.damaged[chunks[0].name]
    assert found.duplicates == (chunks[1].name,)
    assert (found.chunks, found.steps) == (2, 40)


@pytest.mark.parametrize("what", ["missing", "empty", "file", "npz", "damaged", "ckpt"])
def test_nothing_known_is_one_line(tmp_path, what):
    path = tmp_path / what
    if what in ("empty", "ckpt"):
        (path / ("ckpt" if what == "ckpt" else "")).mkdir(parents=True)
    elif what == "file":
        path.write_text("hello")
    elif what == "npz":
        path = tmp_path / "weights.npz"
        np.savez(path, x=np.zeros(3))
    elif what == "damaged":
        path.mkdir()
        (path / "agent.pkl").write_bytes(b"\x80\x04")
    with pytest.raises(OpenloopError) as error:
        inspect_path(path)
    assert str(tmp_path) in error.value.message
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", RUNS)
def test_genuine_runs_have_no_problems(name):
    run, _ = genuine(name)
    found = inspect_path(run)
    assert found.problems == ()
    assert found.checkpoint.step == read_checkpoint(run).step
    assert found.replay.damaged == {}


def test_it_imports_no_jax(run):
    code = (
        "import sys; from pathlib import Path; from openloop_cli.inspection import inspect_path;"
        "inspect_path(Path(sys.argv[1])); print('jax' in sys.modules, 'jaxlib' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]


def test_the_names_of_activations_are_those_that_are_implemented():
    from openloop_cli.models.dreamerv3.nets import ACTIVATIONS

    assert tuple(ACTIVATIONS) == ACTIVATION_NAMES


def test_a_large_checkpoint_is_hardly_read(tmp_path):
    counter = Path("/proc/self/io")
    if not counter.exists():
        pytest.skip("only Linux counts the bytes that a process reads")
    params = make_params() | {f"opt/{i}": np.zeros((1 << 20,), np.float32) for i in range(24)}
    save_checkpoint(tmp_path / "large", params, 1)
    del params

    def read() -> int:
        return int(counter.read_text().split()[1])

    before = read()
    found = inspect_path(tmp_path / "large")
    assert found.checkpoint.bytes > 100e6
    assert read() - before < 0.01 * found.checkpoint.bytes
