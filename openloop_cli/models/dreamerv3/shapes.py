"""Names and shapes of every parameter that a report needs, checked in one pass. No jax.

A checkpoint that goes with another config is reported with all of its disagreements at once.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping

from openloop_cli.config import DecoderConfig, HeadConfig, ModelConfig, norm_kind
from openloop_cli.errors import ConfigError, ParamsError
from openloop_cli.spaces import Space, Spaces
from openloop_cli.text import clean

Shapes = dict[str, tuple[int, ...]]
HEADS = ("rew", "con", "val")


_ACTION_HEAD = re.compile(r"pol/head/(.+)/(?:logits|mean)/kernel")


def check_params(
    found: Mapping[str, tuple[int, ...]], config: ModelConfig, spaces: Spaces
) -> tuple[str, ...]:
    """The names that the world model needs, all of them there and of the right shape.

    Args:
      found: Shape by name, of the whole checkpoint.

    Raises:
      ParamsError: Naming the parameters that are missing or of another shape, with both shapes.
      ConfigError: Sizes in the config that no network can have.
    """
    expected = expected_shapes(config, spaces, heads_of(found))
    wrong = disagreements(found, expected)
    if wrong:
        shown = "; ".join(wrong[:3])
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        other = another_environment(found, spaces)
        if other:
            raise ParamsError(
                f"another environment's replay: {other} ({shown}{more})",
                hint="pass the replay of the checkpoint's own run",
            )
        if "enc/cnn0/kernel" in found and not spaces.encoded_images:
            raise ParamsError(
                "enc/cnn0/kernel: the model sees images, the replay holds none (uint8, of height,"
                " width and channels)",
                hint="pass the replay of the checkpoint's own run",
            )
        raise ParamsError(shown + more, hint=_whose_fault(found, expected, spaces))
    return tuple(expected)


# What depends on the replay's keys, all else on the settings.
_OF_KEYS = re.compile(r"enc/(mlp0|cnn0)/kernel|dec/imgout/.+|dec/vec/.+|dyn/dynin2/kernel")


def _whose_fault(found: Mapping[str, tuple[int, ...]], expected: Shapes, spaces: Spaces) -> str:
    """What to do about parameters that do not fit, as far as they tell."""
    names = [name for name, shape in expected.items() if tuple(found.get(name, ())) != shape]
    if all(_OF_KEYS.fullmatch(name) for name in names):
        widths = ", ".join(f"{clean(key)} {space.width}" for key, space in spaces.obs)
        return (
            f"the settings fit, the replay's keys do not ({widths}): pass the replay of the"
            " checkpoint's own run, or say what the model sees with --encode and --decode"
        )
    if not any(_OF_KEYS.fullmatch(name) for name in names):
        return "the replay's keys fit, the settings do not: pass the run's own with --config"
    return "pass the run's own config.yaml and replay"


def another_environment(found: Mapping[str, tuple[int, ...]], spaces: Spaces) -> str:
    """How the replay's actions differ from the checkpoint's, such as `it has discrete actions, the
    checkpoint 6 continuous ones`; empty where they agree, or nothing tells."""
    heads = {
        match[1]: name
        for name, shape in found.items()
        if shape and (match := _ACTION_HEAD.fullmatch(name))
    }
    theirs = [
        f"{found[name][-1]} {'discrete' if '/logits/' in name else 'continuous'}"
        for _, name in sorted(heads.items())
    ]
    ours = [
        # How many classes there are is told by the checkpoint alone.
        f"{space.width} continuous" if space.dtype.startswith("float") else "discrete"
        for _, space in sorted(spaces.act)
    ]
    if not theirs or sorted(ours) == sorted(re.sub(r"\d+ discrete", "discrete", x) for x in theirs):
        return ""
    mine = " and ".join(ours) + " actions" if ours else "no actions"
    return f"it has {mine}, the checkpoint {' and '.join(theirs)} ones"


def disagreements(found: Mapping[str, tuple[int, ...]], expected: Shapes) -> list[str]:
    """One line for each expected parameter that is missing or of another shape."""
    wrong = []
    for name, shape in expected.items():
        if name not in found:
            wrong.append(f"{name}: expected {shape}, missing")
        elif tuple(found[name]) != shape:
            wrong.append(f"{name}: expected {shape}, found {tuple(found[name])}")
    return wrong


def heads_of(found: Iterable[str]) -> tuple[str, ...]:
    """Which of the three heads are there, by any of their parameters; a file of the world model
    alone lacks `val`, a copy may lack others."""
    modules = {name.partition("/")[0] for name in found}
    return tuple(head for head in HEADS if head in modules)


def expected_shapes(config: ModelConfig, spaces: Spaces, heads: Collection[str] = HEADS) -> Shapes:
    """Shape by name of every parameter of the encoder, RSSM, decoder and these heads."""
    shapes: Shapes = {}
    tokens = _encoder(shapes, config, spaces)
    _rssm(shapes, config, spaces, tokens)
    _decoder(shapes, config, spaces)
    features = config.dyn.deter + config.dyn.stoch * config.dyn.classes
    for name, head in (("rew", config.reward), ("con", config.cont), ("val", config.value)):
        if name not in heads:
            continue
        width = _mlp(shapes, f"{name}/mlp", head, features)
        output, size = head.layer
        _linear(shapes, f"{name}/head/{output}", width, size)
    return shapes


def smallest_resolution(config: DecoderConfig, spaces: Spaces) -> tuple[int, int]:
    """(h, w) where the decoder's convolutions start."""
    height, width, _ = next(iter(spaces.images.values())).shape
    factor = 2 ** (len(config.mults) - int(config.outer))
    return height // factor, width // factor


