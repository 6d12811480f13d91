"""What several devices must do, on a processor that pretends to be four; see test_devices.py.

The same bits as one device are asked for where that device rolls out blocks of the same shape as
the others' shares. In one block of all windows its matrix products round differently.
"""

import re
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

import jax
import numpy as np
import pytest

from openloop_cli.errors import OptionError
from openloop_cli.models.dreamerv3.inputs import model_inputs
from openloop_cli.models.model import Model, find_devices, place_model
from openloop_cli.rollout import blocks, programs
from openloop_cli.rollout.roll_out import load_model, roll_out
from openloop_cli.run import open_run
from tests.golden import architecture_case
from tests.synthetic_run import make_run

ARCHITECTURES = Path(__file__).parent / "fixtures" / "architectures"
CONTEXT, LENGTH = 3, 6


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("run") / "made_up")
    return open_run(folder, folder)


def both(run) -> tuple[Model, Model]:
    """The model on all four devices, and on the first."""
    place = partial(place_model, run.read_params(), run.config.model, run.spaces)
    return place(device="cpu"), place(device="cpu:0")


def leaves(loop) -> dict[str, np.ndarray]:
    """All arrays of an OpenLoop by their places."""
    parts = {"model": loop.model, "futures": loop.futures, "still": loop.deterministic}
    if loop.evaluation:
        found = loop.evaluation
        parts |= {"posterior": found.posterior, "shuffled": found.shuffled, "other": found.other}
        parts |= {"losses": found.losses, "drift": found.drift}
    trees = {
        name: getattr(part, "__dict__", part) for name, part in parts.items() if part is not None
    }
    found, _ = jax.tree_util.tree_flatten_with_path(trees)
    return {jax.tree_util.keystr(path): x for path, x in found}


def assert_same_bits(run, windows, *, one_device: int, four=None, samples=1) -> None:
    """Sizes of blocks: of one device, the share that each of four has; of four, all windows."""
    options = {"evaluate": True, "samples": samples, "context": CONTEXT}
    sharded, one = run if isinstance(run, tuple) else both(run)
    with blocks_of(four):
        ours = leaves(roll_out(sharded, windows, **options))
    with blocks_of(one_device):
        theirs = leaves(roll_out(one, windows, **options))
    assert ours.keys() == theirs.keys()
    for name, x in ours.items():
        assert x.shape == theirs[name].shape, name
        np.testing.assert_array_equal(x, theirs[name], err_msg=name)


def blocks_of(size: int | None):
    """Blocks of that size."""
    if size is None:
        return nullcontext()
    return mock.patch.object(blocks, "_block_size", return_value=size)


# One shape for all: each costs a compilation for the devices and another for one.
SHARE = 2


@pytest.mark.parametrize("count", [8, 5, 2, 1])
def test_each_device_computes_what_one_would(run, count):
    """Also where windows do not divide by the devices, or are fewer."""
    _, windows = run.choose_windows(length=LENGTH, num_windows=count)
    assert_same_bits(run, windows, four=4 * SHARE, one_device=SHARE, samples=2)


def test_several_blocks(run):
    """Another window's context may lie in another block and on another device."""
    _, windows = run.choose_windows(length=LENGTH, num_windows=17)
    assert_same_bits(run, windows, four=4 * SHARE, one_device=SHARE, samples=2)


@pytest.mark.parametrize(("count", "size"), [(8, 8), (5, 8), (4, 4), (2, 4), (1, 4), (9, 12)])
def test_blocks_are_filled_up_to_an_equal_share(run, count, size):
    model, _ = both(run)
    _, windows = run.choose_windows(length=LENGTH, num_windows=count)
    inputs = model_inputs(windows, run.spaces, model.config.dyn)
    assert [len(x) for x in blocks.Blocks(model, inputs, CONTEXT, LENGTH).blocks] == [size]


def test_other_observations():
    """Vectors alone, some of them missing."""
    case = architecture_case(ARCHITECTURES / "missing.npz")
    first = find_devices("cpu:0")
    assert len(case.model.devices) == 4
    one = replace(case.model, devices=first, params=jax.device_put(case.model.params, first[0]))
    assert_same_bits((case.model, one), case.windows, one_device=1)


def test_as_one_device_in_one_block(run):
    _, windows = run.choose_windows(length=LENGTH, num_windows=8)
    sharded, one = (roll_out(m, windows, context=CONTEXT, evaluate=True) for m in both(run))
    np.testing.assert_array_equal(sharded.model.stoch, one.model.stoch)
    for name, x in leaves(one).items():
        # Five bins, the outermost ±4.9e8: see test_fidelity.py.
        atol = 500 if re.search("reward|value", name) else 2e-5
        np.testing.assert_allclose(leaves(sharded)[name], x, rtol=1e-4, atol=atol, err_msg=name)


@pytest.fixture(scope="module")
def compiled(run) -> dict[str, str]:
    """The two programs of a rollout as they are compiled for the devices."""
    _, windows = run.choose_windows(length=LENGTH, num_windows=8)
    texts = {}

    def spy(name):
        own = getattr(programs, name)

        def call(*args, **options):
            texts[name] = own.lower(*args, **options).compile().as_text()
            return own(*args, **options)

        return mock.patch.object(programs, name, call)

    with spy("observe"), spy("imagine"):
        roll_out(both(run)[0], windows, context=CONTEXT, samples=2)
    return texts


@pytest.mark.parametrize(("name", "exchanged"), [("observe", set()), ("imagine", {"all-gather"})])
def test_nothing_needless_is_exchanged(compiled, name, exchanged):
    kinds = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter"
    assert set(re.findall(rf" ({kinds})(?:-start)?\(", compiled[name])) == exchanged


def test_windows_and_parameters_lie_where_they_should(run):
    _, windows = run.choose_windows(length=LENGTH, num_windows=8)
    model, _ = both(run)
    assert all(x.sharding.is_fully_replicated for x in model.params.values())
    seen = {}
    own = blocks.gather
    with mock.patch(
        "openloop_cli.rollout.roll_out.gather",
        lambda outs, n: seen.update(outs=outs) or own(outs, n),
    ):
        roll_out(model, windows, context=CONTEXT, samples=2)
    (ahead,) = seen["outs"][1]
    image = ahead["trace"]["prediction"]["image"]
    assert [shard.data.shape[0] for shard in image.addressable_shards] == [2] * 4
    kept = ahead["futures"]["kept"]["image"]
    assert [shard.data.shape[:2] for shard in kept.addressable_shards] == [(2, 2)] * 4


def test_names(run):
    everything, one = both(run)
    assert everything.device_name == "4 × cpu"
    assert one.device_name == "cpu"
    assert load_model(run, device="cpu:3").devices == (jax.local_devices()[3],)
    with pytest.raises(OptionError, match="--device cpu:4: there are 4 cpu devices, from 0"):
        find_devices("cpu:4")
