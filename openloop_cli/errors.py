"""What can go wrong for a user: one line that says what, where, and what to do next.

Every error raised on purpose is an `OpenloopError`; the command line prints it and exits with its
code: 2 for wrong usage (`OptionError`), 1 for all others. Anything else that escapes is our own bug
and keeps its traceback.
"""


class OpenloopError(Exception):
    """An error in what we were given; its message is one line.

    Args:
      message: The place, what was expected and what was found.
      hint: What to do next; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class CheckpointError(OpenloopError):
    """A checkpoint is missing, damaged, hostile, or not a checkpoint."""


class ConfigError(OpenloopError):
    """A config.yaml or a table cannot be read, or holds a value that is not supported."""


class ParamsError(OpenloopError):
    """Parameters are missing, or their shapes differ from those that the config implies."""


class ReplayError(OpenloopError):
    """A replay has no usable windows, or not the requested ones."""


class PredictionsError(OpenloopError):
    """Predictions to score cannot be read, or do not go with their truth."""


class ModelError(OpenloopError):
    """Somebody's own model cannot be loaded, or its code fails."""


class OptionError(OpenloopError):
    """Wrong usage: an option's value is invalid, or does not fit the run or the other options."""

    exit_code = 2


class NotInstalledError(OpenloopError):
    """What was asked for needs a package that an extra of ours brings.

    Args:
      what: Asks for it.
      package: That is missing.
      extra: That brings it.
      otherwise: What would do without.
    """

    def __init__(self, what: str, package: str, extra: str, *, otherwise: str = "") -> None:
        hint = f"pip install 'openloop[{extra}]'" + (f", or {otherwise}" if otherwise else "")
        super().__init__(f"{what} needs {package}, which is not installed", hint=hint)


class OutputError(OpenloopError):
    """A result cannot be written."""


class MetricsError(OpenloopError):
    """A metrics.json cannot be read, is of another version, or lacks a number."""


class RemoteError(OpenloopError):
    """A remote address cannot be reached, or its kind is not supported."""
