"""Jobs for style vectors: one reference image, encoded and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from worker.custom_styles import SUFFIX, CustomStyle, CustomStyles, check_checkpoint
from worker.inputs import STYLE
from worker.job_request import StyleRequest
from worker.jobs import Claim, Job, Progress
from worker.request import sha256
from worker.waiting import Expectation
from worker.work import prepared_style
from worker.workbench import Workbench


@dataclass(frozen=True)
class EncodedStyle:
    """A ``Product``: a custom style as a file."""

    data: bytes
    manifest: bytes
    sha256: str
    suffix: str = SUFFIX
    seed: None = None


class StyleMaker:
    """The ``Maker`` of style vectors. limit: of custom styles that are kept."""

    def __init__(self, bench: Workbench, *, limit: int) -> None:
        self._bench, self._limit = bench, limit

    def make(self, claim: Claim, expectation: Expectation) -> Iterator[EncodedStyle | Progress]:
        job = claim.job
        expectation.end()  # what it has for the device is not painted
        assert isinstance(job.request, StyleRequest)
        if job.outputs:  # of an earlier run, which may have ended before it was kept
            style = self._stored(job, job.request)
        else:
            style = self._encoded(claim, job.request)
            data, facts = style.to_file(), json.dumps(style.provenance(), indent=2)
            # A job that is canceled meanwhile is not gone on with, and keeps no style.
            yield EncodedStyle(data, f"{facts}\n".encode(), sha256(data))
        if job.request.name is not None:
            card = self._bench.synthesizer.card
            kept = CustomStyles(self._bench.artifacts, card, limit=self._limit)
            kept.keep(job.request.name, style)

    def _stored(self, job: Job, request: StyleRequest) -> CustomStyle:
        """Raises StyleOutdated if it was encoded before the checkpoint was changed. A recorded
        output is final, its hash may have been told: it can't be encoded anew in this job."""
        style = CustomStyle.from_file(self._bench.input(job.id, f"0{SUFFIX}"))
        check_checkpoint(request.name, style, self._bench.synthesizer.card)
        return style

    def _encoded(self, claim: Claim, request: StyleRequest) -> CustomStyle:
        bench = self._bench
        bench.check_deadline(claim.job)
        image = bench.input(claim.job.id, STYLE)
        with bench.decoding:
            prepared = prepared_style(bench.synthesizer, image, mpp=request.mpp)
        (vector,) = bench.encode(claim, [prepared])
        return CustomStyle.encoded(
            vector, bench.synthesizer.card, image_sha256=request.image_sha256, mpp=request.mpp
        )
