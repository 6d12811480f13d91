"""TorchRL's `WandbLogger`: one row for each iteration, and an end.

A `WandbLogger` of torchrl 0.13 leaves rows open, one of 0.14 makes a row of each scalar.
`WandbFlushHook` keeps rows open with both, and closes one for each iteration. `OpenloopLogger`
with `wandb:PROJECT` needs neither.
"""

from collections.abc import Mapping
from typing import Any

from tensordict import TensorDictBase
from torchrl.trainers import TrainerHookBase

from openloop_cli.hooks.trainers import LOG, close_on_failure


class WandbFlushHook(TrainerHookBase):
    """Closes the row at `post_steps_log` and `shutdown`; register it after all that logs.

    What W&B says against it is told, and training goes on. Other loggers are left alone.

    Args:
      enabled: Whether it does anything.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self.last_flushed_steps: list[tuple[str, int]] = []
        self._trainer: Any = None
        self._rows: _OpenRows | None = None

    def __call__(self, batch: TensorDictBase | None = None) -> None:
        """Closes the open row, if anything was logged since the last."""
        logger: Any = getattr(self._trainer, "logger", None)
        steps = getattr(logger, "_step_registry", None)
        if not self.enabled or not isinstance(steps, Mapping):
            return
        now = [(str(name), int(step)) for name, step in steps.items()]
        if self._rows is not None and self._rows.logger is logger:
            changed, self._rows.open = self._rows.open, False
        else:
            changed = now != self.last_flushed_steps
        if not changed:
            return
        self.last_flushed_steps = now
        try:
            logger.experiment.log({}, commit=True)
        except Exception as error:  # noqa: BLE001  no reason for a training to end
            LOG.warning("W&B: a row was not closed: %s", error)

    def register(self, trainer: Any, name: str = "wandb_flush") -> None:
        """Adds it to a trainer."""
        self._trainer = trainer
        trainer.register_module(name, self)
        if not self.enabled:
            return
        self._rows = _OpenRows.of(getattr(trainer, "logger", None))
        trainer.register_op("setup", self)  # what was logged before is a row of its own
        trainer.register_op("post_steps_log", self)
        trainer.register_op("shutdown", self)
        close_on_failure(trainer, self)

    def state_dict(self) -> dict[str, Any]:
        """What was flushed last."""
        return {"enabled": self.enabled, "last_flushed_steps": self.last_flushed_steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on from there."""
        self.enabled = state_dict["enabled"]
        self.last_flushed_steps = [
            (str(name), int(step)) for name, step in state_dict["last_flushed_steps"]
        ]


class _OpenRows:
    """Keeps a `WandbLogger`'s rows open.

    Attributes:
      open: Whether there is something in the present row.
    """

    def __init__(self, logger: Any) -> None:
        self.logger = logger
        self.open = False
        self._log = logger._log_payload
        logger._log_payload = self._log_payload

    @classmethod
    def of(cls, logger: Any) -> "_OpenRows | None":
        """None where the logger is another one."""
        if not isinstance(getattr(logger, "_step_registry", None), Mapping):
            return None
        present = getattr(vars(logger).get("_log_payload"), "__self__", None)
        if isinstance(present, cls):  # of another trainer
            return present
        return cls(logger) if callable(getattr(logger, "_log_payload", None)) else None

    def _log_payload(self, payload: dict[str, Any], **options: Any) -> None:
        self.open = True
        self._log(payload, **{**options, "commit": False})


class WandbFinishHook(TrainerHookBase):
    """Ends the W&B run that is open: at `shutdown`, and where training raises.

    What W&B says against it is told, and nothing fails. Register it after `WandbFlushHook`.

    Args:
      enabled: Whether it does anything.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def __call__(self) -> None:
        """Ends it."""
        self._finish()

    def _failed(self) -> None:
        self._finish(exit_code=1)

    def _finish(self, **options: Any) -> None:
        if not self.enabled:
            return
        try:
            import wandb

            if wandb.run is not None:
                wandb.finish(**options)
        except Exception as error:  # noqa: BLE001  no reason for a training to end
            LOG.warning("W&B: the run was not ended: %s", error)

    def register(self, trainer: Any, name: str = "wandb_finish") -> None:
        """Adds it to a trainer."""
        trainer.register_module(name, self)
        if self.enabled:
            trainer.register_op("shutdown", self)
            close_on_failure(trainer, self._failed, last=True)

    def state_dict(self) -> dict[str, Any]:
        """Whether it does anything."""
        return {"enabled": self.enabled}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """The same."""
        self.enabled = state_dict["enabled"]
