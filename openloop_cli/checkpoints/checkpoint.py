"""What every checkpoint format comes down to: parameters by name, counters, a step."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from openloop_cli.arrays import Array
from openloop_cli.checkpoints.pickle.array_ref import ArrayRef, read_together
from openloop_cli.errors import ParamsError

# Half of the time goes into touching fresh memory for the first time. Large pieces come in
# large pages, and several threads wait for them side by side.
_READERS = 4
_GROUP_BYTES = 32 << 20


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose arrays are known but not read.

    Attributes:
      path: The checkpoint's folder.
      files: `agent.pkl`, or its shards in order.
      step: Environment steps, None when nothing tells.
      counters: `updates`, `batches`, `actions`.
      params: All arrays of all shards, by their names, less the prefix of a copy (`names`).
      complete: The writer's `done` marker was there.
      notes: One-line remarks for the user.
      nbytes: Size of `files` on disk.
    """

    path: Path
    files: tuple[Path, ...]
    step: int | None
    counters: Mapping[str, int]
    params: Mapping[str, ArrayRef]
    complete: bool
    notes: tuple[str, ...]
    nbytes: int

    def read_params(self, names: Iterable[str]) -> dict[str, Array]:
        """Read these arrays and no others, in the order asked for."""
        refs = {name: self._find(name) for name in names}
        # Front to back through each file, which is what disks like.
        order = sorted(refs.values(), key=lambda ref: (ref.path, ref.offset))
        arrays: dict[str, Array] = {}
        groups = list(_group(order))
        with ThreadPoolExecutor(_READERS) as pool:
            for group, read in zip(groups, pool.map(read_together, groups), strict=True):
                arrays.update((ref.name, array) for ref, array in zip(group, read, strict=True))
        return {name: arrays[name] for name in refs}

    def _find(self, name: str) -> ArrayRef:
        if name in self.params:
            return self.params[name]
        near = get_close_matches(name, self.params, n=1)
        raise ParamsError(
            f"{self.path}: no parameter {name} among {len(self.params)}",
            hint=f"the nearest name is {near[0]}" if near else "",
        )


def _group(refs: Iterable[ArrayRef]) -> Iterator[list[ArrayRef]]:
    """Neighbours, as many as fit in `_GROUP_BYTES`, at least one."""
    group: list[ArrayRef] = []
    nbytes = 0
    for ref in refs:
        if group and nbytes + ref.nbytes > _GROUP_BYTES:
            yield group
            group, nbytes = [], 0
        group.append(ref)
        nbytes += ref.nbytes
    if group:
        yield group
