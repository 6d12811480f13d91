"""What several tests stand on: the genuine runs, where they are; programs compiled once for all."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Most of the tests' time is compilation, and quick code is as right as fast code. What is compared
# with the reference is compiled as users compile it: see `compiled_in_full`.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
# Without optimizations this halves the compiler's time.
QUICK = "--xla_cpu_use_fusion_emitters=false"

# Several test processes share the cores: threads of each would only wait for those of the others.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A shell lets its background jobs ignore Ctrl-C, and theirs; tests send it to what they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    """`QUICK` for this process, its workers and what they start, if this XLA knows it.

    XLA ends a process that names a flag that it does not know, so another one tries it.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    flags = f"{os.environ.get('XLA_FLAGS', '')} {QUICK}".strip()
    command = [sys.executable, "-c", "import jax; jax.local_devices()"]
    tried = subprocess.run(command, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True)
    if tried.returncode == 0:
        os.environ["XLA_FLAGS"] = flags


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Tests of one file in one process: what they share is then made once."""
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # the order is that of `LONGEST`
    return LoadScopeScheduling(config, log)


# Files that take longest, so that no process is still at one when the others have nothing left.
LONGEST = (
    "test_devices.py",
    "test_documentation.py",
    "test_fidelity.py",
    "compare/test_pairing.py",
    "cli/test_check.py",
    "measures/test_statistics.py",
    "cli/test_refusals.py",
    "test_fidelity_sampled.py",
    "measures/test_known_answers.py",
    "jobs/test_outputs.py",
    "cli/test_batch.py",
    "cli/test_watch.py",
    "page/test_page.py",
    "page/test_browser.py",
    "test_fuzz.py",
    "results/test_metrics_json.py",
)


def pytest_collection_modifyitems(items):
    """The longest files first; all others as they were collected."""
    places = {str(ROOT / "tests" / name): place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(str(item.path), len(places)))


@pytest.fixture(scope="session", autouse=True)
def priority() -> Iterator[None]:
    """`watch` in a test's own process would lower it for all tests that follow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "setpriority", lambda *_: None, raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def compiled_programs(tmp_path_factory) -> Iterator[None]:
    """One compilation cache for all processes of this test run, and none of the user's own.

    OPENLOOP_TEST_CACHE names a folder that keeps it for the next run.
    """
    from openloop_cli.cache import cache_note

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    kept = os.environ.get("OPENLOOP_TEST_CACHE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENLOOP_CACHE_DIR", kept or str(folder / "programs"))
        assert cache_note() is None
        yield


def made_once(tmp_path_factory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first of all test processes fills, and the others wait for."""
    top = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        top = top.parent
    folder = top / name
    with (top / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            making = top / f"{name}.making"
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            make(making)
            making.rename(folder)
    return folder


@pytest.fixture(scope="module")
def compiled_in_full() -> Iterator[None]:
    """With all optimizations."""
    from tests.compilation import optimized

    with optimized(True):
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Genuine run folders and what the reference computed on them, beside the checkout."""
    folder = ROOT.parent / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip("the genuine runs and golden results are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def sample_run() -> Path:
    """The run that the repository brings along."""
    return ROOT / "sample_data" / "dmc_cheetah_run"
