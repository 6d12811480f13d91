"""The output serve://: nothing waits for a server, and nothing is lost or counted twice."""

import socket
import threading

import numpy as np
import pytest

from openloop_cli.errors import OptionError
from openloop_cli.loggers.serve import ServeOutput, address
from tests.serve.harness import serving

pytest.importorskip("msgpack", reason="the extra `serve` is not installed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_entries_arrive_as_they_were_given(tmp_path):
    video = np.arange(2 * 4 * 4 * 3, dtype="u1").reshape(2, 4, 4, 3)
    with serving(tmp_path / "server") as running:
        output = ServeOutput(*running.address, folder=tmp_path / "spool")
        output.write([(3, "a", 1.5), (4, "b", "text"), (3, "a", 2.5), (5, "c", video)])
        output.write([(6, "a", 3.5)])
        output.close()
        running.flush()
    assert [(s, float(v)) for s, v in running.values("a")] == [(3, 1.5), (3, 2.5), (6, 3.5)]
    assert running.values("b") == [(4, "text")]
    np.testing.assert_array_equal(running.values("c")[0][1], video)
    assert list((tmp_path / "spool").glob("*")) == []


def test_what_waits_while_no_server_is_there_goes_to_disk_and_comes_later(tmp_path):
    port, told = free_port(), []
    first = ServeOutput(
        "127.0.0.1",
        port,
        folder=tmp_path / "spool",
        queue_bytes=500,
        patience=0.2,
        tell=told.append,
    )
    for n in range(50):
        first.write([(n, "a", float(n))])
    first.close()
    assert "kept in" in told[-1]
    assert "50 messages" in told[-1]
    with serving(tmp_path / "server", port=port) as running:
        second = ServeOutput("127.0.0.1", port, folder=tmp_path / "spool")
        second.write([(99, "a", 99.0)])
        second.close()
        running.flush()
    assert [s for s, _ in running.values("a")] == [*range(50), 99]
    assert list((tmp_path / "spool").glob("*")) == []


def test_a_server_that_restarts_gets_each_entry_once(tmp_path):
    port = free_port()
    output = ServeOutput("127.0.0.1", port, folder=tmp_path / "spool", queue_bytes=2000)
    seen = []
    written = threading.Event()

    def write():
        for n in range(600):
            output.write([(n, "a", float(n))])
        written.set()

    thread = threading.Thread(target=write)
    thread.start()
    for _ in range(3):
        with serving(tmp_path / "server", port=port) as running:
            reached = len(seen)
            for _ in range(1000):
                if running.server.status()["metrics"] or written.is_set():
                    break
                written.wait(0.01)
        seen += [s for s, _ in running.values("a")]
        assert len(seen) >= reached
    thread.join()
    with serving(tmp_path / "server", port=port) as running:
        output.close()
    seen += [s for s, _ in running.values("a")]
    assert seen == list(range(600))


def test_the_token_is_sent_first_and_lies_in_no_file(tmp_path):
    with serving(tmp_path / "server", token="secret") as running:
        output = ServeOutput(*running.address, token="secret", folder=tmp_path / "spool")
        output.write([(1, "a", 1.0)])
        output.close()
    assert len(running.values("a")) == 1
    files = [x for x in (tmp_path / "server").rglob("*") if x.is_file()]
    assert not any(b"secret" in x.read_bytes() for x in files)


def test_what_cannot_be_sent_is_told_and_the_rest_goes_on(tmp_path):
    told = []
    with serving(tmp_path / "server") as running:
        output = ServeOutput(*running.address, folder=tmp_path / "spool", tell=told.append)
        output.write([(1, "bad", np.array([object()])), (1, "good", 1.0)])
        output.close()
    assert "bad" in told[0]
    assert output.lost == 1
    assert len(running.values("good")) == 1


def test_many_threads(tmp_path):
    with serving(tmp_path / "server") as running:
        output = ServeOutput(*running.address, folder=tmp_path / "spool", queue_bytes=3000)
        threads = [
            threading.Thread(
                target=lambda i=i: [output.write([(n, f"t{i}", 1.0)]) for n in range(50)]
            )
            for i in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        output.close()
    for i in range(4):
        assert [s for s, _ in running.values(f"t{i}")] == list(range(50))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host:1", ("host", 1)),
        ("serve://host:1", ("host", 1)),
        ("[::1]:22", ("::1", 22)),
        ("2222", ("127.0.0.1", 2222)),
    ],
)
def test_addresses(text, expected):
    assert address(text) == expected


@pytest.mark.parametrize("text", ["", "host", "host:", "host:x", "host:70000", "host:-1"])
def test_no_addresses(text):
    with pytest.raises(OptionError):
        address(text)
