"""A checkpoint and the replay that goes with it: settings, spaces, and the names to read.

Imports no jax, so that `inspect` and the checks before a rollout cost nothing.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import ml_dtypes
import numpy as np

from openloop_cli.arrays import Array, Params
from openloop_cli.checkpoints import Checkpoint, read_checkpoint
from openloop_cli.config import (
    RunConfig,
    differing_sizes,
    infer_config,
    read_config,
    settings_file,
)
from openloop_cli.errors import OpenloopError, ParamsError, ReplayError
from openloop_cli.keys import FOUND_OUT, KeyOptions, infer_spaces, named_keys
from openloop_cli.models.dreamerv3.shapes import (
    check_params,
    disagreements,
    expected_shapes,
    heads_of,
)
from openloop_cli.replay import (
    LATENTS,
    Choice,
    Replay,
    Windows,
    choose_and_read,
    open_replay,
    read_windows,
)
from openloop_cli.spaces import Spaces
from openloop_cli.storage import place
from openloop_cli.text import clean, plural


@dataclass(frozen=True, repr=False)
class Run:
    """What `open_run` found; nothing but names, shapes and settings is read yet."""

    checkpoint: Checkpoint
    replay: Replay
    config: RunConfig
    spaces: Spaces

    def __repr__(self) -> str:
        step = self.checkpoint.step
        told = "unknown step" if step is None else f"step {step:,}"
        return f"<Run {clean(self.name)}, {told}: {plural(len(self.replay.chunks), 'chunk')}>"

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape by name of every array of the checkpoint."""
        return {name: ref.shape for name, ref in self.checkpoint.params.items()}

    @property
    def name(self) -> str:
        """The run's name for captions: its config's logdir, else the folder it lies in."""
        return self.config.name or self.checkpoint.path.name

    @property
    def needed_keys(self) -> tuple[str, ...]:
        """The replay keys that a rollout reads."""
        stored = all(key in self.replay.keys for key in LATENTS)
        latents = LATENTS if self.config.replay_context and stored else ()
        keys = (key for key, _ in (*self.spaces.obs, *self.spaces.act))
        return (*keys, "is_first", "is_last", "is_terminal", "reward", *latents)

    def read_params(self) -> dict[str, Array]:
        """The world model's parameters and no others.

        Raises:
          ParamsError: Of another shape or kind than the settings and spaces ask for.
          CheckpointError: The file changed meanwhile.
        """
        try:
            names = check_params(self.shapes, self.config.model, self.spaces)
        except ParamsError:
            if problem := self.settings_problem():
                hint = (
                    "--config infer takes the architecture from the parameters, --config FILE the"
                    " settings from elsewhere"
                )
                raise ParamsError(problem, hint=hint) from None
            raise
        for name in names:
            dtype = self.checkpoint.params[name].dtype
            if dtype.kind != "f" and dtype != ml_dtypes.bfloat16:
                raise ParamsError(f"{name}: expected floating-point numbers, found {dtype}")
        return self.checkpoint.read_params(names)

    def settings_problem(self) -> str | None:
        """In a line, how the settings differ from others that fit all parameters; None where these
        fit, or no others do."""
        if self.config.source is None:
            return None
        try:
            others = _without_config(self.checkpoint, self.replay, self.spaces).model
            expected = expected_shapes(others, self.spaces, heads_of(self.shapes))
        except OpenloopError:
            return None
        told = differing_sizes(self.shapes, self.config.model, others)
        if not told or disagreements(self.shapes, expected):
            return None
        more = f"; and {len(told) - 4} more" if len(told) > 4 else ""
        return (
            f"{self.config.source}: these settings do not belong to the checkpoint"
            f" ({'; '.join(told[:4])}{more})"
        )

    def choose_windows(
        self,
        *,
        length: int | None = None,
        context: int | None = None,
        num_windows: int = 16,
        seed: int = 0,
        allow_resets: bool = False,
    ) -> tuple[Choice, Windows]:
        """Windows of `length` steps spread over the whole replay, and how they were found.

        Args:
          length: None takes the run's report length.
          context: Context steps, None for half of the window.
          allow_resets: Whether an episode may start in the imagined part.

        Raises:
          ReplayError: No window of that length, or none without a reset in its imagined part.
        """
        length = length or self.config.report_length
        return choose_and_read(
            self.replay,
            length=length,
            replay_context=self.config.replay_context,
            context=context or length // 2,
            count=num_windows,
            seed=seed,
            allow_resets=allow_resets,
            keys=self.needed_keys,
        )

    def read_windows(self, ids: Sequence[str], *, length: int | None = None) -> Windows:
        """Exactly these windows (`CHUNK_UUID:INDEX`), in this order."""
        return read_windows(
            self.replay,
            ids,
            length=length or self.config.report_length,
            replay_context=self.config.replay_context,
            keys=self.needed_keys,
        )


