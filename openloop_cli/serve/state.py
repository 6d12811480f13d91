"""What survives a restart of the server, in a folder of its own.

    <folder>/ckpt/logger/<time>/step.pkl, done   the step, in the reference's form
    <folder>/ckpt/logger/latest
    <folder>/state.json                          at each flush the step, our own clients' numbers
    <folder>/journal                             what our own clients sent since the last flush,
    <folder>/journal.writing                     and what a flush is writing at the moment

A message of our own clients is in the journal before it is answered, so a hard kill loses none of
them. After each flush the numbers are saved, and then its part of the journal goes: a message in
it whose number is saved already is passed over. What is left is one gap: a kill between the
outputs' writing and the saving of the numbers writes that interval's messages once more.

The journal is a row of `uint64 length, uint32 CRC-32, bytes`; what is torn at its end is left out.
"""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from openloop_cli.checkpoints.pickle.reader import index_pickle
from openloop_cli.errors import CheckpointError, OutputError
from openloop_cli.storage.atomic import write_bytes, write_text
from openloop_cli.storage.framed import framed, messages

MOST_JOURNAL = 1 << 30
JOURNAL, WRITING = "journal", "journal.writing"


class State:
    """The folder of one server.

    Raises:
      OutputError: It cannot be written.
      CheckpointError: What lies there is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
        self.step, self.numbers = self._read()
        self._journal: Any = None
        self.journal_bytes = 0

    def save(self, step: int, numbers: dict[str, int]) -> None:
        """The step and the numbers, at a flush."""
        self.step = max(self.step, step)  # it never goes backwards
        text = json.dumps({"version": 1, "step": self.step, "clients": numbers})
        write_text(self.folder / "state.json", text)

    def save_step(self) -> None:
        """The step as the reference saves it, one copy kept."""
        top = self.folder / "ckpt" / "logger"
        name = time.strftime("%Y%m%dT%H%M%S") + f"F{time.time_ns() // 1000 % 1_000_000:06d}"
        write_bytes(top / name / "step.pkl", pickled(self.step))
        write_bytes(top / name / "done", b"")
        write_text(top / "latest", name)
        for old in top.iterdir():
            if old.is_dir() and old.name != name and (old / "step.pkl").exists():
                for file in ("done", "step.pkl"):
                    (old / file).unlink(missing_ok=True)
                with suppress(OSError):  # somebody else's files in it
                    old.rmdir()

    def keep(self, body: bytes) -> bool:
        """Appends a message to the journal; False if it is full or cannot be written."""
        if self.journal_bytes + len(body) > MOST_JOURNAL:
            return False
        record = framed(body)
        try:
            if self._journal is None:
                self._journal = (self.folder / JOURNAL).open("ab", buffering=0)
            before = self._journal.tell()
            if self._journal.write(record) != len(record):
                self._journal.truncate(before)
                return False
        except OSError:
            return False
        self.journal_bytes += len(record)
        return True

    def rotate(self) -> None:
        """From here on messages go to a new journal; `forget` will drop those before."""
        if self._journal is not None:
            self._journal.close()
            self._journal, self.journal_bytes = None, 0
            _append(self.folder / JOURNAL, self.folder / WRITING)

    def forget(self) -> None:
        """Drops the messages that were in the journal at the last `rotate`."""
        (self.folder / WRITING).unlink(missing_ok=True)

    def kept(self) -> Iterator[bytes]:
        """The messages of both journals, as a killed server left them; what is torn is left out.
        They stay until the next `forget`."""
        whole = [body for name in (WRITING, JOURNAL) for body in _messages(self.folder / name)]
        if whole:
            write_bytes(self.folder / WRITING, b"".join(map(framed, whole)))
        (self.folder / JOURNAL).unlink(missing_ok=True)
        yield from whole

    def _read(self) -> tuple[int, dict[str, int]]:
        step, numbers = 0, {}
        file = self.folder / "state.json"
        try:
            found = json.loads(file.read_text())
            step = int(found["step"])
            numbers = {str(client): int(number) for client, number in found["clients"].items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{file}: cannot be read: {type(error).__name__}",
                hint="remove the file to begin at the step in ckpt/logger",
            ) from error
        return max(step, self._saved_step()), numbers

    def _saved_step(self) -> int:
        top = self.folder / "ckpt" / "logger"
        try:
            name = (top / "latest").read_text().strip()
        except OSError:
            return 0
        file = top / Path(name).name / "step.pkl"
        step, _ = index_pickle(file)
        if type(step) is not int:
            raise CheckpointError(f"{file}: expected a step, found {type(step).__name__}")
        return step


def pickled(number: int) -> bytes:
    """A non-negative integer as `pickle.dumps` writes it in protocol 2: PROTO, LONG1, STOP."""
    data = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    return b"\x80\x02\x8a" + bytes([len(data)]) + data + b"."


def _messages(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            return [message for _, message in messages(file)]
    except FileNotFoundError:
        return []


def _append(source: Path, target: Path) -> None:
    if not target.exists():
        source.rename(target)
        return
    with source.open("rb") as read, target.open("ab") as write:
        shutil.copyfileobj(read, write)
    source.unlink()
