"""The run's settings: from its config.yaml, or from the parameters alone -> RunConfig."""

from openloop_cli.config.inferred import differing_sizes, infer_config
from openloop_cli.config.presets import nearest_preset
from openloop_cli.config.run_yaml import (
    INFERRED,
    find_config,
    parse_config,
    read_config,
    settings_file,
)
from openloop_cli.config.settings import (
    ACTIVATION_NAMES,
    COMPUTE_DTYPES,
    DecoderConfig,
    EncoderConfig,
    HeadConfig,
    ModelConfig,
    RSSMConfig,
    RunConfig,
    norm_kind,
)

__all__ = [
    "ACTIVATION_NAMES",
    "COMPUTE_DTYPES",
    "INFERRED",
    "DecoderConfig",
    "EncoderConfig",
    "HeadConfig",
    "ModelConfig",
    "RSSMConfig",
    "RunConfig",
    "differing_sizes",
    "find_config",
    "infer_config",
    "nearest_preset",
    "norm_kind",
    "parse_config",
    "read_config",
    "settings_file",
]