def open_run(
    checkpoint: Path | str,
    replay: Path | str | Sequence[Path | str],
    config: Path | str | None = None,
    keys: KeyOptions = FOUND_OUT,
) -> Run:
    """Finds a checkpoint, its replay and its settings.

    Args:
      checkpoint: A checkpoint folder, its agent.pkl, a `ckpt` folder, or a run folder.
      replay: A replay folder, a run folder, or chunk files.
      config: A config.yaml; None looks for it from the checkpoint upwards, and without one
        infers the settings from the parameters.
      keys: Which keys the model sees, where their widths do not tell.

    Each may be on the network, such as "s3://bucket/run", or a `UPath` (`openloop[remote]`).

    Raises:
      OpenloopError: Of the kind that says which of the three is wrong.
    """
    found = read_checkpoint(place(checkpoint))
    settings = place(config) if config is not None else None
    return put_together(found, open_replay(replay), settings, keys)


def put_together(
    checkpoint: Checkpoint,
    replay: Replay,
    config: Path | None = None,
    keys: KeyOptions = FOUND_OUT,
) -> Run:
    """The same for a checkpoint and a replay that are open already."""
    shapes = {name: ref.shape for name, ref in checkpoint.params.items()}
    replay.expect(named_keys(shapes))
    spaces, notes = infer_spaces(shapes, replay.keys, keys)
    path = settings_file(config, checkpoint.path)
    if path is None:
        settings = _without_config(checkpoint, replay, spaces, asked=config is not None)
    else:
        settings = read_config(path)
    settings = replace(settings, notes=(*settings.notes, *notes, *_missing_heads(shapes)))
    return Run(checkpoint, replay, settings, spaces)


def _missing_heads(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    there = heads_of(shapes)
    named = {"rew": "reward", "con": "continue", "val": "value"}
    missing = [words for head, words in named.items() if head not in there]
    if missing:
        yield f"no {' and no '.join(missing)} head in the checkpoint: the report is without"


def params_sha256(params: Params) -> str:
    """SHA-256 over name, dtype, shape and bytes of each parameter, in order of the names."""
    digest = hashlib.sha256()
    for name in sorted(params):
        array = np.ascontiguousarray(params[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.view(np.uint8).reshape(-1).data)
    return digest.hexdigest()


def _without_config(
    checkpoint: Checkpoint, replay: Replay, spaces: Spaces, *, asked: bool = False
) -> RunConfig:
    image = next(iter(spaces.images.values()), None)
    stoch = replay.keys.get("dyn/stoch")
    config = infer_config(
        {name: ref.shape for name, ref in checkpoint.params.items()},
        image_area=image.shape[0] * image.shape[1] if image else 0,
        stoch=(stoch.shape[0], stoch.shape[1]) if stoch and len(stoch.shape) == 2 else None,
    )
    if asked:
        first = "inferred the architecture from the parameters, as was asked for"
        config = replace(config, notes=(first, *config.notes[1:]))
    dtype = _stored_dtype(replay)
    if dtype:
        notes = (f"took compute dtype {dtype} from the replay's latent states", *config.notes[2:])
        model = replace(config.model, compute_dtype=dtype)
        config = replace(config, model=model, notes=(config.notes[0], *notes))
    return config


def _stored_dtype(replay: Replay) -> str | None:
    """The narrowest compute dtype that holds the stored states exactly; None without any."""
    if "dyn/deter" not in replay.keys or not replay.chunks:
        return None
    start = f"{replay.chunks[0].uuid}:0"
    try:
        data: Mapping[str, Array] = read_windows(
            replay,
            [start],
            length=min(8, replay.chunks[0].length),
            replay_context=0,
            keys=["dyn/deter"],
        ).data
    except ReplayError:
        return None
    deter = data["dyn/deter"].astype(np.float32)
    if not deter.any():
        return None
    for name, kind in (("bfloat16", ml_dtypes.bfloat16), ("float16", np.float16)):
        if (deter.astype(kind).astype(np.float32) == deter).all():
            return name
    return "float32"
