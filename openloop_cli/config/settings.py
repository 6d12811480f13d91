"""The settings that a report needs, as frozen dataclasses.

Defaults are those of the reference's classes, which hold where config.yaml is silent.
"""

import re
from dataclasses import dataclass, fields
from pathlib import Path

from openloop_cli.errors import ConfigError

MOST_LAYERS = 1000
COMPUTE_DTYPES = ("bfloat16", "float16", "float32")
# What `world_model.nets` implements, named here so that a config is checked without jax.
ACTIVATION_NAMES = (
    *("none", "mish", "relu2", "swiglu", "tanh", "gelu", "relu", "relu6", "sigmoid", "softplus"),
    *("soft_sign", "silu", "swish", "log_sigmoid", "leaky_relu", "hard_sigmoid", "hard_silu"),
    *("hard_swish", "hard_tanh", "elu", "celu", "selu"),
)


@dataclass(frozen=True)
class EncoderConfig:
    """`agent.enc.simple`; class Encoder in the reference's rssm.py."""

    depth: int = 64
    mults: tuple[int, ...] = (2, 3, 4, 4)
    layers: int = 3
    units: int = 1024
    act: str = "gelu"
    norm: str = "rms"
    symlog: bool = True
    outer: bool = False
    kernel: int = 5
    strided: bool = False


@dataclass(frozen=True)
class RSSMConfig:
    """`agent.dyn.rssm`; class RSSM in the reference's rssm.py."""

    deter: int = 4096
    hidden: int = 2048
    stoch: int = 32
    classes: int = 32
    act: str = "gelu"
    norm: str = "rms"
    unimix: float = 0.01
    imglayers: int = 2
    obslayers: int = 1
    dynlayers: int = 1
    absolute: bool = False
    blocks: int = 8
    free_nats: float = 1.0


@dataclass(frozen=True)
class DecoderConfig:
    """`agent.dec.simple`; class Decoder in the reference's rssm.py."""

    depth: int = 64
    mults: tuple[int, ...] = (2, 3, 4, 4)
    layers: int = 3
    units: int = 1024
    act: str = "gelu"
    norm: str = "rms"
    symlog: bool = True
    bspace: int = 8
    outer: bool = False
    kernel: int = 5
    strided: bool = False


@dataclass(frozen=True)
class HeadConfig:
    """`agent.rewhead`, `agent.conhead`, `agent.value`; class MLPHead in heads.py."""

    units: int = 1024
    layers: int = 5
    act: str = "silu"
    norm: str = "rms"
    bins: int = 255
    output: str = "symexp_twohot"

    @property
    def layer(self) -> tuple[str, int]:
        """The output layer's name and size."""
        sizes = {"symexp_twohot": ("logits", self.bins), "binary": ("logit", 1)}
        return sizes.get(self.output, ("pred", 1))


@dataclass(frozen=True)
class ModelConfig:
    """All that the world model's mathematics depends on; hashable, so jit can take it."""

    enc: EncoderConfig = EncoderConfig()
    dyn: RSSMConfig = RSSMConfig()
    dec: DecoderConfig = DecoderConfig()
    reward: HeadConfig = HeadConfig()
    cont: HeadConfig = HeadConfig(output="binary")
    value: HeadConfig = HeadConfig()
    contdisc: bool = True
    horizon: int = 333
    compute_dtype: str = "bfloat16"


@dataclass(frozen=True)
class RunConfig:
    """A run's settings and where they came from.

    Attributes:
      action_repeat: Environment steps that a recorded step takes; None where unknown.
      item_length: Steps of what the trainer samples from the replay, replay context included; None
        where unknown.
      source: The config.yaml, or None when everything came from the parameters.
      notes: What was assumed or ignored, a line each, to be printed and recorded.
    """

    model: ModelConfig
    replay_context: int = 1
    report_length: int = 32
    task: str = ""
    action_repeat: int | None = None
    item_length: int | None = None
    name: str = ""
    source: Path | None = None
    notes: tuple[str, ...] = ()


def norm_kind(impl: str, where: str = "norm") -> tuple[str, float]:
    """`rms`, `layer`, `none`, and the epsilon that the name may carry (`rms1em6`)."""
    match = re.fullmatch(r"(rms|layer|none)(?:1em([0-9]{1,2}))?", impl)
    if not match:
        raise ConfigError(f"{where}: expected rms, layer or none, such as rms1em6, found {impl!r}")
    return match[1], 10.0 ** -int(match[2]) if match[2] else 1e-4


def check_settings(model: ModelConfig) -> None:
    """What no shape can tell: names, and numbers that must divide or lie in a range."""
    if model.compute_dtype not in COMPUTE_DTYPES:
        raise ConfigError(
            f"jax.compute_dtype: expected one of {', '.join(COMPUTE_DTYPES)},"
            f" found {model.compute_dtype!r}"
        )
    for name, where in _PLACES.items():
        _check_part(getattr(model, name), where)
    if model.horizon < 1:
        raise ConfigError(f"agent.horizon: expected 1 or more, found {model.horizon}")
    dyn = model.dyn
    if not 0 <= dyn.unimix < 1:
        raise ConfigError(f"agent.dyn.rssm.unimix: expected 0 to 1, found {dyn.unimix}")
    if dyn.blocks < 1 or dyn.deter % dyn.blocks:
        raise ConfigError(
            f"agent.dyn.rssm: deter {dyn.deter} does not divide into {dyn.blocks} blocks"
        )
    for name, known in _HEADS.items():
        found = getattr(model, name).output
        if found not in known:
            raise ConfigError(
                f"{_PLACES[name]}.output: expected {' or '.join(known)}, found {found!r}",
                hint="no other head is known",
            )


def _check_part(part: EncoderConfig | RSSMConfig | DecoderConfig | HeadConfig, where: str) -> None:
    norm_kind(part.norm, f"{where}.norm")
    if part.act not in ACTIVATION_NAMES:
        raise ConfigError(
            f"{where}.act: {part.act!r} is not known",
            hint=f"known are {', '.join(ACTIVATION_NAMES)}",
        )
    for field in fields(part):
        if field.name.endswith("layers") and getattr(part, field.name) > MOST_LAYERS:
            found = getattr(part, field.name)
            raise ConfigError(
                f"{where}.{field.name}: expected at most {MOST_LAYERS}, found {found}"
            )


_SCALAR = ("symexp_twohot", "symlog_mse", "mse")
_HEADS = {"reward": _SCALAR, "cont": ("binary",), "value": _SCALAR}
_PLACES = {
    "enc": "agent.enc.simple",
    "dyn": "agent.dyn.rssm",
    "dec": "agent.dec.simple",
    "reward": "agent.rewhead",
    "cont": "agent.conhead",
    "value": "agent.value",
}
