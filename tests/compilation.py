"""Programs compiled as users compile them, or quickly, as nearly all tests have them compiled."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import pytest

from openloop_cli.rollout import compiled


@contextmanager
def optimized(in_full: bool) -> Iterator[None]:
    """With all optimizations, or without, whatever `conftest.py` has set for the process."""
    before = jax.config.values["jax_disable_most_optimizations"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(compiled._OPTIONS, "cpu", {"xla_cpu_use_fusion_emitters": in_full})
        jax.config.update("jax_disable_most_optimizations", not in_full)
        _forget()
        yield
    jax.config.update("jax_disable_most_optimizations", before)
    _forget()


def _forget() -> None:
    jax.clear_caches()
    compiled._COMPILED.clear()
