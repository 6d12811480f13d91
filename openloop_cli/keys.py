"""Which keys of a replay the model sees, found out from the widths of its parameters.

The reference encodes and decodes every observation. Copies of it leave keys out, encode some that
they do not decode, decode some that they do not encode, and keep more in the replay. What tells:

- a vector that is decoded has a head of its own, `dec/vec/<key>/…`, which also tells its classes;
- the inputs of `enc/mlp0` are the widths of all encoded vectors; those of `enc/cnn0` are the
  channels of all encoded images, the outputs of `dec/imgout` those of all decoded ones;
- an action has a policy head, and the inputs of `dyn/dynin2` are the widths of all actions.

Where every observation fits, there is nothing to find out. Else the choices whose widths add up are
looked for: one is taken and noted, several are an error that names the option that decides.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from openloop_cli.config.inferred import count_layers
from openloop_cli.errors import OptionError, ParamsError, ReplayError
from openloop_cli.spaces import (
    POLICY_HEAD,
    VECTOR_HEAD,
    Space,
    Spaces,
    StepInfo,
    is_no_observation,
)
from openloop_cli.text import clean

Shapes = Mapping[str, tuple[int, ...]]
# Of choices that fit; more are not told apart by reading them.
_MOST_FITS = 4
# Beyond it a kernel is no encoder's, and sums are not tried.
_WIDEST = 1 << 24
_OF_THE_RUN = "pass the replay of the same run as the checkpoint"


@dataclass(frozen=True)
class KeyOptions:
    """What somebody says of the keys; None leaves it to be found out.

    Attributes:
      encode, decode: Observation keys that the encoder sees, and that the decoder predicts.
      actions: Action keys.
    """

    encode: tuple[str, ...] | None = None
    decode: tuple[str, ...] | None = None
    actions: tuple[str, ...] | None = None


FOUND_OUT = KeyOptions()


def named_keys(shapes: Shapes) -> tuple[str, ...]:
    """The replay keys that parameters name: actions, vector observations; images stay unnamed."""
    found = (POLICY_HEAD.fullmatch(name) or VECTOR_HEAD.fullmatch(name) for name in shapes)
    return tuple(dict.fromkeys(match[1] for match in found if match))


def infer_spaces(
    shapes: Shapes, keys: Mapping[str, StepInfo], options: KeyOptions = FOUND_OUT
) -> tuple[Spaces, list[str]]:
    """Spaces from parameter shapes and replay keys, and a note for each thing that was assumed.

    Raises:
      ParamsError: A key in one that the other does not know, or several choices that fit.
      ReplayError: A key that holds no numbers.
      OptionError: An option names a key that is not there.
    """
    _check_options(options, keys)
    heads = {match[1]: name for name in shapes if (match := VECTOR_HEAD.fullmatch(name))}
    act, notes = _actions(shapes, keys, heads, options.actions)
    others = {k: x for k, x in keys.items() if k not in act and not is_no_observation(k)}
    _check_roles(options, others, heads)
    # Text and the like that nothing says the model sees: an instruction, a name.
    named = {*heads, *(options.encode or ()), *(options.decode or ())}
    texts = [key for key, x in others.items() if not _is_numbers(x) and key not in named]
    known = {
        key: _observation(key, x, shapes, heads) for key, x in others.items() if key not in texts
    }
    images = {key: space for key, space in known.items() if space.is_image}
    vectors = {key: space for key, space in known.items() if not space.is_image}
    fitting = _of_a_size(images, shapes) or images
    encoded = {
        *_pick("encode", fitting, _inputs(shapes, "enc/cnn0/kernel", -2), options.encode),
        *_encoded_vectors(shapes, vectors, heads, options.encode),
    }
    decoded = {
        *_pick("decode", fitting, _inputs(shapes, "dec/imgout/kernel", -1), options.decode),
        *(key for key in vectors if key in heads and key in (options.decode or vectors)),
    }
    seen = {key: _classes(key, known[key], shapes, vectors, encoded) for key in known
            if key in encoded | decoded}  # fmt: skip
    named_any = options.encode is not None or options.decode is not None
    notes += _notes(known, encoded, decoded, named=named_any)
    if texts:
        told = ", ".join(clean(key) for key in texts)
        notes.append(f"{told}: in the replay, but no numbers, so not seen by the model")
    return Spaces(
        obs=tuple(seen.items()),
        act=tuple(act.items()),
        only_encoded=tuple(key for key in seen if key not in decoded),
        only_decoded=tuple(key for key in seen if key not in encoded),
    ), notes


def _check_options(options: KeyOptions, keys: Mapping[str, StepInfo]) -> None:
    for name in ("encode", "decode", "actions"):
        for key in getattr(options, name) or ():
            if key not in keys or is_no_observation(key):
                there = ", ".join(clean(x) for x in keys if not is_no_observation(x))
                raise OptionError(f"--{name} {key}: no such key in the replay; there are {there}")


def _check_roles(
    options: KeyOptions, others: Mapping[str, StepInfo], heads: Mapping[str, str]
) -> None:
    """What is named as an observation is one, and what is to be predicted has a head."""
    for name in ("encode", "decode"):
        for key in getattr(options, name) or ():
            if key not in others:
                raise OptionError(f"--{name} {key}: is an action of the model")
    for key in options.decode or ():
        if key not in heads and not _is_image(others[key]):
            raise OptionError(
                f"--decode {key}: the checkpoint has no dec/vec/{clean(key)}/…, which would predict"
                " it",
                hint="leave it out",
            )


def _actions(
    shapes: Shapes,
    keys: Mapping[str, StepInfo],
    heads: Mapping[str, str],
    named: tuple[str, ...] | None,
) -> tuple[dict[str, Space], list[str]]:
    """By policy heads; in a file without a policy, by the width of what the dynamics take."""
    policy = {match[1]: name for name in shapes if (match := POLICY_HEAD.fullmatch(name))}
    if policy and named is None:
        found = {}
        for key, name in policy.items():
            if key not in keys:
                there = ", ".join(clean(x) for x in keys)
                raise ParamsError(
                    f"{name}: the replay has no key {key!r} (its keys: {there})", hint=_OF_THE_RUN
                )
            _check_numbers(key, keys[key])
        for key, info in keys.items():  # in the replay's order
            if key in policy:
                size = outputs(shapes[policy[key]]) if is_discrete(info.dtype) else 0
                found[key] = _space(key, policy[key], info, size)
        return found, []
    width = _inputs(shapes, "dyn/dynin2/kernel", 0)
    if not width:
        raise ParamsError(
            "neither pol/head/<action>/… nor dyn/dynin2/kernel: the actions cannot be told",
            hint="pass a checkpoint that holds DreamerV3's world model",
        )
    candidates = {
        key: info
        for key, info in keys.items()
        if not is_no_observation(key) and key not in heads and _is_numbers(info)
        and not _is_image(info)
    }  # fmt: skip
    usual = ("action",) if "action" in candidates else None
    chosen = named or usual
    fits = [chosen] if chosen else [(key,) for key, x in candidates.items() if _fills(x, width)]
    if len(fits) > 1:
        raise _ambiguous("actions", "the actions", width, fits)
    if not fits:
        raise ParamsError(
            f"no pol/head/<action>/… parameter, and no key of the replay is {width} wide, as the"
            f" actions are: {_widths(candidates)}",
            hint="name the keys with --actions",
        )
    spaces = _of_width(fits[0], keys, width)
    if named:
        return spaces, []
    told = ", ".join(clean(key) for key in fits[0])
    return spaces, [f"no policy in the checkpoint: took {told} for the actions, by their width"]


def _fills(info: StepInfo, width: int) -> bool:
    """Whether a key can be all of a width; of a discrete one the classes are unknown."""
    count = max(1, math.prod(info.shape))
    if is_discrete(info.dtype):
        return width % count == 0 and width // count > 1
    return count == width


def _of_width(names: Sequence[str], keys: Mapping[str, StepInfo], width: int) -> dict[str, Space]:
    """Actions whose widths add up; the classes of one discrete key are what is left."""
    names = [key for key in keys if key in names]
    for key in names:
        _check_numbers(key, keys[key])
    sizes = {key: max(1, math.prod(keys[key].shape)) for key in names}
    open_ = [key for key in names if is_discrete(keys[key].dtype)]
    left = width - sum(sizes[key] for key in names if key not in open_)
    if len(open_) > 1 or (open_ and (left <= 0 or left % sizes[open_[0]])) or (not open_ and left):
        raise ParamsError(
            f"dyn/dynin2/kernel: takes {width} numbers of the actions, which"
            f" {_widths({key: keys[key] for key in names})} cannot be",
            hint="name the keys with --actions, or pass the replay of the checkpoint's own run",
        )
    return {
        key: Space(keys[key].shape, str(keys[key].dtype), left // sizes[key] if key in open_ else 0)
        for key in names
    }


def _pick(
    option: str, images: Mapping[str, Space], channels: int, named: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Images of one size whose channels add up: all of them where these do."""
    if not channels or not images:
        return ()
    if named is not None:
        return tuple(key for key in images if key in named)
    depths = {key: space.shape[-1] for key, space in images.items()}
    one_size = len({space.shape[:2] for space in images.values()}) == 1
    if one_size and sum(depths.values()) == channels:
        return tuple(images)
    fits: list[tuple[str, ...]] = []
    for size in dict.fromkeys(space.shape[:2] for space in images.values()):
        of_size = {key: depths[key] for key, space in images.items() if space.shape[:2] == size}
        fits += choices(of_size, channels)
    if len(fits) > 1:
        part = "the encoder's images" if option == "encode" else "the decoder's images"
        raise _ambiguous(option, part, channels, fits)
    return fits[0] if fits else tuple(images)


