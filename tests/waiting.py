"""Waiting for what another thread or process does, without taking the processor from it."""

import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 60
"""What takes milliseconds gets so long: the machine may be busy with something else."""

SERVICE_PATIENCE_S = 300
"""And so long what takes seconds: processes that start, tiles that are painted."""


def until(
    is_so: Callable[[], Any],
    what: str = "what was waited for",
    *,
    patience_s: float = PATIENCE_S,
    every_s: float = 0.001,
) -> Any:
    """Returns what ``is_so`` returns, once that is true. Raises AssertionError, which says
    ``what``."""
    deadline = time.monotonic() + patience_s
    while not (found := is_so()):
        assert time.monotonic() < deadline, f"not within {patience_s:.0f} s: {what}"
        time.sleep(every_s)
    return found


def observed(is_so: Callable[[], Any], *, patience_s: float = SERVICE_PATIENCE_S) -> Any:
    """The same for what a service tells over HTTP."""
    return until(is_so, patience_s=patience_s, every_s=0.02)
