"""What a process and its machine use: psutil and NVML, where they are installed
(`openloop[usage]`). Names of psutil's part are the reference's (elements 3.22: `Usage`)."""

from contextlib import suppress
from typing import Any

_GB = 1024**3


class Usage:
    """Measures when asked, between the last time and now.

    Without psutil there is nothing of the process and the machine, without nvidia-ml-py or a GPU
    nothing of GPUs.
    """

    def __init__(self) -> None:
        self._process = _process()
        self._gpus = _gpus()

    def stats(self) -> dict[str, float]:
        """Shares are from 0 to 1, but for `proc_cpu_usage`: cores that are kept busy."""
        return {**self._of_process(), **self._of_gpus()}

    def _of_process(self) -> dict[str, float]:
        if self._process is None:
            return {}
        import psutil

        memory, used = psutil.virtual_memory(), self._process.memory_info().rss
        return {
            "psutil/proc_cpu_usage": self._process.cpu_percent() / 100,
            "psutil/proc_ram_frac": used / memory.total,
            "psutil/proc_ram_gb": used / _GB,
            "psutil/total_cpu_count": psutil.cpu_count() or 0,
            "psutil/total_cpu_frac": psutil.cpu_percent() / 100,
            "psutil/total_ram_frac": memory.percent / 100,
            "psutil/total_ram_total_gb": memory.total / _GB,
            "psutil/total_ram_used_gb": memory.used / _GB,
            "psutil/total_ram_avail_gb": memory.available / _GB,
        }

    def _of_gpus(self) -> dict[str, float]:
        found = {}
        for number, gpu in enumerate(self._gpus):
            import pynvml

            with suppress(pynvml.NVMLError):  # one that cannot tell
                memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
                busy = pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu
                found[f"nvml/compute/gpu{number}"] = busy / 100
                found[f"nvml/memory/gpu{number}"] = memory.used / memory.total
        return found


def _process() -> Any:
    """This process, from now on."""
    try:
        import psutil
    except ImportError:
        return None
    process = psutil.Process()
    process.cpu_percent()
    psutil.cpu_percent()
    return process


def _gpus() -> list[Any]:
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []
