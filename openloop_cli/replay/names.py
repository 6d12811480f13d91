"""What a chunk's file name says: `<time>-<uuid>-<succ>-<length>.npz`.

`<uuid>` and `<succ>` are 128-bit numbers in base 62 (digits, lower case, upper case); `<succ>`
names the next chunk of the same stream and is 0 where there is none.
"""

import re
import string
from dataclasses import dataclass
from pathlib import Path

_DIGITS = string.digits + string.ascii_lowercase + string.ascii_uppercase
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_WIDTH = 22  # 62 ** 22 is the first power beyond 2 ** 128
_NAME = re.compile(r"([0-9A-Za-z]+)-([0-9A-Za-z]{1,22})-([0-9A-Za-z]{1,22})-([0-9]{1,9})\.npz")


@dataclass(frozen=True)
class ChunkInfo:
    """One chunk, as its file name tells it; uuids are spelled as in the name."""

    path: Path
    time: str
    uuid: str
    succ: str
    length: int


def parse_name(path: Path) -> ChunkInfo | None:
    """The chunk that a path names, or None where the name is not a chunk's."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    time, uuid, succ, length = match.groups()
    # Saving skips empty chunks, so a length of 0 is somebody else's file.
    if int(length) == 0 or uuid_bytes(uuid) is None or uuid_bytes(succ) is None:
        return None
    return ChunkInfo(path, time, uuid, succ, int(length))


def same_spelling(uuid: str) -> str:
    """One spelling for each uuid: padded with zeros to the full width."""
    return uuid.rjust(_WIDTH, "0")


def uuid_bytes(uuid: str) -> bytes | None:
    """The 16 bytes of a uuid in base 62, or None where it does not fit into them."""
    number = 0
    for digit in uuid:
        number = number * 62 + _VALUES[digit]
    return number.to_bytes(16, "big") if number < 1 << 128 else None


def uuid_text(raw: bytes) -> str:
    """16 bytes in base 62, as file names spell them."""
    number = int.from_bytes(raw, "big")
    digits = ""
    while number:
        number, value = divmod(number, 62)
        digits = _DIGITS[value] + digits
    return same_spelling(digits)
