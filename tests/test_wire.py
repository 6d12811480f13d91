"""Portal's wire format, against recorded bytes and against what strangers may send."""

import random
import struct
from pathlib import Path

import numpy as np
import pytest

from openloop_cli import wire

msgpack = pytest.importorskip("msgpack", reason="the extra `serve` is not installed")
PACKETS = Path(__file__).resolve().parents[2] / "shared" / "golden_log" / "packets"


def frames(data: bytes) -> list[bytes]:
    found, start = [], 0
    while start < len(data):
        length = int.from_bytes(data[start : start + 8], "little")
        found.append(data[start + 8 : start + 8 + length])
        start += 8 + length
    return found


def recorded(case: str) -> tuple[list[bytes], list[bytes]]:
    if not PACKETS.is_dir():
        pytest.skip("the recorded packets are not here")
    there = (PACKETS / f"{case}.conn1.client_to_server.bin").read_bytes()
    back = (PACKETS / f"{case}.conn1.server_to_client.bin").read_bytes()
    assert there[:16] == wire.GREETING
    return frames(there[16:]), frames(back)


def test_recorded_calls_come_out_again_byte_for_byte():
    calls, answers = recorded("calls")
    assert len(calls) == 16
    for number, body in enumerate(calls):
        request = wire.read_request(body)
        arguments = wire.unpack(request.arguments)
        assert wire.request(number, request.method, *arguments)[8:] == body
    for body in answers:
        number, status, result = wire.read_response(body)
        assert status == wire.OK
        assert wire.response(number, result)[8:] == body


@pytest.mark.parametrize(
    ("case", "status", "text"),
    [
        ("short_message", wire.TOO_SHORT, "Message too short"),
        ("undecodable_message", wire.UNDECODABLE, "Could not decode message"),
        ("unknown_method", wire.UNKNOWN_METHOD, "Unknown method nonsense"),
        ("method_raises", wire.FAILED, "Error in server method: no good: 3"),
    ],
)
def test_recorded_failures(case, status, text):
    _, answers = recorded(case)
    number, found, said = wire.read_response(answers[0])
    assert (found, said) == (status, text)
    assert wire.failure(number, status, text)[8:] == answers[0]


def test_round_trip():
    tree = {
        "scalar": np.float32(1.5),
        "text": "héllo",
        "empty text": "",
        "nothing": None,
        "bytes": b"ab",
        "list": [1, 2.5, True, {"deep": np.arange(6, dtype=">i2").reshape(2, 3)}],
        "no rows": np.zeros((0, 3), "f4"),
        "texts": np.array(["a", "bc"]),
        "strided": np.arange(10)[::2],
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    }
    found = wire.unpack(wire.pack(tree))
    assert list(found) == list(tree)
    assert found["text"] == "héllo"
    assert found["empty text"] == ""
    assert found["nothing"] is None
    assert bytes(found["bytes"]) == b"ab"
    assert found["list"][3]["deep"].dtype == ">i2"
    assert found["no rows"].shape == (0, 3)
    for name in ("scalar", "texts", "strided", "fortran"):
        np.testing.assert_array_equal(found[name], tree[name])
    with pytest.raises(ValueError, match="read-only"):
        found["strided"][0] = 1


@pytest.mark.parametrize("leaf", [np.array([object()]), 1j, np.datetime64("2020-01-01")])
def test_what_cannot_be_sent(leaf):
    with pytest.raises(wire.Refused):
        wire.pack({"x": leaf})


def packed(structure, described, *buffers: bytes) -> bytes:
    whole = [msgpack.packb(structure), msgpack.packb(described), *buffers]
    return struct.pack(f"<{len(whole) + 1}Q", len(whole), *map(len, whole)) + b"".join(whole)


@pytest.mark.parametrize(
    ("described", "buffer"),
    [
        (["sharray", [2], "<f4", "psm_1"], b"\0"),
        (["array", [1], "|O"], b"\0" * 8),
        (["array", [1], "O8"], b"\0" * 8),
        (["array", [1], "<M8[ns]"], b"\0" * 8),
        (["array", [1], "<c8"], b"\0" * 8),
        (["array", [1], "|V8"], b"\0" * 8),
        (["array", [2], "f4,f4"], b"\0" * 16),
        (["array", [2], "<f4"], b"\0" * 7),
        (["array", [2**40, 2**40], "<f4"], b"\0"),
        (["array", [-1], "<f4"], b"\0" * 4),
        (["array", [-1, -2], "<f4"], b"\0" * 8),
        (["array", [1.5], "<f4"], b"\0" * 4),
        (["array", [True], "<f4"], b"\0" * 4),
        (["array", [1] * 63 + [2], "<f4"], b"\0" * 4),
        (["array", [0], "<f4"], b"\0\0"),
        (["array", [5], "<U0"], b"\0"),
        (["array", [1], "<f99"], b"\0"),
        (["utf8"], b"\xff"),
    ],
)
def test_refused_values(described, buffer):
    with pytest.raises(wire.Refused):
        wire.unpack(packed(None, [described], buffer))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 2**63),
        struct.pack("<3Q", 2, 2**63, 2**63) + b"\xc0\x90",
        packed(None, []),
        packed([], [["none"]], b"\0"),
        packed([None, None], [["none"]], b"\0"),
        packed(3, []),
        packed(None, [["what"]], b"\0"),
        packed(None, [["none"]], b"no"),
        packed(None, [[]], b""),
        packed(None, {}, b""),
        packed({1: None}, [["none"]], b"\0"),
        struct.pack("<3Q", 2, 1, 1) + b"\xc1\x90",
        struct.pack("<3Q", 2, 5, 1) + b"\xdd\xff\xff\xff\xff" + b"\x90",
        struct.pack("<3Q", 2, 100_001, 1) + b"\x91" * 100_000 + b"\xc0" + b"\x90",
        struct.pack("<3Q", 2, 200, 1) + b"\x91" * 199 + b"\xc0" + b"\x90",
    ],
)
def test_undecodable(data):
    with pytest.raises(wire.Undecodable):
        wire.unpack(data)


def test_mutated_messages_raise_nothing_else():
    draw = random.Random(0)
    tree = {"a": np.arange(5.0), "b": "text", "c": [None, np.zeros((2, 3), "u1")]}
    taken = refused = 0
    good = wire.request(7, "add", tree)[8:]
    for _ in range(3000):
        body = bytearray(good)
        for _ in range(draw.choice([1, 1, 2, 8])):
            body[draw.randrange(len(body))] = draw.randrange(256)
        if draw.random() < 0.3:
            del body[draw.randrange(len(body)) :]
        try:
            wire.unpack(wire.read_request(bytes(body)).arguments)
            taken += 1
        except wire.MessageError:
            refused += 1
    assert taken > 100
    assert refused > 100
