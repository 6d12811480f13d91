"""Paths as results name them: none tells how this machine is laid out.

Whoever reads a page knows the folder that the command ran in. A path below it is given from there,
one in the home folder from `~`, and any other one by the way from here to there.
"""

import os
import re
from pathlib import Path

from openloop_cli.storage.names import remote


def shown_path(path: Path, *, redact: bool = False) -> str:
    """A path for a page, an index or a metrics.json; an address as it is.

    Args:
      redact: Only its last name.
    """
    if redact:
        return path.name
    if remote(path) or not path.is_absolute():
        return str(path)
    try:
        here = Path.cwd()
    except OSError:  # the folder that we stand in is gone
        here = Path("/")
    if path.is_relative_to(here):
        return str(path.relative_to(here))
    home = _home()
    if home and path.is_relative_to(home):
        return str("~" / path.relative_to(home))
    return os.path.relpath(path, here)


def shown_text(text: str, *, redact: bool = False) -> str:
    """A note or an error with its paths as `shown_path` gives them."""
    return re.sub(r"(?<![\w.~:/-])/[^\s'\":,;()]+", lambda found: _told(found[0], redact), text)


def _told(text: str, redact: bool) -> str:
    # A single name, such as `/day`, is more often a unit than a path.
    return shown_path(Path(text), redact=redact) if text.count("/") > 1 else text


def _home() -> Path | None:
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home if len(home.parts) > 1 else None
