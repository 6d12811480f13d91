"""config.yaml, as the reference writes it (YAML 1.2), -> RunConfig."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

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
from openloop_cli.storage import may_read

CONFIG_NAME = "config.yaml"
INFERRED = Path("infer")
"""In place of a file: the architecture that the parameters tell."""
# Options of the reference that only shape training or initialisation.
TRAINING_ONLY = ("winit", "outscale", "unroll", "bias", "binit", "minstd", "maxstd", "unimix")


def find_config(start: Path) -> Path | None:
    """The nearest config.yaml in `start` or any folder above it; None when there is none."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if may_read(folder / CONFIG_NAME):
            return folder / CONFIG_NAME
    return None


def settings_file(named: Path | None, start: Path) -> Path | None:
    """The config.yaml that counts: the one named, else the nearest; None where the settings are to
    be inferred."""
    if named is None:
        return find_config(start)
    return None if named == INFERRED and not named.exists() else named


def read_config(path: Path) -> RunConfig:
    """Reads the reference's config.yaml.

    Raises:
      ConfigError: Not readable, not YAML, or of an architecture that we do not know.
    """
    # Imported here: the reader takes longer to import than `openloop --help` should.
    from openloop_cli.config.yaml_text import load_yaml

    tree = load_yaml(path)
    notes: list[str] = []
    try:
        run = parse_config(tree, notes)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", hint=error.hint) from None
    logdir = tree.get("logdir")
    name = Path(logdir if isinstance(logdir, str) else "").name or path.resolve().parent.name
    return replace(run, name=name, source=path, notes=tuple(notes))


# What the reference's configs.yaml says of the continue head, for copies that have none.
_BINARY: Mapping[str, Any] = {"output": "binary"}


def parse_config(tree: Mapping[str, Any], notes: list[str]) -> RunConfig:
    """The same from an already parsed tree; adds a line to `notes` for each ignored option."""
    agent = _table(tree, "agent")
    jax = _table(tree, "jax")
    model = ModelConfig(
        enc=_module(agent, "enc", "simple", EncoderConfig, notes),
        dyn=_module(agent, "dyn", "rssm", RSSMConfig, notes),
        dec=_module(agent, "dec", "simple", DecoderConfig, notes),
        reward=_fill(HeadConfig, _table(agent, "rewhead"), "agent.rewhead", notes),
        cont=_fill(HeadConfig, {**_BINARY, **_table(agent, "conhead")}, "agent.conhead", notes),
        value=_fill(HeadConfig, _table(agent, "value"), "agent.value", notes),
        contdisc=_typed(agent.get("contdisc", True), bool, "agent.contdisc"),
        horizon=_typed(agent.get("horizon", 333), int, "agent.horizon"),
        compute_dtype=_typed(jax.get("compute_dtype", "bfloat16"), str, "jax.compute_dtype"),
    )
    check_settings(model)
    replay_context = _typed(tree.get("replay_context", 1), int, "replay_context")
    return RunConfig(
        model=model,
        replay_context=replay_context,
        report_length=_typed(tree.get("report_length", 32), int, "report_length"),
        task=_typed(tree.get("task") or "", str, "task"),
        action_repeat=action_repeat(tree),
        item_length=_item_length(tree, replay_context),
    )


def action_repeat(tree: Mapping[str, Any]) -> int | None:
    """Environment steps that one recorded step takes: `env.<suite>.repeat` of the task's suite,
    which is its name up to the first underscore. Nothing is computed from it, so that a suite
    that says nothing of the kind, or something else, leaves it unknown."""
    found: Any = tree.get("env")
    for name in (str(tree.get("task") or "").partition("_")[0], "repeat"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if type(found) is int and 0 < found < 1 << 31 else None


def _item_length(tree: Mapping[str, Any], replay_context: int) -> int | None:
    """As the reference's main.py computes it: `batch_length` · `consec_train` + replay context."""
    length, times = tree.get("batch_length"), tree.get("consec_train", 1)
    if type(length) is not int or type(times) is not int:
        return None
    steps = length * times + replay_context
    return steps if 0 < steps < 1 << 31 else None


Config = TypeVar("Config", EncoderConfig, RSSMConfig, DecoderConfig, HeadConfig)


def _module(
    agent: Mapping[str, Any], name: str, kind: str, cls: type[Config], notes: list[str]
) -> Config:
    table = _table(agent, name, "agent.")
    found = table.get("typ", kind)
    if found != kind:
        raise ConfigError(
            f"agent.{name}.typ: expected {kind!r}, found {_shown(found)}",
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
            notes.append(
                f"{where}.{key}: {_shown(value)} is no option of DreamerV3 and may change the"
                " model: these numbers are of plain DreamerV3"
            )
    return cls(**values)


def _table(tree: Mapping[str, Any], key: str, prefix: str = "") -> Mapping[str, Any]:
    value = tree.get(key, {})
    if not isinstance(value, Mapping):
        raise ConfigError(f"{prefix}{key}: expected settings by name, found {_shown(value)}")
    if key == "agent" and not value:
        raise ConfigError(
            "agent: missing", hint="pass the config.yaml that the DreamerV3 run wrote"
        )
    return value


def _typed(value: Any, kind: type, where: str) -> Any:
    """`value` as `kind`; an int may stand for a float and a list of ints for a tuple."""
    if kind is tuple:
        if (
            isinstance(value, (list, tuple))
            and value
            and all(type(x) is int and abs(x) < 1 << 63 for x in value)
        ):
            return tuple(value)
    elif kind is float:
        if type(value) in (int, float):
            return float(value)
    elif kind is int:
        if type(value) is int and 0 <= value < 1 << 63:  # what arrays can count
            return value
    elif type(value) is kind:
        return value
    raise ConfigError(f"{where}: expected {_KIND_NAMES[kind]}, found {_shown(value)}")


def _shown(value: Any) -> str:
    """A value from a stranger's file, in one line."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


_KIND_NAMES: dict[type, str] = {
    tuple: "a list of whole numbers",
    float: "a number",
    int: "a whole number, zero or more",
    bool: "true or false",
    str: "text",
}
