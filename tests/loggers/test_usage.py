"""What the process and its GPUs use."""

import sys
from types import SimpleNamespace

import pytest

from openloop_cli.loggers.usage import Usage

PROCESS = {"proc_cpu_usage", "proc_ram_frac", "proc_ram_gb"}


def test_the_process_and_the_machine():
    psutil = pytest.importorskip("psutil", reason="psutil is not installed")
    found = Usage().stats()
    names = {name.removeprefix("psutil/") for name in found if name.startswith("psutil/")}
    assert names >= PROCESS
    assert found["psutil/total_cpu_count"] == psutil.cpu_count()
    assert 0 < found["psutil/proc_ram_gb"] < found["psutil/total_ram_total_gb"]
    assert found["psutil/proc_ram_frac"] == pytest.approx(
        found["psutil/proc_ram_gb"] / found["psutil/total_ram_total_gb"], rel=1e-6
    )


def test_without_the_packages(monkeypatch):
    for name in ("psutil", "pynvml"):
        monkeypatch.setitem(sys.modules, name, None)
    assert Usage().stats() == {}


class NVMLError(Exception):
    pass


def gpus(*, broken=()):
    def memory(gpu):
        if gpu in broken:
            raise NVMLError
        return SimpleNamespace(used=25, total=100)

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=memory,
        nvmlDeviceGetUtilizationRates=lambda gpu: SimpleNamespace(gpu=50 + gpu),
    )


def test_gpus(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", gpus())
    found = {name: x for name, x in Usage().stats().items() if name.startswith("nvml/")}
    assert found == {
        "nvml/compute/gpu0": 0.5,
        "nvml/memory/gpu0": 0.25,
        "nvml/compute/gpu1": 0.51,
        "nvml/memory/gpu1": 0.25,
    }


def test_a_gpu_that_does_not_answer_and_a_machine_without_any(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", gpus(broken=(0,)))
    assert {name for name in Usage().stats() if "gpu0" in name} == set()
    none = gpus()

    def no_driver():
        raise NVMLError

    none.nvmlInit = no_driver
    monkeypatch.setitem(sys.modules, "pynvml", none)
    assert not any(name.startswith("nvml/") for name in Usage().stats())
