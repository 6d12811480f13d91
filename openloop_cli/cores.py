"""The processor's cores that this process may use."""

import os


def usable_cores() -> tuple[int, ...]:
    """Their numbers; those of the whole machine where the system tells no more."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))
