"""The parameters alone -> RunConfig, for a run whose config.yaml is lost.

Widths, layers, blocks and kernels follow from shapes. What no shape tells is assumed to be the
reference's default, and every assumption is noted.
"""

import math
from collections.abc import Mapping

from openloop_cli.config.settings import (
    DecoderConfig,
    EncoderConfig,
    HeadConfig,
    ModelConfig,
    RSSMConfig,
    RunConfig,
    check_settings,
)
from openloop_cli.errors import ConfigError

Shapes = Mapping[str, tuple[int, ...]]
ASSUMED = (
    "assumed compute dtype bfloat16 (--dtype changes it)",
    "assumed activation silu, unimix 0.01, symlog on, pooling rather than strided convolutions",
)


def infer_config(
    shapes: Shapes, *, image_area: int = 0, stoch: tuple[int, int] | None = None
) -> RunConfig:
    """What the parameters can tell, the rest assumed and noted.

    Args:
      shapes: Shape by name of all parameters.
      image_area: Height times width of the image observations, 0 without.
      stoch: (S, L) as the replay stores `dyn/stoch`; None when it does not.

    Raises:
      ConfigError: The parameters are not those of a DreamerV3 world model.
    """
    notes = ["no config.yaml: inferred the architecture from the parameters", *ASSUMED]
    try:
        dyn = _rssm(shapes, image_area, stoch, notes)
        model = ModelConfig(
            enc=_encoder(shapes, image_area, dyn),
            dyn=dyn,
            dec=_decoder(shapes, image_area),
            reward=_head(shapes, "rew", "logits", "symexp_twohot"),
            cont=_head(shapes, "con", "logit", "binary"),
            value=_head(shapes, "val", "logits", "symexp_twohot"),
        )
    except KeyError as error:
        raise ConfigError(
            f"no config.yaml, and the parameters do not tell the architecture: no {error.args[0]}",
            hint="pass the run's own with --config",
        ) from None
    except (IndexError, ValueError, ZeroDivisionError):
        raise ConfigError(
            "no config.yaml, and parameters of shapes that no DreamerV3 world model has",
            hint="pass the run's own with --config",
        ) from None
    check_settings(model)
    if not stoch:
        notes.append("the replay stores no latent states: assumed replay_context 0")
    return RunConfig(model=model, replay_context=1 if stoch else 0, notes=tuple(notes))


