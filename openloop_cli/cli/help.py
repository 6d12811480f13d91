"""`--help`: what a command does, then its options in two columns, grouped by topic.

typer's own tables leave about forty columns for the text on a terminal of eighty. Here every line
of help is written to fit; a default that does not fit stands on a line of its own.
"""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

_WIDEST, _NAMES = 100, 22  # columns of the whole text, and of the options' names at most

_UNLISTED = ("show_completion",)  # typer's own, for who wants to edit it

Row = tuple[str, str]


class Command(TyperCommand):
    """A command with our help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the whole help text."""
        formatter.write(_text(self, ctx))


class Group(TyperGroup):
    """A group of commands with our help; commands stand in the order of their registration."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the whole help text."""
        formatter.write(_text(self, ctx))


def _text(command: TyperCommand | TyperGroup, ctx: Any) -> str:
    width = min(_WIDEST, shutil.get_terminal_size((80, 24)).columns)
    parameters = command.get_params(ctx)
    arguments = [x for x in parameters if isinstance(x, TyperArgument)]
    options = [x for x in parameters if isinstance(x, TyperOption) and x.name not in _UNLISTED]
    rows = {"Arguments": [(str(x.metavar), x.help or "") for x in arguments]}
    rows |= {"Commands": list(_commands(command, ctx)), "Options": []}
    for option in options:
        rows.setdefault(option.rich_help_panel or "Options", []).append(_row(option))
    typed = " ".join([ctx.command_path, *(str(x.metavar) for x in arguments)])
    usage = f"{typed} {'COMMAND' if rows['Commands'] else '[options]'}"
    parts = [f"{_bold('usage:')} {usage}", *_paragraphs(command.help or "", width)]
    names = min(_NAMES, max(len(name) for found in rows.values() for name, _ in found))
    tables = {title: _table(found, names, width) for title, found in rows.items() if found}
    parts += [f"{_bold(title)}\n{table}" for title, table in tables.items()]
    return "\n\n".join(parts) + "\n"


def _commands(command: TyperCommand | TyperGroup, ctx: Any) -> Iterator[Row]:
    if not isinstance(command, TyperGroup):
        return
    for name in command.list_commands(ctx):
        found = command.get_command(ctx, name)
        if found is not None and not found.hidden:
            yield name, (found.help or "").split("\n")[0].rstrip(".")


def _row(option: TyperOption) -> Row:
    """Such as `--length N` and what it does; of a pair of flags only the one that is not the
    default."""
    shown = option.secondary_opts if option.secondary_opts and option.default else option.opts
    names = ", ".join(sorted(shown, key=len))
    words, default = (option.help or "").rstrip("."), _default(option)
    metavar = f" {option.metavar}" if option.metavar else ""
    return names + metavar, f"{words}\0(default: {default})" if default else words


def _default(option: TyperOption) -> str:
    if isinstance(option.show_default, str):
        return option.show_default
    value = option.default.value if isinstance(option.default, Enum) else option.default
    if value is None or isinstance(value, bool) or not option.show_default or option.is_eager:
        return ""
    return str(value)


def _table(rows: Iterable[Row], names: int, width: int) -> str:
    return "\n".join(line for name, words in rows for line in _lines(name, words, names, width))


def _lines(name: str, words: str, names: int, width: int) -> Iterator[str]:
    """One option; `\\0` in its help is a space where the rest fits, and else a line break."""
    room = width - names - 4
    last = words.rsplit("\n", 1)[-1]
    words = words.replace("\0", " " if len(last) <= room else "\n")
    lines = [part for line in words.split("\n") for part in textwrap.wrap(line, room) or [""]]
    if len(name) > names:
        yield f"  {name}"
        name = ""
    for number, line in enumerate(lines):
        yield f"  {name if not number else '':{names}}  {line}"


def _paragraphs(words: str, width: int) -> Iterator[str]:
    """As they are written, where that fits."""
    for paragraph in words.strip().split("\n\n"):
        lines = [textwrap.fill(line.strip(), width) for line in paragraph.split("\n")]
        yield "\n".join(lines)


def _bold(text: str) -> str:
    plain = "NO_COLOR" in os.environ or not sys.stdout.isatty()
    return text if plain else typer.style(text, bold=True)