def _encoder(shapes: Shapes, config: ModelConfig, spaces: Spaces) -> int:
    """Adds the encoder's shapes; returns the width of the tokens."""
    enc = config.enc
    tokens = 0
    if spaces.encoded_vectors:
        width = sum(space.width for space in spaces.encoded_vectors.values())
        for i in range(enc.layers):
            _linear(shapes, f"enc/mlp{i}", width, enc.units)
            _norm(shapes, f"enc/mlp{i}norm", enc.norm, enc.units)
            width = _after(enc.act, enc.units)
        tokens += width
    if spaces.encoded_images:
        height, width, channels = _image_shape(spaces.encoded_images)
        for i, mult in enumerate(enc.mults):
            size = enc.depth * mult
            _conv(shapes, f"enc/cnn{i}", enc.kernel, channels, size)
            _norm(shapes, f"enc/cnn{i}norm", enc.norm, size)
            channels = _after(enc.act, size)
            if not (enc.outer and i == 0):
                if height % 2 or width % 2:
                    raise ConfigError(
                        f"agent.enc.simple.mults: {len(enc.mults)} stages cannot halve the"
                        f" images {_image_shape(spaces.encoded_images)[:2]} of this replay",
                        hint="pass the run's own config.yaml and replay",
                    )
                height, width = height // 2, width // 2
        tokens += height * width * channels
    if not tokens:
        raise ParamsError("the replay has no observations", hint="pass the run's own replay")
    return tokens


def _image_shape(images: Mapping[str, Space]) -> tuple[int, int, int]:
    sizes = {space.shape[:2] for space in images.values()}
    if len(sizes) > 1:
        named = ", ".join(f"{key} {space.shape}" for key, space in images.items())
        raise ParamsError(
            f"image keys of different sizes: {named}", hint="DreamerV3 joins images of one size"
        )
    height, width = next(iter(sizes))
    return height, width, sum(space.shape[-1] for space in images.values())


def _rssm(shapes: Shapes, config: ModelConfig, spaces: Spaces, tokens: int) -> None:
    dyn = config.dyn
    actions = sum(space.width for space in spaces.actions.values())
    latents = dyn.stoch * dyn.classes
    for i, size in enumerate((dyn.deter, latents, actions)):
        _dense(shapes, f"dyn/dynin{i}", size, dyn.hidden, dyn.norm)
    hidden = _after(dyn.act, dyn.hidden)
    width = dyn.deter + dyn.blocks * 3 * hidden
    for i in range(dyn.dynlayers):
        _block_linear(shapes, f"dyn/dynhid{i}", width, dyn.deter, dyn.blocks)
        _norm(shapes, f"dyn/dynhid{i}norm", dyn.norm, dyn.deter)
        width = _after(dyn.act, dyn.deter)
    _block_linear(shapes, "dyn/dyngru", width, 3 * dyn.deter, dyn.blocks)
    for prefix, logits, layers, width in (
        ("dyn/obs", "dyn/obslogit", dyn.obslayers, tokens + dyn.deter * (not dyn.absolute)),
        ("dyn/prior", "dyn/priorlogit", dyn.imglayers, dyn.deter),
    ):
        for i in range(layers):
            _dense(shapes, f"{prefix}{i}", width, dyn.hidden, dyn.norm)
            width = hidden
        _linear(shapes, logits, width, latents)


