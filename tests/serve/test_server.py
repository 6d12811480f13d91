"""The server, with the reference's own client and with strangers."""

import json
import pickle
import random
import socket
import struct
import threading

import numpy as np
import pytest

from openloop_cli import wire
from openloop_cli.serve.connection import Bounds
from openloop_cli.serve.server import Every
from openloop_cli.serve.state import State
from tests.serve.harness import Peer, messages, rows, serving, tree

pytest.importorskip("msgpack", reason="the extra `serve` is not installed")


@pytest.fixture
def portal_client():
    portal = pytest.importorskip(
        "portal", reason="portal, the reference's client, is not installed"
    )
    clients = []

    def connect(address, **options):
        clients.append(portal.Client(f"{address[0]}:{address[1]}", **options))
        return clients[-1]

    yield connect
    for client in clients:
        client.close(timeout=1)


def test_the_recorded_parallel_run_sent_again(shared, tmp_path, portal_client):
    """Every name that the reference wrote is there, at the last step that it reached."""
    folder = shared / "golden_log" / "parallel"
    recorded = messages(folder / "messages.jsonl.gz")
    assert len(recorded) == 461
    with serving(tmp_path) as running:
        client = portal_client(running.address, maxinflight=64)
        futures = [
            getattr(client, message["method"])(*map(tree, message["args"])) for message in recorded
        ]
        assert all(future.result(timeout=60) is None for future in futures)
        running.flush()
        assert running.told == []
    wrote = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    names = {name for line in wrote for name in line} - {"step"}
    ours = {name for _, name, _ in running.entries}
    assert running.server.step == max(line["step"] for line in wrote) == 350
    usage = {name for name in names if name.startswith("usage/logger/")}
    assert names - usage <= ours
    assert {"report/openloop/image", "eval/openloop/image", "timer/agent"} <= ours
    for name in ("train/loss/dyn", "replay/items", "fps/policy"):
        sent = [
            float(value)
            for m in recorded
            if m["method"] == "add"
            for key, value in tree(m["args"][0]).items()
            if key == name
        ]
        np.testing.assert_array_equal([float(v) for _, v in running.values(name)], sent)


def test_recorded_packets_are_answered_byte_for_byte(shared, tmp_path):
    for case in ("short_message", "undecodable_message", "unknown_method_errors_off"):
        there = shared / "golden_log" / "packets" / f"{case}.conn1.client_to_server.bin"
        back = shared / "golden_log" / "packets" / f"{case}.conn1.server_to_client.bin"
        expected = back.read_bytes()
        first = 8 + int.from_bytes(expected[:8], "little")
        with serving(tmp_path / case) as running, Peer(running.address, greet=False) as peer:
            data = there.read_bytes()
            if case == "undecodable_message":
                # Its method is one that only the recorded server had.
                data = data.replace(b"echo", b"tran")
            peer.socket.sendall(data)
            assert peer.read(first) == expected[:first]


def test_bad_metrics_are_answered_dropped_counted_and_told(tmp_path, portal_client):
    bad = [
        ("add", {f"m{i}": 1.0 for i in range(1001)}),
        ("add", {"x" * 201: 1.0}),
        ("add", {"x": np.zeros((1,) * 5)}),
        ("add", {"x": None}),
        ("add", {"x": {"y": 1.0}}),
        ("add", [1.0]),
        ("tran", {"envid": np.zeros(2)}),
        ("tran", {**rows([0]), "reward": np.zeros(2)}),
    ]
    with serving(tmp_path) as running:
        client = portal_client(running.address)
        for method, argument in bad:
            assert getattr(client, method)(argument).result(timeout=30) is None
        assert client.add({"good": 2.0}).result(timeout=30) is None
        status = running.server.status()
        assert status["dropped"]["refused"] == len(bad)
        assert status["metrics"] == 1
        assert running.told[0].startswith("127.0.0.1:")
        assert len(running.told) == 1  # of one kind and sender one line in ten seconds
    assert [float(v) for _, v in running.values("good")] == [2.0]


def test_shared_memory_is_refused_and_the_sender_goes_on(tmp_path):
    msgpack = pytest.importorskip("msgpack")
    parts = [
        msgpack.packb([{"x": None}]),
        msgpack.packb([["sharray", [2], "<f4", "psm_x"]]),
        b"\0",
    ]
    packed = struct.pack("<4Q", 3, *map(len, parts)) + b"".join(parts)
    head = struct.pack("<QQ", 5, 3) + b"add"
    with serving(tmp_path) as running, Peer(running.address) as peer:
        peer.socket.sendall(wire.frame(head, packed))
        assert peer.answer() == (wire.OK, None)
        assert "shared memory" in running.told[0]


