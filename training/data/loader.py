"""Batches of a dataset whose sample k is a function of k alone."""

import os
import signal
from collections.abc import Iterator
from typing import Protocol, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from model.errors import ParameterInvalid
from training.distributed import Process, processes_here
from training.sitting import leave_locks_to_the_parent


def workers_of(asked: int | None) -> int:
    """Processes that prepare samples, unless asked for so many: of this process' share of the
    cores one is for itself; more than 16 have nothing to do."""
    if asked is not None:
        return asked
    allowed = getattr(os, "sched_getaffinity", None)  # of Linux: those that may be used
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    return max(0, min(cores // processes_here() - 1, 16))


class NumberedSamples(Protocol):
    """A dataset that holds every sample of a run, in order."""

    def __len__(self) -> int: ...

    def __getitem__(self, k: int) -> dict[str, Tensor]: ...


def batches(
    samples: NumberedSamples, process: Process, *, batch_size: int, first_step: int, workers: int
) -> Iterator[dict[str, Tensor]]:
    """This process' share of every batch from ``first_step`` on, in order.

    batch_size: samples a step, over all processes. workers: processes that prepare samples.
    Raises ParameterInvalid for a batch that cannot be split over the processes.
    """
    if batch_size % process.world:
        raise ParameterInvalid(
            f"A batch of {batch_size} cannot be split over {process.world} processes; make it a "
            "multiple (--batch)."
        )
    share = batch_size // process.world
    ours = [
        first + process.rank * share + place
        for first in range(first_step * batch_size, len(samples), batch_size)
        for place in range(share)
    ]
    loader: DataLoader[dict[str, Tensor]] = DataLoader(
        cast(Dataset[dict[str, Tensor]], samples),
        batch_size=share,
        sampler=ours,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_leave_to_the_parent,
    )
    return iter(loader)


def _leave_to_the_parent(_: int) -> None:
    """Ctrl-C reaches every process of a terminal; the trainer decides when its workers stop."""
    leave_locks_to_the_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