def _of_a_size(images: Mapping[str, Space], shapes: Shapes) -> dict[str, Space]:
    """Images of a size that the encoder's stages bring to as many tokens as the dynamics take."""
    stages = count_layers(shapes, "enc/cnn{}/kernel")
    tokens = _inputs(shapes, "dyn/obs0/kernel", 0)
    if not stages or not tokens:
        return {}
    channels = _inputs(shapes, f"enc/cnn{stages - 1}/kernel", -1)
    layers = [name for name in shapes if re.fullmatch(r"enc/mlp\d+/bias", name)]
    mlp = outputs(shapes[layers[-1]]) if layers else 0
    # Gated activations halve a width; `absolute` leaves deter out; `outer` halves once less.
    rest = {a + b for a in (mlp, mlp // 2) for b in (0, _inputs(shapes, "dyn/dynin0/kernel", 0))}
    found = {}
    for key, space in images.items():
        height, width = space.shape[:2]
        for halved in (stages, stages - 1):
            area = (height >> halved) * (width >> halved)
            if {tokens - area * channels, tokens - area * (channels // 2)} & rest:
                found[key] = space
    return found


def _encoded_vectors(
    shapes: Shapes,
    vectors: Mapping[str, Space],
    heads: Mapping[str, str],
    named: tuple[str, ...] | None,
) -> tuple[str, ...]:
    """Vectors whose widths add up: those that are decoded where these do."""
    width = _inputs(shapes, "enc/mlp0/kernel", 0)
    if named is not None:
        return tuple(key for key in vectors if key in named)
    if not width:
        # An encoder without layers passes vectors on; one without vectors has images alone.
        layers = any(name.startswith("dec/mlp/") for name in shapes)
        return () if layers else tuple(key for key in vectors if key in heads)
    widths = {key: x.width for key, x in vectors.items() if key in heads or not _unknown(x)}
    # A key without a head, without which the widths fit, is not the model's.
    with_head = tuple(key for key in vectors if key in heads)
    if sum(widths[key] for key in with_head) == width:
        return with_head
    fits = choices(widths, width)
    if len(fits) > 1:
        raise _ambiguous("encode", "the encoder's vectors", width, fits)
    if fits:
        return fits[0]
    for key in (key for key, x in vectors.items() if key not in heads and _unknown(x)):
        raise ParamsError(
            f"dec/vec/{clean(key)}/logits/kernel: missing, though the replay has a discrete key"
            f" {key!r}, and without it no keys add up to the {width} inputs of enc/mlp0",
            hint="name the keys that the encoder sees with --encode",
        )
    return tuple(vectors)  # none fits, which the check of all shapes tells


def _classes(
    key: str,
    space: Space,
    shapes: Shapes,
    vectors: Mapping[str, Space],
    encoded: Iterable[str],
) -> Space:
    """A discrete key without a head, named as encoded: its classes are the width that is left."""
    if not _unknown(space):
        return space
    width = _inputs(shapes, "enc/mlp0/kernel", 0)
    others = [vectors[x] for x in encoded if x in vectors and x != key]
    left = width - sum(other.width for other in others)
    count = max(1, math.prod(space.shape))
    if any(_unknown(other) for other in others) or left <= 0 or left % count:
        raise ParamsError(
            f"enc/mlp0/kernel: takes {width} numbers, from which the classes of the discrete key"
            f" {key!r} {space.shape} cannot be told",
            hint="name the keys that the encoder sees with --encode",
        )
    return Space(space.shape, space.dtype, left // count)


def choices(widths: Mapping[str, int], total: int) -> list[tuple[str, ...]]:
    """Sets of keys whose widths add up to a total, at most `_MOST_FITS`, in the keys' own order.

    Sums that the keys to come can still complete are known beforehand, so that only branches that
    lead somewhere are followed: a few are found in no time, however many keys there are.
    """
    keys = [key for key, width in widths.items() if 0 < width <= total]
    if not 0 < total <= min(sum(widths[key] for key in keys), _WIDEST):
        return []
    reachable = [1]  # bit s: the last keys can add up to s
    for key in reversed(keys):
        reachable.append(reachable[-1] | (reachable[-1] << widths[key]) & ((1 << total + 1) - 1))
    reachable.reverse()
    found: list[tuple[str, ...]] = []
    # What is still to be followed, the last first: a replay may hold more keys than calls can nest.
    open_: list[tuple[int, int, tuple[str, ...]]] = [(0, total, ())]
    while open_ and len(found) < _MOST_FITS:
        at, left, taken = open_.pop()
        if not reachable[at] >> left & 1:
            continue
        if at == len(keys):
            found.append(taken)
            continue
        open_.append((at + 1, left, taken))
        if widths[keys[at]] <= left:
            open_.append((at + 1, left - widths[keys[at]], (*taken, keys[at])))
    return found


def _ambiguous(option: str, part: str, width: int, fits: Sequence[tuple[str, ...]]) -> ParamsError:
    told = " or ".join(" + ".join(clean(key) for key in keys) for keys in fits[: _MOST_FITS - 1])
    more = " or others" if len(fits) >= _MOST_FITS else ""
    return ParamsError(
        f"{part}, {width} in all, can be more than one choice of keys: {told}{more}",
        hint=f"say which with --{option} KEYS",
    )


def _notes(
    known: Mapping[str, Space], encoded: set[str], decoded: set[str], *, named: bool
) -> list[str]:
    left_out = [clean(key) for key in known if key not in encoded | decoded]
    half = [
        (sorted(clean(x) for x in encoded - decoded), "encoded and not decoded, so not drawn"),
        (sorted(clean(x) for x in decoded - encoded), "decoded and not encoded"),
    ]
    the, its = "by the widths of the parameters", "by the widths of its parameters"
    if named:
        the = its = "as the options say"
    notes = [f"{', '.join(keys)}: {what}, {the}" for keys, what in half if keys]
    if left_out:
        notes.append(f"{', '.join(left_out)}: in the replay, but not seen by the model, {its}")
    return notes


def _is_numbers(info: StepInfo) -> bool:
    return info.dtype.kind in "biuf"


def _check_numbers(key: str, info: StepInfo) -> None:
    if not _is_numbers(info):
        raise ReplayError(
            f"{key!r} in the replay: expected numbers, found {info.dtype}",
            hint="pass the replay that the run wrote",
        )


def _observation(key: str, info: StepInfo, shapes: Shapes, heads: Mapping[str, str]) -> Space:
    _check_numbers(key, info)
    if _is_image(info) or not is_discrete(info.dtype):
        return Space(info.shape, str(info.dtype))
    if key not in heads:
        return Space(info.shape, str(info.dtype), _UNKNOWN)
    return _space(key, heads[key], info, outputs(shapes[heads[key]]))


# Classes of a discrete key that no head tells.
_UNKNOWN = -1


def _unknown(space: Space) -> bool:
    return space.classes == _UNKNOWN


def _is_image(info: StepInfo) -> bool:
    return info.dtype == np.uint8 and len(info.shape) == 3


def _space(key: str, name: str, info: StepInfo, size: int) -> Space:
    """`size` outputs over the key's own size are its classes; 0 for continuous keys."""
    count = max(1, math.prod(info.shape))
    if size % count:
        raise ParamsError(
            f"{name}: {size} outputs do not divide over the {count} values of {key!r}"
            f" {info.shape} in the replay",
            hint=_OF_THE_RUN,
        )
    return Space(info.shape, str(info.dtype), size // count)


def _inputs(shapes: Shapes, name: str, axis: int) -> int:
    """One side of a kernel; 0 where there is none, or a shape that no layer has."""
    shape = shapes.get(name, ())
    return shape[axis] if len(shape) >= 2 else 0


def outputs(kernel: tuple[int, ...]) -> int:
    """Of a layer; 0 where a hostile checkpoint has a shape that no layer has."""
    return kernel[-1] if kernel else 0


def is_discrete(dtype: np.dtype) -> bool:
    """Integers and flags."""
    return bool(np.issubdtype(dtype, np.integer) or dtype == np.bool_)


def _widths(keys: Mapping[str, StepInfo]) -> str:
    """`state 5, grid 16 discrete`."""
    return (
        ", ".join(
            f"{clean(key)} {math.prod(info.shape)}{' discrete' * is_discrete(info.dtype)}"
            for key, info in keys.items()
        )
        or "none"
    )
