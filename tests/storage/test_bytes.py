"""Bytes and round trips that a large remote checkpoint costs; the reader of ranges by itself."""

import io
import pickle
import random
from itertools import pairwise

import numpy as np
import pytest

from openloop_cli.checkpoints import read_checkpoint
from openloop_cli.storage import place
from openloop_cli.storage.files import RemoteFile


@pytest.fixture(scope="module")
def big():
    """200 MB, 35 % of it the world model's, as a pickle."""
    rng, params = np.random.default_rng(0), {}
    layers = [int(x) for x in rng.integers(20_000, 800_000, 40)]
    noise = rng.standard_normal(800_000, np.float32)
    for module in ("dyn", "opt/mu/dyn", "opt/nu/dyn"):
        for number, size in enumerate(layers):
            params[f"{module}/layer{number}/kernel"] = noise[:size]
            params[f"{module}/layer{number}/bias"] = noise[: size // 500]
            params[f"{module}/layer{number}/scale"] = noise[: size // 500]
    file = io.BytesIO()
    pickle.dump({"params": params, "counters": {"updates": 1}}, file, protocol=4)
    return file.getvalue(), params


def test_few_requests_and_few_bytes_of_a_large_checkpoint(memory, big, requests):
    data, params = big
    assert 180e6 < len(data) < 220e6
    memory.pipe_file("/ckpt/20260101T000000F000001/agent.pkl", data)
    checkpoint = read_checkpoint(place("memory://ckpt/20260101T000000F000001"))
    assert list(checkpoint.params) == list(params)
    assert requests.bytes < 5e6
    assert requests.trips < len(params) / 2
    names = [name for name in params if name.startswith("dyn/")]
    read = checkpoint.read_params(names)
    assert all(np.array_equal(read[name], params[name]) for name in names)
    needed = sum(params[name].nbytes for name in names)
    assert requests.bytes <= 1.1 * needed + 5e6


def test_it_pays_to_know_the_rhythm(memory, big, requests):
    data, _ = big
    memory.pipe_file("/ckpt/agent.pkl", data)
    read_checkpoint(place("memory://ckpt/agent.pkl"))
    # 120 kernels are jumped over. The moments' come in the order of the parameters' own.
    assert requests.trips < 70


def test_reads_are_those_of_the_bytes(memory, requests):
    rng = random.Random(0)
    data = rng.randbytes(9 << 20)
    memory.pipe_file("/file.bin", data)
    with RemoteFile(place("memory://file.bin")) as file:
        for _ in range(200):
            start = rng.randrange(len(data) + 10)
            file.seek(start)
            if rng.random() < 0.3:
                file.prefetch([(start, start + 100), (start + 300_000, start + 300_100)])
            count = rng.choice([1, 10, 5000, 100_000])
            found = file.read(count)
            assert found == data[start : start + len(found)]
            assert found or start >= len(data)
        total = sum(len(block) for _, block in file._blocks)
        starts = [(start, start + len(block)) for start, block in file._blocks]
        assert all(a[1] <= b[0] for a, b in pairwise(starts))
    assert requests.bytes == total  # nothing twice


def test_buffered_reading(memory):
    data = random.Random(1).randbytes(3 << 20)
    memory.pipe_file("/file.bin", data)
    with place("memory://file.bin").open("rb") as file:
        assert file.read(10) == data[:10]
        file.seek(-100, io.SEEK_END)
        assert file.read() == data[-100:]
        file.seek(0)
        assert file.read() == data


def test_a_small_file_comes_as_a_whole_and_once(memory, requests):
    memory.pipe_file("/small.bin", bytes(5 << 20))
    for _ in range(3):
        with place("memory://small.bin").open("rb", buffering=0) as file:
            file.seek(3 << 20)
            assert file.read(10) == bytes(10)
    assert (requests.trips, requests.bytes) == (1, 5 << 20)
