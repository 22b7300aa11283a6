"""What the makers of all kinds of jobs share: places on the device, input files, encoding."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from model.errors import DeadlineExceeded, StorageUnavailable
from worker.artifacts import Artifacts
from worker.batcher import Batcher
from worker.jobs import Claim, Job, Progress
from worker.network import STYLE, Network
from worker.patience import Patience
from worker.waiting import Expectation, Place

if TYPE_CHECKING:
    from model.styles import StyleVector
    from model.synthesizer import StyleInput, Synthesizer  # imports torch

_GONE_AGAIN_S = 5
_DECODED_AT_ONCE = 4
"""A style image of 32 megapixels takes 0.35 GB."""

# The log of a job reads as the engine's.
logger = logging.getLogger("worker.engine")


class Product(Protocol):
    """What a job makes and the runner stores: a file, and what it was made from beside it."""

    @property
    def seed(self) -> int | None: ...
    @property
    def data(self) -> bytes: ...
    @property
    def suffix(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def manifest(self) -> bytes: ...


class Maker(Protocol):
    """Does the work of one kind of job."""

    def make(self, claim: Claim, expectation: Expectation) -> Iterator[Product | Progress]:
        """The products that the job does not have yet, in order, and now and then how far it is.
        What is asked for next comes when the last is stored; a claim that is lost ends it there.

        expectation: of the first for the device; to be ended once that has a place.

        Raises what is the job's error, or Interrupted.
        """


@dataclass(frozen=True)
class Workbench:
    """Safe to use from many threads.

    max_batch: how many passes of one job are under way at a time.
    stopping: set when jobs should go back to the queue.
    patience: with files that cannot be read.
    is_wanted: whether a job waits until no other runs; one that takes long should then go back to
        the queue in between.
    decoding: of files, which takes much memory for a moment, the same however many cores there are.
    preparing: of layout maps; more at once than there are cores would gain nothing.
    drawing: a random mask of 1024 px takes a core up to 0.9 s (measured): one at a time, so that
        nobody who waits for a tile waits for those.
    """

    artifacts: Artifacts
    network: Network
    batcher: Batcher
    max_batch: int
    stopping: threading.Event
    patience: Patience
    is_wanted: Callable[[], bool]
    decoding: threading.BoundedSemaphore
    preparing: threading.BoundedSemaphore
    drawing: threading.Lock

    @classmethod
    def with_cores(
        cls,
        artifacts: Artifacts,
        network: Network,
        batcher: Batcher,
        *,
        max_batch: int,
        stopping: threading.Event,
        patience: Patience,
        is_wanted: Callable[[], bool],
    ) -> Workbench:
        """One that prepares as many jobs at a time as there are cores, and decodes the files of
        four at most."""
        cores = os.cpu_count() or 1
        return cls(
            artifacts,
            network,
            batcher,
            max_batch,
            stopping,
            patience,
            is_wanted,
            decoding=threading.BoundedSemaphore(min(cores, _DECODED_AT_ONCE)),
            preparing=threading.BoundedSemaphore(cores),
            drawing=threading.Lock(),
        )

    @property
    def synthesizer(self) -> Synthesizer:
        return self.network.synthesizer

    def expect(self, claim: Claim, *, patient: bool = False, begun: bool = False) -> Place:
        """A place on the device for what is about to be prepared, see ``Batcher.expect``.

        begun: something of the job has had a place before, so that its deadline was kept.
        """
        deadline_at = _deadline_of(claim.job) if not begun else None
        return self.batcher.expect(claim.token, deadline_at=deadline_at, patient=patient)

    def check_deadline(self, job: Job) -> None:
        """Raises DeadlineExceeded."""
        deadline_at = _deadline_of(job)
        if deadline_at is not None and deadline_at <= datetime.now(UTC):
            raise DeadlineExceeded("The deadline passed before the job could be started.")

    def input(self, job_id: str, name: str) -> bytes:
        """An input file. Raises StorageUnavailable if it is not there."""
        try:
            return self.patience(lambda: self.artifacts.get(job_id, name), job_id=job_id)
        except FileNotFoundError:
            logger.error("job %s: its %s is not among the files of this worker", job_id, name)
            raise StorageUnavailable(
                f"The job's {name} is no longer among the files of the service; send the request "
                "again.",
                retry_after_s=_GONE_AGAIN_S,
            ) from None

    def encode(self, claim: Claim, style_inputs: Sequence[StyleInput]) -> list[StyleVector]:
        """Style vectors (D,) of style images."""
        vectors = []
        for style_input in style_inputs:
            with self.expect(claim) as place:
                place.reserve(STYLE)
                encoded = place.submit(style_input)
            vectors.append(encoded.result())
        return vectors


def _deadline_of(job: Job) -> datetime | None:
    """Until when it must be started: none, if it has made something before and goes on."""
    return None if job.outputs else job.deadline_at
