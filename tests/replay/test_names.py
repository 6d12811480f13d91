from pathlib import Path

import pytest

from openloop_cli.replay.names import ChunkInfo, parse_name, same_spelling, uuid_bytes, uuid_text

GENUINE = "20261120T131046F775189-7rSKZMkVTqKAkZoEjsTjbo-4oWM5gdkSUdWPTRM9LdJ0U-64.npz"


def test_a_genuine_name():
    path = Path("somewhere") / GENUINE
    assert parse_name(path) == ChunkInfo(
        path, "20261120T131046F775189", "7rSKZMkVTqKAkZoEjsTjbo", "4oWM5gdkSUdWPTRM9LdJ0U", 64
    )


@pytest.mark.parametrize(
    "name",
    [
        "foo.npz",
        GENUINE.replace("-64", "-0"),
        GENUINE.replace("-64", ""),
        GENUINE.replace("-64", "--64"),
        GENUINE.replace("-64", "-6x"),
        GENUINE.replace("-64", "-٦٤"),
        GENUINE.replace("-64", "-" + 10 * "9"),
        GENUINE.replace(".npz", ".npz.tmp"),
        GENUINE.replace(".npz", ".zip"),
        GENUINE.replace("7rSKZMkVTqKAkZoEjsTjbo", "7rSKZMkVTqKAkZoEjsTjb_"),
        GENUINE.replace("7rSKZMkVTqKAkZoEjsTjbo", 22 * "Z"),  # 2 ** 128 and more
        GENUINE.replace("4oWM5gdkSUdWPTRM9LdJ0U", 22 * "Z"),
        GENUINE + "\n",
    ],
)
def test_other_names(name):
    assert parse_name(Path(name)) is None


def test_uuids_in_base_62():
    # Digits, lower case, upper case, in this order.
    assert uuid_bytes("10") == (62).to_bytes(16, "big")
    assert uuid_bytes("aA") == (10 * 62 + 36).to_bytes(16, "big")
    assert uuid_text((61).to_bytes(16, "big")) == "Z".rjust(22, "0")
    for number in (0, 1, 61, 62, 2**64 - 1, 2**127 + 12345, 2**128 - 1):
        raw = number.to_bytes(16, "big")
        assert uuid_bytes(uuid_text(raw)) == raw
        assert len(uuid_text(raw)) == 22
    assert uuid_bytes(uuid_text(b"\xff" * 16)[:-1] + "Z") is None


def test_leading_zeros_do_not_matter():
    assert same_spelling("7b") == same_spelling("007b") != same_spelling("7B")
