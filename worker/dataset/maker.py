"""Jobs for datasets: each paints its part of the tiles, behind those that somebody waits for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import CheckpointChanged, JobCanceled, StoreUnavailable
from worker.dataset.part import DatasetPart
from worker.dataset.stored import SUFFIX, packed
from worker.dataset.tile import finished, tile_inputs
from worker.jobs import Claim, JobState, JobStore, Progress
from worker.request import sha256
from worker.waiting import Expectation, Stopped
from worker.workbench import Workbench

_CHECK_EVERY = 16
"""Tiles, before it is seen again whether the dataset is still wanted."""


@dataclass(frozen=True)
class PackedTile:
    """A ``Product``: one tile of a dataset with its mask and annotations."""

    seed: int
    data: bytes
    manifest: bytes
    sha256: str
    suffix: str = SUFFIX


class _Tile(NamedTuple):
    """Under way."""

    k: int
    mask: NDArray[np.int32]
    image: Future[Any]


class DatasetMaker:
    """The ``Maker`` of parts of datasets."""

    def __init__(self, bench: Workbench, jobs: JobStore) -> None:
        self._bench, self._jobs = bench, jobs

    def make(self, claim: Claim, expectation: Expectation) -> Iterator[PackedTile | Progress]:
        expectation.end()  # nobody waits for these
        part = claim.job.request
        assert isinstance(part, DatasetPart)
        following, end = part.tiles.start + len(claim.job.outputs), part.tiles.stop
        under_way: deque[_Tile] = deque()
        self._check_checkpoint(part)
        while under_way or following < end:
            is_full = following == end or len(under_way) == self._bench.max_batch
            if under_way and (is_full or under_way[0].image.done()):
                yield self._packed(part, under_way.popleft())
                continue
            try:
                under_way.append(self._submitted(claim, part, following))
                following += 1
            except Stopped:
                end = following  # what is painted is kept
        if end < part.tiles.stop:
            raise Stopped

    def _submitted(self, claim: Claim, part: DatasetPart, k: int) -> _Tile:
        bench, dataset = self._bench, part.dataset
        if bench.stopping.is_set() or bench.is_wanted():
            raise Stopped
        if (k - part.tiles.start) % _CHECK_EVERY == 0:
            self._check(part)
        shape = bench.synthesizer.padded_shape((dataset.height, dataset.width))
        with bench.expect(claim, patient=True) as place:
            place.reserve(shape)
            with bench.drawing:
                ((mask, tile_input),) = tile_inputs(bench.synthesizer, dataset, [k])
            return _Tile(k, mask, place.submit(tile_input))

    def _packed(self, part: DatasetPart, tile: _Tile) -> PackedTile:
        synthesizer, image_u8 = self._bench.synthesizer, tile.image.result()
        made = finished(synthesizer, part.dataset, tile.k, tile.mask, image_u8)
        data = packed(made)
        *_, provenance = made.files.values()
        return PackedTile(part.dataset.tile_seed(tile.k), data, provenance, sha256(data))

    def _check_checkpoint(self, part: DatasetPart) -> None:
        """Raises CheckpointChanged: a dataset of two networks would be none."""
        served = self._bench.synthesizer.card.sha256
        if served != part.checkpoint_sha256:
            raise CheckpointChanged(
                f"The dataset was begun with the checkpoint {part.checkpoint_sha256[:12]}, and "
                f"this worker serves {served[:12]}; ask for the dataset again."
            )

    def _check(self, part: DatasetPart) -> None:
        """Raises JobCanceled if there will be no dataset, and so no use for this part. JobUnknown
        where the front end died before the dataset was accepted."""
        for job_id in part.job_ids():
            try:
                state = self._jobs.state(job_id)
            except StoreUnavailable:
                return  # what is made meanwhile is recorded when it is back
            if state in (JobState.FAILED, JobState.CANCELED):
                raise JobCanceled(
                    f"Another part of the dataset {part.dataset_id} was {state} before."
                )
