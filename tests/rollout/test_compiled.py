"""Programs that are kept for the next process: found again, and of no harm when damaged."""

import hashlib
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from openloop_cli.cache import cache_folder
from openloop_cli.models.model import Model
from openloop_cli.rollout import compiled

ROW = (np.arange(6, dtype=np.float32).reshape(2, 3),)
traced = []


@jax.jit
def program(x):
    traced.append(x.shape)
    return {"sum": jnp.tanh(x).sum(0), "inner": {"last": x[-1] * 2}}


@pytest.fixture(autouse=True)
def new_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENLOOP_CACHE_DIR", str(tmp_path / "cache"))


def in_a_new_process(*, keep=True):
    """The results, and whether the program was traced, as after a new start."""
    compiled._COMPILED.clear()
    program.clear_cache()
    traced.clear()
    model = Model({}, None, None, tuple(jax.local_devices()[:1]))
    call = compiled.compiled(program, model, ROW, {}, keep=keep)
    outs = jax.tree.map(np.asarray, call(*ROW))
    np.testing.assert_allclose(outs["sum"], np.tanh(ROW[0]).sum(0), rtol=1e-6)
    np.testing.assert_array_equal(outs["inner"]["last"], [6, 8, 10])
    return bool(traced)


def kept():
    return [path for path in cache_folder().iterdir() if path.name.startswith("program-")]


def test_the_next_process_does_not_trace():
    assert in_a_new_process()
    assert len(kept()) == 1
    assert not in_a_new_process()


def test_nothing_is_kept_unasked():
    assert in_a_new_process(keep=False)
    assert kept() == []
    assert in_a_new_process(keep=False)


def test_another_shape_is_another_program():
    assert in_a_new_process()
    model = Model({}, None, None, tuple(jax.local_devices()[:1]))
    more = (np.ones((4, 3), np.float32),)
    outs = compiled.compiled(program, model, more, {}, keep=True)(*more)
    assert outs["inner"]["last"].tolist() == [2, 2, 2]
    assert len(kept()) == 2


@pytest.mark.parametrize("data", [b"", b"x", b"{}\n", b'{"name": []}\n\xff' * 3, b"[" * 5000])
def test_damaged(data):
    in_a_new_process()
    (file,) = kept()
    file.write_bytes(data)
    assert in_a_new_process()
    assert not in_a_new_process()


@pytest.mark.parametrize("cut", [0, 100, 0.5, 0.99])
def test_cut_short_under_a_right_checksum(cut):
    in_a_new_process()
    (file,) = kept()
    head, _, data = file.read_bytes().partition(b"\n")
    data = data[: int(cut * len(data)) if cut < 1 else cut]
    head = json.dumps(json.loads(head) | {"sha256": hashlib.sha256(data).hexdigest()})
    file.write_bytes(head.encode() + b"\n" + data)
    assert in_a_new_process()


def test_that_fails_on_its_first_run(monkeypatch):
    """Such as one that XLA has written without some of its functions."""
    in_a_new_process()

    def fails(*_):
        raise RuntimeError("NOT_FOUND: Function wrapped_reduce not found")

    with monkeypatch.context() as patch:
        patch.setattr(compiled, "_read", lambda *_: fails)
        assert in_a_new_process()
    assert not in_a_new_process()


def test_where_jax_has_a_cache_of_its_own(tmp_path):
    """What jax loaded is not written a second time: XLA would lose parts of it."""
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "jax"))
    try:
        assert in_a_new_process()
        assert kept() == []
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


class Lowered:
    """Stands in for a lowered program; XLA knows the options or does not."""

    def __init__(self, error=None):
        self.error, self.options = error, []

    def compile(self, options=None):
        self.options.append(options)
        if options and self.error:
            raise self.error
        return "compiled"


GPU = SimpleNamespace(platform="gpu")


def test_options_for_a_gpu_are_ones_that_this_xla_knows():
    lowered = program.lower(*ROW)
    lowered.compile(compiled._OPTIONS["gpu"])
    asked = Lowered()
    assert compiled._compile(asked, GPU) == "compiled"
    assert asked.options == [compiled._OPTIONS["gpu"]]
    elsewhere = Lowered()
    assert compiled._compile(elsewhere, SimpleNamespace(platform="cpu")) == "compiled"
    assert elsewhere.options == [None]


def test_an_xla_without_those_options_compiles_all_the_same():
    unknown = Lowered(RuntimeError("INVALID_ARGUMENT: No such compile option: 'xla_gpu_x'"))
    assert compiled._compile(unknown, GPU) == "compiled"
    assert unknown.options == [compiled._OPTIONS["gpu"], None]
    with pytest.raises(RuntimeError, match="RESOURCE_EXHAUSTED"):
        compiled._compile(Lowered(RuntimeError("RESOURCE_EXHAUSTED: out of memory")), GPU)
