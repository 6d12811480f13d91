"""Somebody's own model behind one function, which is run because it was named: `package:Name`.

    def imagine(observed, actions, futures, seed):      # {key: (B, C, …)}, {key: (B, T, …)}
        return {key: (B, futures, H, …)}                # H = T - C; (B, H, …) for one future

`Name` is such a function; or an object with `imagine` and, if it has a decoder of its own,
`reconstruct(observed, actions)`, which sees all T steps and returns {key: (B, T, …)}; or a class of
such objects, made with the path that the command names. Everything is NumPy at both ends; pictures
are uint8, or floats in [0, 1], (…, H, W, C).
"""

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from openloop_cli.arrays import Array
from openloop_cli.errors import ModelError, OptionError
from openloop_cli.text import clean

Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Adapter:
    """A model that was named.

    Attributes:
      name: As it was named.
      reconstruct: None of a model without.
    """

    name: str
    imagine: Callable[..., Any]
    reconstruct: Callable[..., Any] | None = None

    def futures(self, observed: Arrays, actions: Arrays, count: int, seed: int) -> dict[str, Array]:
        """{key: (B, M, H, …)}, checked.

        Raises:
          ModelError: The model's own code fails, or returns something else.
        """
        found = self._called("imagine", self.imagine, observed, actions, count, seed)
        first, steps = next(iter(observed.values())), next(iter(actions.values())).shape[1]
        ahead = (steps - first.shape[1],)
        checked = {}
        for key, array in found.items():
            batch, rest = observed[key].shape[:1], observed[key].shape[2:]
            if count == 1 and array.shape == (*batch, *ahead, *rest):
                array = array[:, None]
            self._check("imagine", key, array, (*batch, count, *ahead, *rest))
            checked[key] = _values(array, observed[key])
        return checked

    def reconstructed(self, observed: Arrays, actions: Arrays) -> dict[str, Array] | None:
        """{key: (B, T, …)}, checked; None of a model that does not reconstruct."""
        if self.reconstruct is None:
            return None
        found = self._called("reconstruct", self.reconstruct, observed, actions)
        for key, array in found.items():
            self._check("reconstruct", key, array, observed[key].shape)
        return {key: _values(x, observed[key]) for key, x in found.items()}

    def _called(self, what: str, function: Callable[..., Any], *arguments: Any) -> dict[str, Array]:
        try:
            found = function(*arguments)
            found = {str(key): np.asarray(x) for key, x in dict(found).items()}
        except Exception as error:
            raise ModelError(f"--model {self.name}: {what}: {_told(error)}") from error
        if not found:
            raise ModelError(f"--model {self.name}: {what} returned no observations")
        for key in found:
            if key not in arguments[0]:
                there = ", ".join(arguments[0])
                raise ModelError(
                    f"--model {self.name}: {what} returned {clean(key)!r}, there are {there}"
                )
        return found

    def _check(self, what: str, key: str, array: Array, expected: tuple[int, ...]) -> None:
        if array.shape != expected or array.dtype.kind not in "biuf":
            raise ModelError(
                f"--model {self.name}: {what}: {clean(key)}: expected numbers of {expected}, found"
                f" {array.dtype} {array.shape}"
            )


def load_adapter(name: str, path: Path) -> Adapter:
    """The model of that name, of a package that is installed or lies in the current folder.

    Args:
      name: `package.module:Name`.
      path: What a class is made with.

    Raises:
      OptionError: Not such a name.
      ModelError: There is no such module or object, or its code fails.
    """
    module, colon, attribute = name.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module.split("."), attribute]):
        raise OptionError(f"--model {name}: expected package:Name, such as my_model:MyModel")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found = getattr(importlib.import_module(module), attribute)
        if inspect.isclass(found):
            make: Any = found
            found = make(path)
    except ModuleNotFoundError as error:
        if error.name not in (module, module.partition(".")[0]):
            raise ModelError(f"--model {name}: {_told(error)}") from error
        raise ModelError(
            f"--model {name}: no module {module}",
            hint="it must be installed, or lie in the current folder",
        ) from None
    except Exception as error:
        raise ModelError(f"--model {name}: {_told(error)}") from error
    imagine = getattr(found, "imagine", None) or (found if callable(found) else None)
    if imagine is None:
        raise ModelError(
            f"--model {name}: has no imagine(observed, actions, futures, seed)",
            hint="docs/any-model.md has an example",
        )
    return Adapter(name, imagine, getattr(found, "reconstruct", None))


def _values(array: Array, like: Array) -> Array:
    """Pictures as float32 in [0, 1], classes as whole numbers, all else as float32."""
    if like.dtype == np.uint8 and like.ndim == 5:
        unit = array.astype(np.float32)
        return unit / 255 if array.dtype == np.uint8 else unit
    return array.astype(np.float32 if like.dtype.kind == "f" else np.int32)


def _told(error: Exception) -> str:
    """What was raised and where, in a line."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {clean(error, 200)}{where}"
