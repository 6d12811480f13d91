"""A stack machine for the pickle instructions that hold data; it never builds an object.

Each instruction is a small function on the `Machine`; `_ACTIONS` is the whole of what is
understood, and `_REFUSED` only gives names to what is not.
"""

import struct
from collections.abc import Callable

from openloop_cli.checkpoints.pickle.source import ByteSource, MalformedError, RefusedError
from openloop_cli.checkpoints.pickle.values import (
    LongText,
    Payload,
    call,
    find_global,
    plain,
    set_state,
)

# A parameter takes about 30 instructions; 400 million parameters come in a few hundred arrays.
MAX_OPCODES = 1_000_000
# Text up to here is decoded (names are short), bytes up to there are kept (scalars are shorter).
_SHORT_TEXT = 1024
_SHORT_BYTES = 32


class Machine:
    """The stack, the marks on it, and the memo."""

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self.stack: list[object] = []
        self.below: list[list[object]] = []  # one stack for each open mark
        self.memo: dict[int, object] = {}
        self.frame_end = source.size
        self.opcode_start = 0

    def run(self) -> object:
        """Everything up to STOP; the one value that is left."""
        source = self.source
        byte = source.byte
        for _ in range(MAX_OPCODES):
            self.opcode_start = source.pos
            if source.pos >= self.frame_end:
                self._leave_frame()
            code = byte()
            if code == STOP:
                return self._finish()
            action = _ACTIONS.get(code)
            if action is None:
                raise RefusedError(_REFUSED.get(code, f"instruction {code:#04x}"))
            action(self)
        raise MalformedError(f"more than {MAX_OPCODES} instructions")

    def _leave_frame(self) -> None:
        if self.source.pos > self.frame_end:
            raise MalformedError("an instruction runs over the end of its frame")
        self.frame_end = self.source.size

    def _finish(self) -> object:
        value = self.pop()
        if self.stack or self.below:
            raise MalformedError("stops with unused values")
        if self.source.pos != self.source.size:
            raise MalformedError(f"{self.source.size - self.source.pos} bytes after the end")
        return value

    def push(self, value: object) -> None:
        """Put one value on the stack."""
        self.stack.append(value)

    def pop(self) -> object:
        """Take one value, never from below the mark."""
        if not self.stack:
            raise MalformedError("takes a value that is not there")
        return self.stack.pop()

    def top(self) -> object:
        """The value that the next pop would take."""
        if not self.stack:
            raise MalformedError("takes a value that is not there")
        return self.stack[-1]

    def pop_to_mark(self) -> list[object]:
        """All values since the newest mark, which goes too."""
        if not self.below:
            raise MalformedError("takes a mark that is not there")
        items, self.stack = self.stack, self.below.pop()
        return items

    def remember(self, index: int) -> None:
        """Write the memo; no pickler writes an entry twice."""
        if index in self.memo:
            raise MalformedError(f"memo {index} is written twice")
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        """Push what the memo holds: the same object, no copy."""
        if index not in self.memo:
            raise MalformedError(f"memo {index} was never written")
        self.stack.append(self.memo[index])

    def where(self) -> str:
        """`, in params/dyn/dynin0/kernel`: the keys of the dicts that are still open."""
        keys: list[str] = []
        for level in (*self.below, self.stack)[:8]:
            keys += _open_keys(level)
            if not level or type(level[-1]) is not dict:
                break
        return f", in {'/'.join(keys)}" if keys else ""


def _open_keys(level: list[object]) -> list[str]:
    """The keys that lead from this piece of the stack to the value that is being made."""
    # Behind a mark keys and values alternate and the last key is the open one. A dict that
    # fills itself item by item lies on the stack before its key: then each key is open.
    unmarked = bool(level) and type(level[0]) is dict
    keys: list[str] = []
    for item in level[1 if unmarked else 0 :: 2]:
        if type(item) is not str:
            break
        keys = [*keys, plain(item)][-8:] if unmarked else [plain(item)]
    return keys


def _proto(machine: Machine) -> None:
    machine.source.take(1)
    if machine.opcode_start:
        raise MalformedError("a second header")


def _frame(machine: Machine) -> None:
    source = machine.source
    length = source.number(8)
    if machine.frame_end != source.size:
        raise MalformedError("a frame inside a frame")
    if length > source.size - source.pos:
        raise MalformedError(f"a frame of {length} bytes, {source.size - source.pos} left")
    machine.frame_end = source.pos + length


def _mark(machine: Machine) -> None:
    machine.below.append(machine.stack)
    machine.stack = []


def _payload(width: int) -> Callable[[Machine], None]:
    def action(machine: Machine) -> None:
        source = machine.source
        length = source.number(width)
        if length <= _SHORT_BYTES:
            machine.push(Payload(source.pos, length, source.take(length)))
        else:
            machine.push(Payload(source.skip(length), length))

    return action


