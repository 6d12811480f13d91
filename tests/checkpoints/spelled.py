"""Pickles spelled by hand, where no pickler would write them."""

from pathlib import Path


def write(folder: Path, data: bytes) -> Path:
    """A complete checkpoint of one file; the file."""
    (folder / "done").touch()
    file = folder / "agent.pkl"
    file.write_bytes(data)
    return file


MINUS_ONE = b"J\xff\xff\xff\xff"
DTYPE_I4 = (
    b"cnumpy\ndtype\nX\x02\x00\x00\x00i4\x89\x88\x87R"
    b"(K\x03X\x01\x00\x00\x00<NNN" + MINUS_ONE + MINUS_ONE + b"K\x00tb"
)


def with_param(body: bytes, protocol: int = 4) -> bytes:
    """{'params': {'a': <body>}}, spelled by hand."""
    return b"\x80" + bytes([protocol]) + b"}\x8c\x06params}\x8c\x01a" + body + b"ss."


def array_body(
    shape: bytes = b"K\x02\x85", dtype: bytes = DTYPE_I4, data: bytes = b"C\x08" + bytes(8),
    version: bytes = b"K\x01", fortran: bytes = b"\x89", reconstruct: bytes = b"K\x00\x85C\x01b",
) -> bytes:  # fmt: skip
    begin = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + reconstruct + b"\x87R"
    return begin + b"(" + version + shape + dtype + fortran + data + b"tb"


def dtype_body(code: bytes, state: bytes) -> bytes:
    return b"cnumpy\ndtype\n\x8c" + bytes([len(code)]) + code + b"\x89\x88\x87R(" + state + b"tb"
