"""Items on a Ray cluster: each a task that calls `run_job`, as a single render does.

The driver chooses the windows and sends their ids, so that every machine measures the same steps.
Checkpoints, replays and results lie where all machines see them. A task whose worker or machine
dies is run again elsewhere; what it had left half written is removed first.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from openloop_cli.errors import NotInstalledError, OpenloopError, OptionError
from openloop_cli.jobs.batch import Engine
from openloop_cli.jobs.engines.local import EXPECTED
from openloop_cli.jobs.outcome import Event, OnEvent, failed, finished
from openloop_cli.jobs.plan import Item
from openloop_cli.jobs.records import Identity, forget, identify, sweep, write_record
from openloop_cli.jobs.report import ReportJob, run_job
from openloop_cli.jobs.selection import Selection
from openloop_cli.jobs.sources import absolute
from openloop_cli.results.outcome import Outcome


@dataclass(frozen=True)
class Cluster:
    """Where tasks run and what each asks for.

    Attributes:
      address: Of a running cluster; None is `RAY_ADDRESS`, else this machine.
      cpus, gpus: Of each task; a part of one is shared.
      retries: How often a task is run again whose worker died.
    """

    address: str | None = None
    cpus: float = 1
    gpus: float = 0
    retries: int = 3


@dataclass(frozen=True)
class _Sent:
    """An item that is on its way."""

    item: Item
    identity: Identity


def ray_engine(cluster: Cluster) -> Engine:
    """An engine for `run_batch`.

    Raises:
      NotInstalledError: Ray is missing.
    """
    ray = _import_ray()

    def engine(
        items: Sequence[Item], folder: Path, selection: Selection, on_event: OnEvent, force: bool
    ) -> list[Outcome]:
        with _connected(ray, cluster):
            return list(_run(ray, cluster, items, folder, selection, on_event))

    return engine


def render_item(name: str, job: ReportJob) -> Outcome:
    """What a task does, in its own process, whichever attempt it is."""
    item = Item(name, job)
    try:
        if job.out is not None:
            sweep(job.out.parent, name)
        result = run_job(job)
    except EXPECTED as error:
        return failed(item, error)
    return finished(item, result.metrics, result.files)


def _run(
    ray: Any,
    cluster: Cluster,
    items: Sequence[Item],
    folder: Path,
    selection: Selection,
    on_event: OnEvent,
) -> Iterator[Outcome]:
    """Sends all, and gathers results as they come."""
    task = ray.remote(render_item).options(
        name="openloop", num_cpus=cluster.cpus, num_gpus=cluster.gpus, max_retries=cluster.retries
    )
    sent: dict[Any, _Sent] = {}

    def ended(outcome: Outcome) -> Outcome:
        on_event(Event(outcome.name, outcome.status, outcome))
        return outcome

    try:
        for item in items:
            try:
                identity = identify(item.job)
                job, _ = selection.open(item.job)
                forget(folder, item)
            except EXPECTED as error:
                yield ended(failed(item, error))
                continue
            sent[task.remote(item.name, _everywhere(job))] = _Sent(item, identity)
            while ready := _ready(ray, sent, timeout=0):
                yield ended(_gather(ray, ready, sent.pop(ready), folder))
        while sent:
            if ready := _ready(ray, sent, timeout=1):
                yield ended(_gather(ray, ready, sent.pop(ready), folder))
    finally:
        for reference in sent:
            ray.cancel(reference, force=True)


def _ready(ray: Any, sent: dict[Any, _Sent], timeout: float) -> Any:
    """A task that has ended, None after the timeout."""
    done, _ = ray.wait(list(sent), num_returns=1, timeout=timeout) if sent else ([], [])
    return done[0] if done else None


def _gather(ray: Any, reference: Any, sent: _Sent, folder: Path) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
    except ray.exceptions.RayTaskError:
        raise  # our own bug, with the worker's traceback
    except ray.exceptions.RayError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return failed(sent.item, OpenloopError(f"{type(error).__name__}: {reason}"))
    if outcome.error:
        return outcome
    # As this process spells the folder.
    outcome = replace(outcome, files={k: folder / x.name for k, x in outcome.files.items()})
    try:
        write_record(folder, sent.item, sent.identity, outcome)
    except EXPECTED as error:
        return failed(sent.item, error)
    return outcome


def _everywhere(job: ReportJob) -> ReportJob:
    """The same job from any working directory; a worker has its own."""
    values = {f.name: getattr(job, f.name) for f in fields(job)}
    paths: dict[str, Any] = {k: absolute(v) for k, v in values.items() if isinstance(v, Path)}
    return replace(job, **paths)


def _import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise NotInstalledError("--engine ray", "Ray", "ray") from None
    return ray


@contextmanager
def _connected(ray: Any, cluster: Cluster) -> Iterator[None]:
    if ray.is_initialized():
        yield
        return
    # Ray's own default joins whatever cluster it finds on the machine, be it somebody else's.
    address = cluster.address or os.environ.get("RAY_ADDRESS") or "local"
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise OptionError(
            f"--address {address}: {reason}",
            hint="start a cluster with `ray start --head`, or leave --address out",
        ) from None
    try:
        yield
    finally:
        ray.shutdown()
