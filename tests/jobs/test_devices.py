"""What each worker gets: the GPUs that this process may see, or equally many cores."""

import pytest

from openloop_cli.errors import OptionError
from openloop_cli.jobs.engines import devices
from openloop_cli.jobs.engines.devices import Devices, core_shares, find_shares, gpu_shares


@pytest.mark.parametrize(
    ("environment", "rocm", "expected"),
    [
        ({}, False, {"CUDA_VISIBLE_DEVICES": "1"}),
        ({"CUDA_VISIBLE_DEVICES": "4,7"}, False, {"CUDA_VISIBLE_DEVICES": "7"}),
        ({"CUDA_VISIBLE_DEVICES": "GPU-a1, MIG-b2"}, False, {"CUDA_VISIBLE_DEVICES": "MIG-b2"}),
        ({}, True, {"HIP_VISIBLE_DEVICES": "1"}),
        ({"CUDA_VISIBLE_DEVICES": "4,7"}, True, {"HIP_VISIBLE_DEVICES": "7"}),
        (
            {"CUDA_VISIBLE_DEVICES": "4,7", "HIP_VISIBLE_DEVICES": "2,3"},
            True,
            {"HIP_VISIBLE_DEVICES": "3"},
        ),
    ],
)
def test_the_second_gpu_of_those_that_may_be_seen(environment, rocm, expected):
    first, second = gpu_shares(2, rocm, environment)
    assert dict(second.environment) == expected
    assert (first.name, second.name) == ("gpu 0", "gpu 1")
    assert first.environment != second.environment


@pytest.mark.parametrize(
    ("cores", "workers", "sizes"),
    [(1, None, [1]), (2, None, [2]), (7, None, [7]), (32, None, [4] * 8), (7, 3, [2, 2, 3])],
)
def test_cores_are_shared_out(cores, workers, sizes):
    shares = core_shares(tuple(range(10, 10 + cores)), workers)
    assert [len(share.cores) for share in shares] == sizes
    assert sorted(x for share in shares for x in share.cores) == list(range(10, 10 + cores))
    assert all(share.environment == {"JAX_PLATFORMS": "cpu"} for share in shares)


@pytest.mark.parametrize(
    ("found", "workers", "count"),
    [(Devices("gpu", 4), None, 4), (Devices("gpu", 4), 3, 3), (Devices("gpu", 1), None, 1)],
)
def test_a_worker_for_each_gpu(monkeypatch, found, workers, count):
    monkeypatch.setattr(devices, "_ask", lambda device: found)
    assert len(find_shares("gpu", workers)) == count


@pytest.mark.parametrize(
    ("found", "device", "workers", "message"),
    [
        (Devices("gpu", 2), "gpu", 3, "--workers 3: there are 2 GPUs, one for each worker"),
        (Devices("gpu", 2), "gpu:1", None, "with --device gpu:1: that names one device"),
        (Devices("tpu", 4), None, None, "expected GPUs or a CPU, found tpu"),
        (None, "cpu", 100_000, "--workers 100000: there are .* cores"),
    ],
)
def test_refusals(monkeypatch, found, device, workers, message):
    monkeypatch.setattr(devices, "_ask", lambda device: found)
    with pytest.raises(OptionError, match=message):
        find_shares(device, workers)


def test_jax_is_asked_elsewhere():
    """And what it refuses there is told here."""
    assert devices._ask(None).platform in ("cpu", "gpu", "tpu")
    with pytest.raises(OptionError, match="--device quantum: "):
        find_shares("quantum")
