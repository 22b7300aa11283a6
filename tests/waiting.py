"""Waiting for what another thread or process does, without taking the processor from it."""

import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 30


def until(
    is_so: Callable[[], Any], *, patience_s: float = PATIENCE_S, every_s: float = 0.001
) -> Any:
    """Returns what ``is_so`` returns, once that is true."""
    deadline = time.monotonic() + patience_s
    while not (found := is_so()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(every_s)
    return found


def observed(is_so: Callable[[], Any], *, patience_s: float = 300) -> Any:
    """The same for what a service tells over HTTP."""
    return until(is_so, patience_s=patience_s, every_s=0.02)
