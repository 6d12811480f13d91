"""The commands, and the one boundary where errors become a line and an exit code."""

import os
import signal
import sys
from typing import Annotated

import typer

import openloop_cli
from openloop_cli.cli.batch import batch
from openloop_cli.cli.cache import cache
from openloop_cli.cli.check import check
from openloop_cli.cli.compare import compare
from openloop_cli.cli.inspect import inspect
from openloop_cli.cli.plot import plot
from openloop_cli.cli.render import render
from openloop_cli.cli.streams import STREAM_ERRORS, drop_stdout, prepare_streams
from openloop_cli.cli.terminal import say
from openloop_cli.cli.watch import watch
from openloop_cli.errors import OpenloopError

app = typer.Typer(
    name="openloop",
    help="How far ahead can a world model see? Open-loop predictions from a DreamerV3 run folder.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(render)
app.command()(inspect)
app.command()(compare)
app.command()(batch)
app.command()(watch)
app.command()(check)
app.command()(plot)

app.add_typer(cache, name="cache")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"openloop {openloop_cli.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """How far ahead can a world model see? Open-loop predictions from a DreamerV3 run folder."""


def main() -> None:
    """Runs the command line; errors that we foresaw become one line, others keep a traceback."""
    # XLA and its plugins log to stderr what no user can act on.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Our products in NumPy are small, and stand beside a rollout and an encoder: threads that wait
    # for each other there only take their cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    prepare_streams()
    try:
        app()
    except OpenloopError as error:
        say(f"error: {error.message}", style="bold red", lead=len("error:"))
        if error.hint:
            say(f"hint: {error.hint}", style="dim", lead=len("hint:"))
        sys.exit(1)
    except MemoryError as error:
        say(f"error: not enough memory: {error or 'no more can be had'}", lead=len("error:"))
        say("hint: use fewer --sequences or --show, a shorter --length or a smaller --scale")
        sys.exit(1)
    except KeyboardInterrupt:
        say("stopped", style="dim")
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our stdout has gone, as `head` does; nothing is left to be told.
        drop_stdout()
        sys.exit(141)
    except OSError as error:
        # A disk's own errors name a file and are told by whoever works on it.
        if error.filename is not None or error.errno not in STREAM_ERRORS:
            raise
        drop_stdout()
        say(f"error: the standard output cannot be written: {error.strerror}", lead=len("error:"))
        sys.exit(1)
