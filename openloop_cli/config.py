"""The settings that a report needs, as frozen dataclasses: from config.yaml or from the parameters.

Defaults are those of the reference's classes, which hold where config.yaml is silent.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from openloop_cli.errors import ConfigError

COMPUTE_DTYPES = ("bfloat16", "float16", "float32")
CONFIG_NAME = "config.yaml"
MAX_CONFIG_BYTES = 4 * 2**20
# Options of the reference that only shape training or initialisation.
TRAINING_ONLY = ("winit", "outscale", "unroll", "bias", "binit")


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
      source: The config.yaml, or None when everything came from the parameters.
      notes: What was assumed or ignored, a line each, to be printed and recorded.
    """

    model: ModelConfig
    replay_context: int = 1
    report_length: int = 32
    task: str = ""
    name: str = ""
    source: Path | None = None
    notes: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


def find_config(start: Path) -> Path | None:
    """The nearest config.yaml in `start` or any folder above it; None when there is none."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / CONFIG_NAME).is_file():
            return folder / CONFIG_NAME
    return None


def read_config(path: Path) -> RunConfig:
    """Reads the reference's config.yaml.

    Raises:
      ConfigError: Not readable, not YAML, or of an architecture that we do not know.
    """
    tree = _load_yaml(path)
    notes: list[str] = []
    try:
        run = parse_config(tree, notes)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", hint=error.hint) from None
    name = Path(str(tree.get("logdir") or "")).name or path.resolve().parent.name
    return replace(run, name=name, source=path, notes=tuple(notes))


def parse_config(tree: Mapping[str, Any], notes: list[str]) -> RunConfig:
    """The same from an already parsed tree; adds a line to `notes` for each ignored option."""
    agent = _table(tree, "agent")
    jax = _table(tree, "jax")
    model = ModelConfig(
        enc=_module(agent, "enc", "simple", EncoderConfig, notes),
        dyn=_module(agent, "dyn", "rssm", RSSMConfig, notes),
        dec=_module(agent, "dec", "simple", DecoderConfig, notes),
        reward=_fill(HeadConfig, _table(agent, "rewhead"), "agent.rewhead", notes),
        cont=_fill(HeadConfig, _table(agent, "conhead"), "agent.conhead", notes),
        value=_fill(HeadConfig, _table(agent, "value"), "agent.value", notes),
        contdisc=_typed(agent.get("contdisc", True), bool, "agent.contdisc"),
        horizon=_typed(agent.get("horizon", 333), int, "agent.horizon"),
        compute_dtype=_typed(jax.get("compute_dtype", "bfloat16"), str, "jax.compute_dtype"),
    )
    _check(model)
    return RunConfig(
        model=model,
        replay_context=_typed(tree.get("replay_context", 1), int, "replay_context"),
        report_length=_typed(tree.get("report_length", 32), int, "report_length"),
        task=str(tree.get("task") or ""),
        raw=tree,
    )


def norm_kind(impl: str) -> tuple[str, float]:
    """`rms`, `layer`, `none`, and the epsilon that the name may carry (`rms1em6`)."""
    match = re.fullmatch(r"(rms|layer|none)(?:1em(\d+))?", impl)
    if not match:
        raise ConfigError(f"norm {impl!r}: expected rms, layer or none, such as rms1em6")
    return match[1], 10.0 ** -int(match[2]) if match[2] else 1e-4


def _load_yaml(path: Path) -> Mapping[str, Any]:
    # Imported here: the reader takes longer to import than `openloop --help` should.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigError(
                f"{path}: {path.stat().st_size} bytes, a config.yaml has a few thousand",
                hint="pass the run's own config.yaml",
            )
        tree = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    except (YAMLError, RecursionError, ValueError) as error:
        where = str(getattr(error, "problem_mark", "") or "").strip().replace("\n", " ")
        raise ConfigError(
            f"{path}: not YAML{': ' + where if where else ''}",
            hint="pass the config.yaml that the run wrote",
        ) from None
    if not isinstance(tree, Mapping):
        raise ConfigError(
            f"{path}: expected settings by name, found {type(tree).__name__}",
            hint="pass the config.yaml that the run wrote",
        )
    return tree


Config = TypeVar("Config", EncoderConfig, RSSMConfig, DecoderConfig, HeadConfig)


def _module(
    agent: Mapping[str, Any], name: str, kind: str, cls: type[Config], notes: list[str]
) -> Config:
    table = _table(agent, name, "agent.")
    found = table.get("typ", kind)
    if found != kind:
        raise ConfigError(
            f"agent.{name}.typ: expected {kind!r}, found {found!r}",
            hint="only DreamerV3's own encoder, RSSM and decoder can be rolled out",
        )
    return _fill(cls, _table(table, kind, f"agent.{name}."), f"agent.{name}.{kind}", notes)


def _fill(cls: type[Config], table: Mapping[str, Any], where: str, notes: list[str]) -> Config:
    known = {f.name: f.default for f in fields(cls)}
    values = {}
    for key, value in table.items():
        if key in known:
            values[key] = _typed(value, type(known[key]), f"{where}.{key}")
        elif key not in TRAINING_ONLY:
            notes.append(f"{where}.{key}: unknown option, ignored")
    return cls(**values)


def _table(tree: Mapping[str, Any], key: str, prefix: str = "") -> Mapping[str, Any]:
    value = tree.get(key, {})
    if not isinstance(value, Mapping):
        raise ConfigError(f"{prefix}{key}: expected settings by name, found {value!r}")
    if key == "agent" and not value:
        raise ConfigError(
            "agent: missing", hint="pass the config.yaml that the DreamerV3 run wrote"
        )
    return value


def _typed(value: Any, kind: type, where: str) -> Any:
    """`value` as `kind`; an int may stand for a float and a list of ints for a tuple."""
    if kind is tuple:
        if isinstance(value, (list, tuple)) and value and all(type(x) is int for x in value):
            return tuple(value)
    elif kind is float:
        if type(value) in (int, float):
            return float(value)
    elif kind is int:
        if type(value) is int and value >= 0:
            return value
    elif type(value) is kind:
        return value
    raise ConfigError(f"{where}: expected {_KIND_NAMES[kind]}, found {value!r}")


_KIND_NAMES: dict[type, str] = {
    tuple: "a list of whole numbers",
    float: "a number",
    int: "a whole number, zero or more",
    bool: "true or false",
    str: "text",
}


def _check(model: ModelConfig) -> None:
    """What no shape can tell: names, and numbers that must divide or lie in a range."""
    if model.compute_dtype not in COMPUTE_DTYPES:
        raise ConfigError(
            f"jax.compute_dtype: expected one of {', '.join(COMPUTE_DTYPES)},"
            f" found {model.compute_dtype!r}"
        )
    for name in ("enc", "dyn", "dec", "reward", "cont", "value"):
        norm_kind(getattr(model, name).norm)
    dyn = model.dyn
    if not 0 <= dyn.unimix < 1:
        raise ConfigError(f"agent.dyn.rssm.unimix: expected 0 to 1, found {dyn.unimix}")
    if dyn.blocks < 1 or dyn.deter % dyn.blocks:
        raise ConfigError(
            f"agent.dyn.rssm: deter {dyn.deter} does not divide into {dyn.blocks} blocks"
        )
    for name, expected in (
        ("reward", "symexp_twohot"),
        ("cont", "binary"),
        ("value", "symexp_twohot"),
    ):
        found = getattr(model, name).output
        if found != expected:
            raise ConfigError(
                f"agent.{_HEAD_NAMES[name]}.output: expected {expected!r}, found {found!r}",
                hint="no other head is known",
            )


_HEAD_NAMES = {"reward": "rewhead", "cont": "conhead", "value": "value"}
