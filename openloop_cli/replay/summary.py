"""What a replay holds in all: every chunk is opened, only the episode starts are read."""

from dataclasses import dataclass
from pathlib import Path

from openloop_cli.errors import ReplayError
from openloop_cli.replay.index import KeyInfo, Replay
from openloop_cli.replay.links import Links

_AT_ONCE = 64


@dataclass(frozen=True)
class ReplaySummary:
    """Counts over the readable chunks.

    Attributes:
      bytes: Size of their files.
      keys: Empty when no chunk can be read.
      oldest: Time of the first chunk as its name spells it; empty when there is none.
      newest: Time of the last one.
      damaged: Each unusable file and one line why.
      duplicates: Files left out because another holds the same chunk.
    """

    chunks: int
    steps: int
    streams: int
    episodes: int
    bytes: int
    keys: dict[str, KeyInfo]
    oldest: str
    newest: str
    damaged: dict[Path, str]
    duplicates: tuple[Path, ...]


def summarize(replay: Replay) -> ReplaySummary:
    """Open every chunk and count."""
    readable = []
    episodes = size = 0
    for number, chunk in enumerate(replay.chunks):
        if number % _AT_ONCE == 0:
            replay.warm(replay.chunks[number : number + _AT_ONCE])
        try:
            episodes += int(replay.is_first(chunk).sum())
            size += chunk.path.stat().st_size
            readable.append(chunk)
        except ReplayError:
            continue  # noted in replay.damaged
        except OSError as error:
            replay.damage(chunk, ReplayError(f"it cannot be read: {error.strerror or error}"))
    return ReplaySummary(
        chunks=len(readable),
        steps=sum(chunk.length for chunk in readable),
        streams=len(Links(readable).chains()),
        episodes=episodes,
        bytes=size,
        keys=replay.keys if readable else {},
        oldest=readable[0].time if readable else "",
        newest=readable[-1].time if readable else "",
        damaged=dict(replay.damaged),
        duplicates=replay.duplicates,
    )
