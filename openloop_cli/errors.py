"""What can go wrong for a user: one line that says what, where, and what to do next.

Every error raised on purpose is an `OpenloopError`; the command line prints it and exits
with code 1. Anything else that escapes is our own bug and keeps its traceback.
"""


class OpenloopError(Exception):
    """A mistake in what we were given, told in one line.

    Args:
      message: The place, what was expected and what was found.
      hint: What to do next; may be empty.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class CheckpointError(OpenloopError):
    """A checkpoint is missing, damaged, hostile, or not a checkpoint."""


class ConfigError(OpenloopError):
    """A config.yaml cannot be read or names something that we do not know."""


class ParamsError(OpenloopError):
    """Parameters are missing or have other shapes than the config asks for."""


class ReplayError(OpenloopError):
    """A replay holds no usable windows, or not the ones that were asked for."""


class OptionError(OpenloopError):
    """An option's value does not go with the run that it is applied to."""


class OutputError(OpenloopError):
    """A result cannot be written."""


class MetricsError(OpenloopError):
    """A metrics.json cannot be read, is of another version, or lacks a number."""


class RemoteError(OpenloopError):
    """A place on the network cannot be reached, or is of no kind that we know."""