def _text(width: int) -> Callable[[Machine], None]:
    def action(machine: Machine) -> None:
        source = machine.source
        length = source.number(width)
        if length > _SHORT_TEXT:
            machine.push(LongText(source.skip(length), length))
            return
        try:
            machine.push(source.take(length).decode("utf-8"))
        except UnicodeError as error:
            raise MalformedError("text that is not UTF-8") from error

    return action


def _global(machine: Machine) -> None:
    module, name = machine.source.line(256), machine.source.line(256)
    machine.push(find_global(module.decode("latin1"), name.decode("latin1")))


def _stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.push(find_global(module, name))


def _reduce(machine: Machine) -> None:
    args, function = machine.pop(), machine.pop()
    machine.push(call(function, args))


def _build(machine: Machine) -> None:
    state = machine.pop()
    set_state(machine.top(), state)


def _tuple(length: int) -> Callable[[Machine], None]:
    def action(machine: Machine) -> None:
        stack = machine.stack
        if len(stack) < length:
            raise MalformedError("takes a value that is not there")
        stack[-length:] = [tuple(stack[-length:])]

    return action


def _extend(machine: Machine, items: list[object]) -> None:
    target = machine.top()
    if type(target) is not list:
        raise MalformedError("appends to something that is not a list")
    target.extend(items)


def _update(machine: Machine, items: list[object]) -> None:
    target = machine.top()
    if type(target) is not dict or len(items) % 2:
        raise MalformedError("sets the items of something that is not a dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # Other keys can be made to collide, or take for ever to hash.
        if type(key) is not str and not (type(key) is int and abs(key) < 1 << 31):
            raise MalformedError("a key is neither text nor a small number")
        if key in target:
            raise MalformedError(f"{plain(str(key))} is there twice")
        target[key] = value


def _setitem(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _update(machine, [key, value])


def _long(width: int) -> Callable[[Machine], None]:
    def action(machine: Machine) -> None:
        length = machine.source.number(width)
        if length > 255:
            raise MalformedError(f"a number of {length} bytes")
        machine.push(int.from_bytes(machine.source.take(length), "little", signed=True))

    return action


STOP = ord(".")
_ACTIONS: dict[int, Callable[[Machine], None]] = {
    0x80: _proto,
    0x95: _frame,
    ord("("): _mark,
    ord("N"): lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    ord("J"): lambda m: m.push(int.from_bytes(m.source.take(4), "little", signed=True)),
    ord("K"): lambda m: m.push(m.source.byte()),
    ord("M"): lambda m: m.push(m.source.number(2)),
    0x8A: _long(1),
    0x8B: _long(4),
    ord("G"): lambda m: m.push(struct.unpack(">d", m.source.take(8))[0]),
    0x8C: _text(1),
    ord("X"): _text(4),
    0x8D: _text(8),
    ord("C"): _payload(1),
    ord("B"): _payload(4),
    0x8E: _payload(8),
    0x96: _payload(8),  # BYTEARRAY8
    ord(")"): lambda m: m.push(()),
    0x85: _tuple(1),
    0x86: _tuple(2),
    0x87: _tuple(3),
    ord("t"): lambda m: m.push(tuple(m.pop_to_mark())),
    ord("]"): lambda m: m.push([]),
    ord("a"): lambda m: _extend(m, [m.pop()]),
    ord("e"): lambda m: _extend(m, m.pop_to_mark()),
    ord("}"): lambda m: m.push({}),
    ord("s"): _setitem,
    ord("u"): lambda m: _update(m, m.pop_to_mark()),
    0x94: lambda m: m.remember(len(m.memo)),
    ord("q"): lambda m: m.remember(m.source.byte()),
    ord("r"): lambda m: m.remember(m.source.number(4)),
    ord("h"): lambda m: m.recall(m.source.byte()),
    ord("j"): lambda m: m.recall(m.source.number(4)),
    ord("c"): _global,
    0x93: _stack_global,
    ord("R"): _reduce,
    ord("b"): _build,
}
_REFUSED = {
    ord("i"): "INST (makes an object)",
    ord("o"): "OBJ (makes an object)",
    0x81: "NEWOBJ (makes an object)",
    0x92: "NEWOBJ_EX (makes an object)",
    ord("P"): "PERSID (an object kept elsewhere)",
    ord("Q"): "BINPERSID (an object kept elsewhere)",
    0x82: "EXT1 (a registered object)",
    0x83: "EXT2 (a registered object)",
    0x84: "EXT4 (a registered object)",
    0x97: "NEXT_BUFFER (an array kept outside the file)",
    0x98: "READONLY_BUFFER (an array kept outside the file)",
    0x8F: "EMPTY_SET (a set)",
    0x90: "ADDITEMS (a set)",
    0x91: "FROZENSET (a set)",
}
