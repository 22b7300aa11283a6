"""How long the device stands idle for want of a batch."""

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def timed(
    batches: Iterator[dict[str, Tensor]], device: torch.device
) -> Iterator[tuple[dict[str, Tensor], float]]:
    """Batches, and the seconds for which the device had nothing to do until each was there.

    A GPU may still be at the steps it was given before while the next batch is waited for: that
    costs nothing and does not count.
    """
    arrived = _ask(device)
    for batch in batches:
        yield batch, arrived()
        arrived = _ask(device)


def _ask(device: torch.device) -> Callable[[], float]:
    """At the moment when a batch is asked for: what tells, when it is there, the idle seconds."""
    if device.type != "cuda":
        asked_at = time.perf_counter()
        return lambda: time.perf_counter() - asked_at
    given = torch.cuda.Event(enable_timing=True)
    given.record()  # takes place when the GPU has done all it was given so far

    def arrived() -> float:
        if not given.query():
            return 0.0
        now = torch.cuda.Event(enable_timing=True)
        now.record()
        now.synchronize()  # at once: the GPU is idle
        return float(given.elapsed_time(now)) / 1000

    return arrived
