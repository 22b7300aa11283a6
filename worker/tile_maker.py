"""Jobs for tiles: of one mask, several passes of the network under way at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from worker import custom_styles
from worker.inputs import CUSTOM_STYLES, MASK, style_names
from worker.jobs import Claim, Job, Progress
from worker.request import SynthesisRequest
from worker.waiting import Expectation, Place, Stopped
from worker.work import Tile, Work, work_on
from worker.workbench import Workbench

if TYPE_CHECKING:
    from model.styles import StyleVector


class TileMaker:
    """The ``Maker`` of tiles."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    def make(self, claim: Claim, expectation: Expectation) -> Iterator[Tile | Progress]:
        bench, stored = self._bench, len(claim.job.outputs)
        patient = claim.job.request.large
        if stored == claim.job.request.n:
            return
        under_way: deque[tuple[int, Future[Any]]] = deque()
        with bench.expect(claim, patient=patient) as place:
            expectation.end()
            work = self._work(claim.job)
            first = work.first_pass(stored)
            styles = bench.encode(claim, work.style_inputs)
            under_way.append((first, self._submit(place, work, first, styles)))
        following = first + 1
        while True:
            # Once stopping, what is under way is all that there will be.
            while (
                following < work.passes
                and len(under_way) < bench.max_batch
                and not bench.stopping.is_set()
            ):
                with bench.expect(claim, patient=patient, begun=True) as place:
                    under_way.append((following, self._submit(place, work, following, styles)))
                following += 1
            if not under_way:
                break
            index, image = under_way.popleft()
            tile = work.take(index, image.result())
            if tile is not None:
                yield tile
            elif work.is_large:
                yield Progress(index + 1, work.passes)
        if following < work.passes:
            raise Stopped

    def _work(self, job: Job) -> Work:
        bench, request = self._bench, job.request
        assert isinstance(request, SynthesisRequest)
        bench.check_deadline(job)
        mask = bench.input(job.id, MASK)
        names = style_names(len(request.style.image_weights))
        images = [bench.input(job.id, name) for name in names]
        vectors = self._custom_styles(job.id) if request.style.custom else {}
        with bench.decoding:
            return work_on(bench.synthesizer, request, mask, images, vectors)

    def _custom_styles(self, job_id: str) -> dict[str, StyleVector]:
        data = self._bench.input(job_id, CUSTOM_STYLES)
        styles = custom_styles.from_file(data, self._bench.synthesizer.card)
        return {name: style.vector for name, style in styles.items()}

    def _submit(
        self, place: Place, work: Work, index: int, styles: Sequence[StyleVector]
    ) -> Future[Any]:
        place.reserve(work.shape)
        with self._bench.preparing:
            pass_input = work.pass_input(index, styles)
        return place.submit(pass_input)