def _decoder(shapes: Shapes, config: ModelConfig, spaces: Spaces) -> None:
    dec, dyn = config.dec, config.dyn
    latents = dyn.stoch * dyn.classes
    if spaces.vectors:
        width = latents + dyn.deter
        for i in range(dec.layers):
            _linear(shapes, f"dec/mlp/linear{i}", width, dec.units)
            _norm(shapes, f"dec/mlp/norm{i}", dec.norm, dec.units)
            width = _after(dec.act, dec.units)
        for key, space in spaces.vectors.items():
            head = "logits" if space.classes else "pred"
            _linear(shapes, f"dec/vec/{key}/{head}", width, space.width)
    if spaces.images:
        _decoder_images(shapes, config, spaces, latents)


def _decoder_images(shapes: Shapes, config: ModelConfig, spaces: Spaces, latents: int) -> None:
    dec, dyn = config.dec, config.dyn
    channels = dec.depth * dec.mults[-1]
    size = math.prod(smallest_resolution(dec, spaces)) * channels
    if dec.bspace:
        if dyn.deter % dec.bspace or channels % dec.bspace:
            raise ConfigError(
                f"agent.dec.simple.bspace: {dec.bspace} does not divide deter {dyn.deter}"
                f" and the {channels} channels of the last stage"
            )
        _block_linear(shapes, "dec/sp0", dyn.deter, size, dec.bspace)
        _linear(shapes, "dec/sp1", latents, 2 * dec.units)
        _norm(shapes, "dec/sp1norm", dec.norm, 2 * dec.units)
        _linear(shapes, "dec/sp2", _after(dec.act, 2 * dec.units), size)
        _norm(shapes, "dec/spnorm", dec.norm, channels)
    else:
        _linear(shapes, "dec/space", latents + dyn.deter, size)
        _norm(shapes, "dec/spacenorm", dec.norm, channels)
    channels = _after(dec.act, channels)
    for i in reversed(range(len(dec.mults) - 1)):
        _conv(shapes, f"dec/conv{i}", dec.kernel, channels, dec.depth * dec.mults[i])
        _norm(shapes, f"dec/conv{i}norm", dec.norm, dec.depth * dec.mults[i])
        channels = _after(dec.act, dec.depth * dec.mults[i])
    _conv(shapes, "dec/imgout", dec.kernel, channels, _image_shape(spaces.images)[2])


def _mlp(shapes: Shapes, name: str, head: HeadConfig, width: int) -> int:
    for i in range(head.layers):
        _linear(shapes, f"{name}/linear{i}", width, head.units)
        _norm(shapes, f"{name}/norm{i}", head.norm, head.units)
        width = _after(head.act, head.units)
    return width


def _dense(shapes: Shapes, name: str, inputs: int, outputs: int, impl: str) -> None:
    _linear(shapes, name, inputs, outputs)
    _norm(shapes, f"{name}norm", impl, outputs)


def _linear(shapes: Shapes, name: str, inputs: int, outputs: int) -> None:
    shapes[f"{name}/kernel"] = (inputs, outputs)
    shapes[f"{name}/bias"] = (outputs,)


def _block_linear(shapes: Shapes, name: str, inputs: int, outputs: int, blocks: int) -> None:
    shapes[f"{name}/kernel"] = (blocks, inputs // blocks, outputs // blocks)
    shapes[f"{name}/bias"] = (outputs,)


def _conv(shapes: Shapes, name: str, kernel: int, inputs: int, outputs: int) -> None:
    shapes[f"{name}/kernel"] = (kernel, kernel, inputs, outputs)
    shapes[f"{name}/bias"] = (outputs,)


def _norm(shapes: Shapes, name: str, impl: str, size: int) -> None:
    kind, _ = norm_kind(impl)
    if kind != "none":
        shapes[f"{name}/scale"] = (size,)
    if kind == "layer":
        shapes[f"{name}/shift"] = (size,)


def _after(act: str, size: int) -> int:
    """Width after an activation: a gated one halves it."""
    return size // 2 if act == "swiglu" else size
