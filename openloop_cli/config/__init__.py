"""The run's settings: from its config.yaml, or from the parameters alone -> RunConfig."""

from openloop_cli.config.inferred import infer_config
from openloop_cli.config.presets import nearest_preset
from openloop_cli.config.run_yaml import find_config, parse_config, read_config
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
    "DecoderConfig",
    "EncoderConfig",
    "HeadConfig",
    "ModelConfig",
    "RSSMConfig",
    "RunConfig",
    "find_config",
    "infer_config",
    "nearest_preset",
    "norm_kind",
    "parse_config",
    "read_config",
]
