"""The few globals that pickled arrays name, and what each may be called with.

Nothing is imported or called by name: a global is a marker, and calling one builds a
`StoredArray` or a dtype out of arguments that must look exactly as NumPy writes them.
Everything else is `RefusedError` (it names something else) or `MalformedError` (it does not fit).
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import ml_dtypes
import numpy as np

from openloop_cli.checkpoints.pickle.source import MalformedError, RefusedError

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_PLAIN_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|c8|c16")
# NPY_NEEDS_PYAPI, NPY_USE_GETITEM, NPY_USE_SETITEM: how bfloat16 is printed, not how it is stored.
_HARMLESS_FLAGS = 0x10 | 0x20 | 0x40
_MAX_NDIM = 32


@dataclass(frozen=True, slots=True)
class Global:
    """A marker for one name of the allow-list."""

    spelled: str
    role: str


@dataclass(slots=True)
class Payload:
    """Bytes that stay in the file; `data` too where they are short or have no place there."""

    offset: int
    stored: int
    data: bytes | None = None
    latin1: bool = False


@dataclass(slots=True)
class LongText:
    """UTF-8 text that stays in the file."""

    offset: int
    stored: int


@dataclass(slots=True)
class DType:
    """A dtype; `byte_order` arrives with BUILD, after which it is `final`."""

    base: np.dtype[Any]
    final: np.dtype[Any] | None = None


@dataclass(slots=True)
class StoredArray:
    """An array or a NumPy scalar; without a payload until BUILD."""

    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] = BFLOAT16
    order: Literal["C", "F"] = "C"
    axes: tuple[int, ...] | None = None
    payload: Payload | None = None


def _allow(role: str, name: str, *modules: str) -> dict[tuple[str, str], Global]:
    return {(module, name): Global(f"{module}.{name}", role) for module in modules}


# NumPy 2 renamed numpy.core to numpy._core; both spellings are on disks. `__builtin__.bytes`
# is how protocol 2 spells b"", the contents of an empty array.
ALLOWED: dict[tuple[str, str], Global] = {
    **_allow("reconstruct", "_reconstruct", "numpy.core.multiarray", "numpy._core.multiarray"),
    **_allow("scalar", "scalar", "numpy.core.multiarray", "numpy._core.multiarray"),
    **_allow("frombuffer", "_frombuffer", "numpy.core.numeric", "numpy._core.numeric"),
    **_allow("ndarray", "ndarray", "numpy"),
    **_allow("dtype", "dtype", "numpy"),
    **_allow("bfloat16", "bfloat16", "ml_dtypes"),
    **_allow("encode", "encode", "_codecs"),
    **_allow("bytes", "bytes", "__builtin__"),
}


def find_global(module: object, name: object) -> Global:
    """The marker for a global; everything off the list is refused by name."""
    if type(module) is not str or type(name) is not str:
        raise MalformedError("a global's name is not text")
    found = ALLOWED.get((module, name))
    if found is None:
        raise RefusedError(plain(f"{module}.{name}"))
    return found


def plain(text: str) -> str:
    """Text from a file, fit for one line of a message."""
    shown = ascii(text)[1:-1]
    return shown if len(shown) <= 120 else shown[:120] + "..."


def call(function: object, args: object) -> object:
    """What REDUCE does: NumPy's own constructors, on NumPy's own arguments, and nothing else."""
    if not isinstance(function, Global):
        raise RefusedError("a call of something that is not a function")
    action = _CALLS.get(function.role)
    if action is None or type(args) is not tuple:
        raise RefusedError(f"a call of {function.spelled}")
    result = action(args)
    if result is None:
        raise RefusedError(f"a call of {function.spelled} with unknown arguments")
    return result


def set_state(target: object, state: object) -> None:
    """What BUILD does: completes an array or a dtype, once."""
    if isinstance(target, StoredArray) and target.payload is None:
        _build_array(target, state)
    elif isinstance(target, DType) and target.final is None:
        _build_dtype(target, state)
    else:
        raise MalformedError("sets the state of something that takes none")


def _reconstruct(args: tuple[object, ...]) -> object:
    match args:
        case (Global(role="ndarray"), (0,), Payload(data=b"b")):
            return StoredArray()
    return None


def _scalar(args: tuple[object, ...]) -> object:
    match args:
        case (DType() as dtype, Payload() as payload):
            scalar = StoredArray()
            _fill(scalar, (), dtype, payload)
            return scalar
    return None


def _frombuffer(args: tuple[object, ...]) -> object:
    array = StoredArray()
    match args:
        case (Payload() as payload, DType() as dtype, shape, "C" | "F" as order):
            array.order = "F" if order == "F" else "C"
            _fill(array, shape, dtype, payload)
            return array
        # NumPy 2.3 on: contiguous in some other order of its axes.
        case (Payload() as payload, DType() as dtype, shape, "K", axes):
            _fill(array, shape, dtype, payload)
            array.axes = _permutation(axes, len(array.shape))
            array.shape = tuple(array.shape[axis] for axis in array.axes)
            return array
    return None


def _dtype(args: tuple[object, ...]) -> object:
    match args:
        # 0 and 1 stand for False and True as well: older NumPy wrote them as numbers.
        case (str() as code, 0, 1):
            if not _PLAIN_DTYPE.fullmatch(code):
                raise RefusedError(f"dtype {plain(code)}")
            return DType(np.dtype(code))
        case (Global(role="bfloat16"), 0, 1):
            return DType(BFLOAT16)
    return None


def _encode(args: tuple[object, ...]) -> object:
    match args:
        case (str() as text, "latin1"):
            try:
                data = text.encode("latin1")
            except UnicodeError as error:
                raise MalformedError("array contents are not latin1 text") from error
            return Payload(-1, len(data), data)
        case (LongText(offset=offset, stored=stored), "latin1"):
            return Payload(offset, stored, latin1=True)
    return None


def _empty_bytes(args: tuple[object, ...]) -> object:
    return Payload(-1, 0, b"") if args == () else None


_CALLS: dict[str, Callable[[tuple[object, ...]], object]] = {
    "reconstruct": _reconstruct,
    "scalar": _scalar,
    "frombuffer": _frombuffer,
    "dtype": _dtype,
    "encode": _encode,
    "bytes": _empty_bytes,
}


def _build_array(array: StoredArray, state: object) -> None:
    match state:
        case (1, shape, DType() as dtype, bool() as fortran, Payload() as payload):
            array.order = "F" if fortran else "C"
            _fill(array, shape, dtype, payload)
        case (_, _, _, _, list()):
            raise RefusedError("an array of objects")
        case _:
            raise MalformedError("the state of an array is not as NumPy writes it")


def _build_dtype(dtype: DType, state: object) -> None:
    base = dtype.base
    match state:
        case (3, ("<" | ">" | "|") as order, None, None, None, -1, -1, 0) if base != BFLOAT16:
            if (order == "|") != (base.itemsize == 1):
                raise MalformedError(f"byte order {order} does not go with dtype {base}")
            dtype.final = base if order == "|" else base.newbyteorder(order)
        case (3, "<", None, None, None, 2, 2, int() as flags) if base == BFLOAT16:
            if flags & ~_HARMLESS_FLAGS:
                raise RefusedError(f"a bfloat16 dtype with flags {flags:#x}")
            dtype.final = base
        case (_, _, _, None, None, _, _, _):
            raise MalformedError(f"the state of dtype {base} is not as NumPy writes it")
        case _:
            raise RefusedError("a structured dtype")


def _fill(array: StoredArray, shape: object, dtype: DType, payload: Payload) -> None:
    """Complete `array` if its shape and dtype ask for exactly the bytes that are there."""
    if dtype.final is None:
        raise MalformedError("a dtype is used before its byte order is known")
    array.shape = lengths = _shape(shape)
    array.dtype, array.payload = dtype.final, payload
    need = math.prod(lengths) * array.dtype.itemsize
    # Each latin1 byte is one or two bytes of UTF-8; reading it tells which.
    most = 2 * need if payload.latin1 else need
    if not need <= payload.stored <= most:
        raise MalformedError(
            f"shape {_shown(lengths)} of {array.dtype} needs {need} bytes, found {payload.stored}"
        )


def _shape(value: object) -> tuple[int, ...]:
    if type(value) is not tuple or len(value) > _MAX_NDIM:
        raise MalformedError(f"a shape is not a tuple of at most {_MAX_NDIM} lengths")
    if not all(type(length) is int and length >= 0 for length in value):
        raise MalformedError("a shape holds something else than lengths")
    # NumPy multiplies the lengths of an empty array too, in 64 bits.
    if math.prod(max(1, length) for length in value) >= 1 << 58:
        raise MalformedError(f"shape {_shown(value)} is beyond any memory")
    return value


def _shown(shape: tuple[int, ...]) -> str:
    return plain(str(shape))


def _permutation(axes: object, ndim: int) -> tuple[int, ...]:
    if type(axes) is not tuple or not all(type(axis) is int for axis in axes):
        raise MalformedError("an order of axes is not a tuple of numbers")
    if sorted(axes) != list(range(ndim)):
        raise MalformedError("an order of axes is not a permutation")
    return axes
