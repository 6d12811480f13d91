"""The command line. One file for each command; they translate options and do nothing else.

Results go to stdout; progress, notes and errors to stderr. Exit codes: 0 done, 1 an error told
in one line, 2 wrong usage, 130 and 143 stopped by Ctrl-C and SIGTERM.
"""

from openloop_cli.cli.app import main

__all__ = ["main"]