def _rssm(
    shapes: Shapes, image_area: int, stoch: tuple[int, int] | None, notes: list[str]
) -> RSSMConfig:
    deter, hidden = shapes["dyn/dynin0/kernel"]
    latents = shapes["dyn/priorlogit/bias"][0]
    if not stoch:
        stoch = (32, latents // 32) if latents % 32 == 0 else (latents, 1)
        notes.append(f"assumed {stoch[0]} latents of {stoch[1]} classes")
    inputs = shapes["dyn/obs0/kernel" if "dyn/obs0/kernel" in shapes else "dyn/obslogit/kernel"][0]
    return RSSMConfig(
        deter=deter,
        hidden=hidden,
        stoch=stoch[0],
        classes=stoch[1],
        act="silu",
        norm=_norm(shapes, "dyn/dynin0norm"),
        imglayers=count_layers(shapes, "dyn/prior{}/kernel"),
        obslayers=count_layers(shapes, "dyn/obs{}/kernel"),
        dynlayers=count_layers(shapes, "dyn/dynhid{}/kernel"),
        absolute=not any(tokens == inputs - deter for _, tokens in _tokens(shapes, image_area)),
        blocks=shapes["dyn/dyngru/kernel"][0],
    )


def _encoder(shapes: Shapes, image_area: int, dyn: RSSMConfig) -> EncoderConfig:
    name = "dyn/obs0/kernel" if dyn.obslayers else "dyn/obslogit/kernel"
    expected = shapes[name][0] - (0 if dyn.absolute else dyn.deter)
    outer = next((o for o, tokens in _tokens(shapes, image_area) if tokens == expected), False)
    vectors = "enc/mlp0/kernel" in shapes
    images = "enc/cnn0/kernel" in shapes
    depth, mults = _stages(_channels(shapes, "enc/cnn{}/kernel"))
    return EncoderConfig(
        depth=depth,
        mults=mults,
        layers=count_layers(shapes, "enc/mlp{}/kernel"),
        units=shapes["enc/mlp0/bias"][0] if vectors else 1024,
        act="silu",
        norm=_norm(shapes, "enc/mlp0norm" if vectors else "enc/cnn0norm"),
        outer=outer,
        kernel=shapes["enc/cnn0/kernel"][0] if images else 5,
    )


def _decoder(shapes: Shapes, image_area: int) -> DecoderConfig:
    layers = count_layers(shapes, "dec/mlp/linear{}/kernel")
    units = shapes["dec/mlp/linear0/bias"][0] if layers else 1024
    norm = _norm(shapes, "dec/mlp/norm0" if layers else "dec/spnorm")
    if "dec/imgout/kernel" not in shapes:
        return DecoderConfig(layers=layers, units=units, act="silu", norm=norm)
    channels = [shapes["dec/imgout/kernel"][2]]
    for i in range(count_layers(shapes, "dec/conv{}/kernel")):
        channels.append(shapes[f"dec/conv{i}/kernel"][2])
    depth, mults = _stages(channels)
    start = shapes["dec/sp0/bias" if "dec/sp0/bias" in shapes else "dec/space/bias"][0]
    pixels = start // channels[-1]
    return DecoderConfig(
        depth=depth,
        mults=mults,
        layers=layers,
        units=units if layers else shapes["dec/sp1/bias"][0] // 2,
        act="silu",
        norm=norm,
        bspace=shapes["dec/sp0/kernel"][0] if "dec/sp0/kernel" in shapes else 0,
        outer=image_area != pixels * 4 ** len(mults),
        kernel=shapes["dec/imgout/kernel"][0],
    )


def _head(shapes: Shapes, name: str, output: str, kind: str) -> HeadConfig:
    if f"{name}/head/{output}/bias" not in shapes:
        return HeadConfig(output=kind)  # the checkpoint lacks it, and nobody asks for it
    layers = count_layers(shapes, f"{name}/mlp/linear{{}}/kernel")
    return HeadConfig(
        units=shapes[f"{name}/mlp/linear0/bias"][0] if layers else 1024,
        layers=layers,
        norm=_norm(shapes, f"{name}/mlp/norm0"),
        bins=shapes[f"{name}/head/{output}/bias"][0],
        output=kind,
    )


def _tokens(shapes: Shapes, image_area: int) -> list[tuple[bool, int]]:
    """The widths that the encoder's output can have, with `outer` off and on."""
    vectors = count_layers(shapes, "enc/mlp{}/kernel")
    width = shapes[f"enc/mlp{vectors - 1}/bias"][0] if vectors else 0
    channels = _channels(shapes, "enc/cnn{}/kernel")
    if not channels:
        return [(False, width)]
    stages = len(channels)
    return [
        (outer, width + channels[-1] * image_area // 4 ** (stages - outer))
        for outer in (False, True)
    ]


def _stages(channels: list[int]) -> tuple[int, tuple[int, ...]]:
    """Channels of each stage -> `depth` and `mults`."""
    depth = math.gcd(*channels) or 1
    return depth, tuple(c // depth for c in channels) or (1,)


def _channels(shapes: Shapes, form: str) -> list[int]:
    return [shapes[form.format(i)][-1] for i in range(count_layers(shapes, form))]


def count_layers(shapes: Shapes, form: str) -> int:
    """How many names of a form are there, numbered from 0."""
    count = 0
    while form.format(count) in shapes:
        count += 1
    return count


def _norm(shapes: Shapes, name: str) -> str:
    if f"{name}/shift" in shapes:
        return "layer"
    return "rms" if f"{name}/scale" in shapes else "none"


def differing_sizes(shapes: Shapes, given: ModelConfig, inferred: ModelConfig) -> list[str]:
    """Each size that parameters tell and settings say otherwise: `deter 64, parameters say 32`."""
    told = []
    for (part, needed), names in _SIZES.items():
        ours, theirs = getattr(given, part), getattr(inferred, part)
        for name in names if any(x.startswith(needed) for x in shapes) else ():
            a, b = getattr(ours, name), getattr(theirs, name)
            if a != b:
                label = name if part == "dyn" else f"{part}.{name}"
                told.append(f"{label} {_told(a)}, parameters say {_told(b)}")
    return told


def _told(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


# What shapes tell for sure, the most telling first.
_SIZES = {
    ("dyn", "dyn/"): ("deter", "hidden", "stoch", "classes", "blocks", "imglayers", "obslayers",
                      "dynlayers"),
    ("enc", "enc/cnn0"): ("depth", "mults", "kernel"),
    ("enc", "enc/mlp0"): ("units", "layers"),
    ("dec", "dec/imgout"): ("depth", "mults", "bspace", "kernel"),
    ("dec", "dec/mlp"): ("units", "layers"),
    ("reward", "rew/"): ("units", "layers", "bins"),
    ("cont", "con/"): ("units", "layers"),
    ("value", "val/"): ("units", "layers", "bins"),
}  # fmt: skip
