"""Masks above 1024 px a side: a job of many passes."""

import io
import json
import threading

import numpy as np
import pytest
from tifffile import TiffFile

from model.errors import MaskTooLarge, ParameterInvalid
from model.formats import write_mask
from model.synthesizer import Synthesizer
from tests.fakes import label_mask
from worker import synthesis
from worker.engine import Engine
from worker.inputs import MASK
from worker.jobs import JobState, Output, Progress, new_job_id
from worker.queue import LocalQueue
from worker.request import SynthesisRequest, sha256
from worker.style import Style
from worker.waiting import NotNow
from worker.work import work_on

SIZE = 1100, 70  # two windows


def wide_mask() -> bytes:
    nuclei, mask = label_mask(), np.zeros(SIZE, np.int32)
    for number in range(17):
        shifted = np.where(nuclei > 0, nuclei + 400 * number, 0)
        mask[64 * number : 64 * number + 64, :64] = shifted
    return write_mask(mask, "tiff")


MASK_FILE = wide_mask()


def request(**changes) -> SynthesisRequest:
    fields = {"mask_sha256": sha256(MASK_FILE), "style": Style(name="kidney"), "seed": 7}
    return SynthesisRequest(**{**fields, "large": True, **changes})


@pytest.fixture(scope="module")
def network(checkpoint) -> Synthesizer:
    return Synthesizer.load(checkpoint)


@pytest.fixture
def accept(jobs, artifacts):
    """A job of the large mask; its id."""

    def accept() -> str:
        job_id = new_job_id()
        artifacts.put(job_id, MASK, MASK_FILE)
        return jobs.create(job_id, request(), limit=100).id

    return accept


def test_one_tiff_with_its_manifest_and_levels(network):
    (tile,) = synthesis.synthesize(network, request(), MASK_FILE)
    assert (tile.seed, tile.suffix, tile.sha256) == (7, ".tif", sha256(tile.data))
    with TiffFile(io.BytesIO(tile.data)) as file:
        assert [page.shape for page in file.pages] == [(1100, 70, 3), (550, 35, 3), (275, 17, 3)]
        whole = file.pages[0]
        assert whole.tags["XResolution"].value == (40_000, 1)  # per centimetre: 0.25 um
        facts = json.loads(whole.description)
        image_u8 = whole.asarray()
    assert facts["seed"] == 7
    assert facts["synthetic"] is True
    manifest = json.loads(tile.manifest)
    assert manifest["tile_sha256"] == tile.sha256
    assert facts.items() < manifest.items()
    expected = np.empty((*SIZE, 3), np.uint8)
    labels = np.asarray(work_on(network, request(), MASK_FILE)._layout._ranks)
    style = network.styles.pick("kidney", 7)
    for window, part in network.synthesize_large(labels, style, seed=7):
        expected[window.rows, window.cols] = part
    np.testing.assert_array_equal(image_u8, expected)


def test_there_is_one_tile_of_a_large_mask(network):
    with pytest.raises(ParameterInvalid, match="one tile a request"):
        request(n=2)
    with pytest.raises(ParameterInvalid, match="one tile a request"):
        work_on(network, request(n=2, large=False), MASK_FILE)


def test_the_longest_side(network):
    mask = write_mask(np.zeros((8200, 16), np.int32), "png")
    with pytest.raises(MaskTooLarge, match="limit is 8192 px"):
        work_on(network, request(), mask)


def test_a_job_says_how_far_it_is(start, network, jobs, artifacts, accept):
    """And stores what the command line gives."""
    engine, job_id, seen = start(network), accept(), []
    jobs.on_change = lambda changed: seen.append(jobs.get(changed).progress)
    assert engine.run(job_id)
    assert [progress for progress in seen if progress] == [Progress(1, 2), Progress(1, 2)]
    (tile,) = synthesis.synthesize(network, request(), MASK_FILE)
    job = jobs.get(job_id)
    assert job.state is JobState.SUCCEEDED
    assert job.outputs == (Output(7, tile.sha256, ".tif"),)
    assert artifacts.get(job_id, "0.tif") == tile.data


def test_large_tiles_are_painted_one_after_the_other(start, network, jobs, accept, threads):
    """What has to wait goes back, so that others may go first."""
    engine = start(network)
    inside, go_on = threading.Event(), threading.Event()
    paint = network.paint

    def slow(tiles, **options):
        inside.set()
        go_on.wait(30)
        return paint(tiles, **options)

    network.paint = slow
    try:
        first, second = accept(), accept()
        running = threads.submit(engine.run, first)
        assert inside.wait(30)
        with pytest.raises(NotNow):
            engine.run(second)
        assert jobs.get(second).state is JobState.QUEUED
        assert jobs.get(second).attempts == 0
        go_on.set()
        assert running.result()
        assert engine.run(second)
    finally:
        go_on.set()
        del network.paint
    assert jobs.get(second).state is JobState.SUCCEEDED


def test_a_queue_brings_several_to_their_end(network, jobs, artifacts, accept):
    ends = threading.Semaphore(0)
    job_ids = [accept() for _ in range(3)]
    jobs.on_change = lambda job_id: jobs.get(job_id).is_finished and ends.release()
    queue = LocalQueue(
        Engine(lambda: network, jobs, artifacts), jobs, on_failure=lambda error: None
    )
    queue.start()
    try:
        for _ in job_ids:
            assert ends.acquire(timeout=60)
    finally:
        queue.stop()
    assert {jobs.get(job_id).state for job_id in job_ids} == {JobState.SUCCEEDED}
    assert {jobs.get(job_id).attempts for job_id in job_ids} == {1}


def test_a_canceled_one_ends_between_two_windows(start, network, jobs, accept):
    engine, job_id = start(network, max_batch=1), accept()
    painted = []
    paint = network.paint

    def counted(tiles, **options):
        painted.append(len(tiles))
        if len(painted) == 1:
            jobs.cancel(job_id)
        return paint(tiles, **options)

    network.paint = counted
    try:
        assert engine.run(job_id)
    finally:
        del network.paint
    assert jobs.get(job_id).state is JobState.CANCELED
    assert sum(painted) == 1
