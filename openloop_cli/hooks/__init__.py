"""TorchRL's logging hooks: what a training collects, learns and achieves, in any of its loggers.

    hooks = LoggingHookSet(group="agents", frame_skip=1, reward_key=None, done_key=("next", "done"),
                           episode_reward_key=None, episode_reward_weights=None, reduce_stats=True)
    hooks.register(trainer)

Names, arguments, metrics and state are those of `xdrl.trainer_hooks.logging` at ad53056, which no
release holds; docs/torchrl.md lists what is mended. `OpenloopLogger` writes to every output that
`openloop_cli.loggers` has, `OpenLoopReportHook` reports a DreamerV3 checkpoint beside the training.

Nothing else of this package imports this folder, or torch.
"""

import re
from importlib.metadata import PackageNotFoundError, version

OLDEST = (0, 13)


def _check_torchrl() -> None:
    """Raises ImportError, which says what to install, where torchrl is missing or too old."""
    install = "pip install 'openloop[torchrl]'"
    try:
        found = version("torchrl")
    except PackageNotFoundError:
        raise ImportError(
            f"openloop_cli.hooks needs torchrl >= 0.13, which is not installed: {install}"
        ) from None
    if tuple(int(x) for x in re.findall(r"\d+", found)[:2]) < OLDEST:
        raise ImportError(
            f"openloop_cli.hooks needs torchrl >= 0.13, found {found}: {install} --upgrade"
        )


_check_torchrl()

from openloop_cli.hooks.collection import LoggingCollectionMetricsHook  # noqa: E402
from openloop_cli.hooks.counters import LoggingCountersHook  # noqa: E402
from openloop_cli.hooks.evaluation import LoggingEvaluationMetricsHook  # noqa: E402
from openloop_cli.hooks.logger import OpenloopLogger  # noqa: E402
from openloop_cli.hooks.progress import LoggingProgressMetricsHook  # noqa: E402
from openloop_cli.hooks.report import OpenLoopReportHook  # noqa: E402
from openloop_cli.hooks.sets import LoggingEvaluationHookSet, LoggingHookSet  # noqa: E402
from openloop_cli.hooks.tensors import to_numpy  # noqa: E402
from openloop_cli.hooks.training import LoggingTrainingMetricsHook  # noqa: E402
from openloop_cli.hooks.wandb import WandbFinishHook, WandbFlushHook  # noqa: E402

__all__ = [
    "LoggingCollectionMetricsHook",
    "LoggingCountersHook",
    "LoggingEvaluationHookSet",
    "LoggingEvaluationMetricsHook",
    "LoggingHookSet",
    "LoggingProgressMetricsHook",
    "LoggingTrainingMetricsHook",
    "OpenLoopReportHook",
    "OpenloopLogger",
    "WandbFinishHook",
    "WandbFlushHook",
    "to_numpy",
]
