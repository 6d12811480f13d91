"""Scalars on stderr, as the reference shows them, sorted out by the reference's own filter."""

import re
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from rich.console import Console
from rich.text import Text

from openloop_cli.errors import OptionError
from openloop_cli.loggers.outputs import Tell
from openloop_cli.loggers.values import Entry, Kind, kind_of
from openloop_cli.text import clean

FILTER = "score|length|fps|ratio|train/loss/|train/rand/|^report/(skill|useful_horizon)/"
"""The reference's default (configs.yaml, `logger.filter`), and the headline of our reports."""

MOST = 50


class Terminal:
    """A block of lines for each write: the largest step, then the scalars, the last of each name.

    Args:
      pattern: A regular expression to be found in names; the reference's by default.
      tell: Unused.

    Raises:
      OptionError: It is none.
    """

    def __init__(self, pattern: str | None, tell: Tell) -> None:
        try:
            self._pattern = re.compile(FILTER if pattern is None else pattern)
        except re.error as error:
            raise OptionError(f"filter {pattern!r}: no regular expression: {error}") from None
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)

    def write(self, entries: Sequence[Entry]) -> None:
        """Prints what is shown of the entries, and how many scalars are not."""
        scalars = {name: value for _, name, value in entries if kind_of(value) is Kind.scalar}
        shown = {k: x for k, x in scalars.items() if self._pattern.search(k)}
        shown = dict(list(shown.items())[:MOST])
        if not scalars:
            return
        step = max(step for step, _, _ in entries)
        lines = [Text(f"---[Agent Step {step:,}]---", style="bold")]
        for name, value in shown.items():
            lines.append(Text.assemble(clean(name), " ", (number_text(value), "cyan")))
        if left := len(scalars) - len(shown):
            lines.append(Text(f"({left:,} more not shown)", style="dim"))
        with suppress(OSError):
            self._console.print(Text("\n").join(lines))

    def close(self) -> None:
        """Nothing is left."""


def number_text(value: float | np.ndarray) -> str:
    """`0`; two decimals without trailing zeros from 0.01 up to 10,000; else such as `1.2e5`."""
    number = float(value)
    if number == 0:
        return "0"
    if 0.01 < abs(number) < 10_000:
        return f"{number:.2f}".rstrip("0").rstrip(".")
    text = f"{number:.1e}"
    if "e" not in text:  # not a number, or endless
        return text
    digits, power = text.split("e")
    return f"{digits.removesuffix('.0')}e{int(power)}"