def test_metrics_alone_are_flushed_and_the_step_is_restored(tmp_path):
    with serving(tmp_path) as running, Peer(running.address) as peer:
        peer.call("tran", rows([0, 1], first=True))
        peer.call("tran", rows([2], first=True, evaluation=True))
        running.flush()
        before = len(running.entries)
        peer.call("add", {"only": 1.0})
        running.flush()
        assert running.values("only") == [(2, 1.0)]
        assert len(running.entries) > before
        peer.call("add", {"last": 1.0})
    assert running.values("last") == [(2, 1.0)]  # at the end too
    with serving(tmp_path) as again:
        assert again.server.step == 2
    latest = (tmp_path / "ckpt" / "logger" / "latest").read_text()
    assert pickle.loads((tmp_path / "ckpt" / "logger" / latest / "step.pkl").read_bytes()) == 2
    assert (tmp_path / "ckpt" / "logger" / latest / "done").read_bytes() == b""


def test_a_message_that_comes_again_is_counted_once_also_after_a_restart(tmp_path):
    message = ("me", 4, np.array([10, 11]), ["a", "b"], [1.5, "text"])
    with serving(tmp_path) as running, Peer(running.address) as peer:
        for _ in range(3):
            assert peer.call("write", *message) == (wire.OK, None)
        assert running.server.status()["repeated"] == 2
    assert running.values("a") == [(10, 1.5)]
    with serving(tmp_path) as again, Peer(again.address) as peer:
        assert peer.call("write", *message) == (wire.OK, None)
    assert again.values("a") == []


def test_the_journal_brings_back_what_was_answered_and_not_written(tmp_path):
    body = wire.request(0, "write", "me", 0, np.array([3]), ["a"], [1.0])[8:]
    state = State(tmp_path)
    assert state.keep(body)
    with (tmp_path / "journal").open("ab") as file:
        file.write(b"torn")
    with serving(tmp_path) as running:
        running.flush()
        assert running.values("a") == [(3, 1.0)]
    with serving(tmp_path) as again:
        again.flush()
    assert again.values("a") == []


def test_a_dead_output_and_a_full_disk_are_told_and_service_goes_on(tmp_path):
    def broken(entries):
        raise OSError(28, "No space left on device")

    with serving(tmp_path, write=broken) as running, Peer(running.address) as peer:
        peer.call("add", {"x": 1.0})
        running.flush()
        assert "No space left" in running.told[0]
        assert peer.call("add", {"x": 1.0}) == (wire.OK, None)


def test_token(tmp_path):
    with serving(tmp_path, token="secret") as running, Peer(running.address) as peer:
        message = ("me", 0, np.array([1]), ["a"], [1.0])
        status, text = peer.call("write", *message)
        assert status == wire.OK
        assert "token" in text
        peer.call("token", "wrong")
        assert "token" in peer.call("write", *message)[1]
        peer.call("token", "secret")
        assert peer.call("write", *message) == (wire.OK, None)
        status, text = peer.call("status")
        assert json.loads(text)["metrics"] == 1
        # The reference's clients cannot send one.
        assert peer.call("add", {"x": 1.0}) == (wire.OK, None)


def test_what_comes_after_a_message_that_did_not_fit_waits_for_it(tmp_path):
    large = ("me", 0, np.array([1]), ["a"], [np.zeros(2000)])
    small = ("me", 1, np.array([2]), ["b"], [1.0])
    bounds = Bounds(queue_bytes=20_000)
    with serving(tmp_path, bounds=bounds) as running, Peer(running.address) as peer:
        peer.call("add", {"x": np.zeros(1000)})
        assert peer.call("write", *large)[0] == wire.FAILED
        assert peer.call("write", *small)[0] == wire.FAILED
        running.flush()
        assert peer.call("write", *large)[0] == wire.OK
        assert peer.call("write", *small)[0] == wire.OK
    assert [step for step, _ in running.values("a") + running.values("b")] == [1, 2]


def test_lengths_and_greetings_that_are_none(tmp_path):
    with serving(tmp_path) as running:
        for data in (b"GET / HTTP/1.1\r\n", wire.GREETING + b"\xff" * 8, wire.GREETING + bytes(8)):
            with Peer(running.address, greet=False) as peer:
                peer.socket.sendall(data)
                with pytest.raises(ConnectionError):
                    peer.read(1)
        with Peer(running.address) as peer:
            assert peer.call("add", {"x": 1.0}) == (wire.OK, None)
        assert running.server.dropped == {"greeting": 1, "length": 2}


