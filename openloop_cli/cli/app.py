"""The commands, and the one place where errors become a line and an exit code."""

import os
import signal
import sys
from typing import Annotated, NoReturn

import typer

import openloop_cli
from openloop_cli.cli.batch import batch
from openloop_cli.cli.cache import cache
from openloop_cli.cli.check import check
from openloop_cli.cli.compare import compare
from openloop_cli.cli.help import Command, Group
from openloop_cli.cli.inspect import inspect
from openloop_cli.cli.log import log
from openloop_cli.cli.plot import plot
from openloop_cli.cli.render import render
from openloop_cli.cli.score import score
from openloop_cli.cli.serve import serve
from openloop_cli.cli.streams import STREAM_ERRORS, drop_stdout, prepare_streams
from openloop_cli.cli.table import table
from openloop_cli.cli.terminal import say
from openloop_cli.cli.watch import watch
from openloop_cli.errors import OpenloopError

app = typer.Typer(
    name="openloop",
    cls=Group,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for function in (render, score, inspect, compare, batch, watch, plot, table, check, log, serve):
    app.command(cls=Command)(function)
app.add_typer(cache, name="cache")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"openloop {openloop_cli.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """How far ahead can a world model see?

    Open-loop predictions of a DreamerV3 checkpoint, from its run folder alone.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def main() -> None:
    """Runs the command line; expected errors become one line, others keep their traceback."""
    # XLA and its plugins log to stderr what no user can act on.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Our matrix products in NumPy are small and run next to a rollout and an encoder: threads that
    # wait for each other only take cores from those.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    prepare_streams()
    try:
        sys.exit(app(prog_name="openloop", standalone_mode=False) or 0)
    except OpenloopError as error:
        _fail(error.message, error.hint, error.exit_code)
    except typer.TyperException as error:  # wrong usage, as typer finds it
        command = getattr(getattr(error, "ctx", None), "command_path", "openloop")
        _fail(_one_line(error.format_message()), f"see {command} --help", error.exit_code)
    except MemoryError as error:
        hint = "use fewer --num-windows or --show, a shorter --length or a smaller --scale"
        _fail(f"not enough memory{f': {error}' if str(error) else ''}", hint, 1)
    except KeyboardInterrupt:
        say("stopped", style="dim")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our stdout has closed it, as `head` does.
        drop_stdout()
        sys.exit(141)
    except OSError as error:
        # Errors that name a file are reported where the file is used.
        if error.filename is not None or error.errno not in STREAM_ERRORS:
            raise
        drop_stdout()
        _fail(f"the standard output cannot be written: {error.strerror}", "", 1)


def _fail(message: str, hint: str, code: int) -> NoReturn:
    say(f"error: {message}", style="bold red", lead=len("error:"))
    if hint:
        say(f"hint: {hint}", style="dim", lead=len("hint:"))
    sys.exit(code)


def _one_line(message: str) -> str:
    return " ".join(message.split()).rstrip(".")