def test_a_slow_writer_costs_nobody_and_is_given_up(tmp_path):
    bounds = Bounds(message=0.3, greeting=0.3)
    with serving(tmp_path, bounds=bounds) as running, Peer(running.address) as slow:
        silent = Peer(running.address, greet=False)
        slow.socket.sendall((1 << 26).to_bytes(8, "little") + b"x")
        with Peer(running.address) as peer:
            assert peer.call("add", {"x": 1.0}) == (wire.OK, None)
            for gone in (slow, silent):
                with pytest.raises(ConnectionError):
                    gone.read(1)
            # Who has nothing to say is left alone.
            assert peer.call("add", {"x": 1.0}) == (wire.OK, None)
        silent.socket.close()


def test_incomplete_messages_are_bounded_together(tmp_path):
    bounds = Bounds(partial_bytes=4 << 20, message_bytes=2 << 20)
    with serving(tmp_path, bounds=bounds) as running:
        peers = [Peer(running.address) for _ in range(5)]
        for peer in peers:
            try:
                peer.socket.sendall((2 << 20).to_bytes(8, "little") + bytes((2 << 20) - 1))
            except ConnectionError:
                continue
        with Peer(running.address) as honest:
            assert honest.call("add", {"x": 1.0}) == (wire.OK, None)
        with pytest.raises(ConnectionError):
            peers[0].read(1)
        assert running.server.traffic.partial <= 4 << 20
        for peer in peers:
            peer.socket.close()


def test_a_peer_that_reads_no_answers_is_not_read_from(tmp_path):
    with serving(tmp_path) as running, Peer(running.address) as deaf:
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.socket.settimeout(0.5)
        call = wire.request(0, "add", {"x": 1.0}) * 1000
        with pytest.raises(TimeoutError):
            deaf.socket.sendall(call * 500)
        with Peer(running.address) as peer:
            assert peer.call("add", {"x": 1.0}) == (wire.OK, None)


def test_mutated_messages(tmp_path):
    draw = random.Random(1)
    good = [
        wire.request(1, "tran", rows([0, 1], first=True, image=np.zeros((2, 4, 4, 3), "u1"))),
        wire.request(2, "add", {"a": np.zeros(3), "b": "text"}),
        wire.request(3, "write", "me", 1, np.array([3]), ["a"], [1.0]),
    ]
    with serving(tmp_path) as running, Peer(running.address) as honest:
        for n in range(500):
            data = bytearray(draw.choice(good))
            for _ in range(draw.choice([1, 2, 8])):
                data[draw.randrange(0 if n % 5 == 0 else 8, len(data))] = draw.randrange(256)
            with Peer(running.address) as peer:
                peer.socket.sendall(data)
            if n % 20 == 0:
                assert honest.call("add", {"x": 1.0}) == (wire.OK, None)
        assert honest.call("add", {"x": 1.0}) == (wire.OK, None)
        running.flush()
        assert len(running.values("x")) == 26
        assert "failed" not in running.server.dropped, running.told


def test_many_connections_at_once(tmp_path):
    count = 200
    with serving(tmp_path, bounds=Bounds(connections=count)) as running:
        peers = [Peer(running.address) for _ in range(count)]
        assert all(peer.call("add", {"x": 1.0}) == (wire.OK, None) for peer in peers)
        with Peer(running.address) as more, pytest.raises(ConnectionError):
            more.read(1)
        for peer in peers:
            peer.socket.close()
    assert len(running.values("x")) == count


def test_portal_clients_side_by_side(tmp_path, portal_client):
    def send(client, base):
        futures = []
        for n in range(100):
            first, last = n % 10 == 0, n % 10 == 9
            image = np.zeros((2, 16, 16, 3), "u1")
            call = rows([base, base + 1], first=first, last=last, image=image)
            futures.append(client.tran(call))
        for future in futures:
            future.result(timeout=60)

    with serving(tmp_path, every=Every(log=0.2, save=0.3)) as running:
        clients = [portal_client(running.address, maxinflight=8) for _ in range(4)]
        threads = [
            threading.Thread(target=send, args=(client, 2 * i)) for i, client in enumerate(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert running.server.step == 800
    assert [v for _, v in running.values("episode/score")] == [10.0] * 80
    assert sum(v for _, v in running.values("parallel/ep_ends")) == 80
