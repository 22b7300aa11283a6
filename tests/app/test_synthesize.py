import errno
import hashlib
import io
import json
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import numpy as np
import pytest
import starlette.formparsers
from fastapi import Request
from PIL import Image

import app.routes.synthesize
import app.stored_tiles
from model.errors import MaskBinary, OutOfMemory, StorageUnavailable, StoreUnavailable
from tests.app.checks import check_problem
from tests.fakes import label_mask, png, style_png

JSON = {"Accept": "application/json"}
ASYNC = {"Prefer": "respond-async"}


# What comes back


def test_answers_with_the_tile(client, post):
    response = post(organ="kidney", seed=7)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["X-Seed"] == "7"
    assert response.headers["ETag"] == f'"{hashlib.sha256(response.content).hexdigest()}"'
    tile = Image.open(io.BytesIO(response.content))
    assert tile.size == (64, 64)
    assert (np.asarray(tile)[label_mask() > 0] == 40).all()
    job = client.get(response.headers["Content-Location"]).json()
    assert job["status"] == "succeeded"
    assert client.get(job["outputs"][0]["href"]).content == response.content


def test_answers_with_the_job_as_json(client, post):
    response = post(JSON, organ="kidney", seed=7)
    assert response.status_code == 200
    job = response.json()
    assert job["status"] == "succeeded"
    assert job["error"] is None
    assert job["progress"] == {"done": 1, "total": 1, "unit": "tiles"}
    assert job["seed"] == 7
    assert job["links"]["self"] == response.headers["Content-Location"] == f"/jobs/{job['id']}"
    assert job["created_at"] <= job["started_at"] <= job["finished_at"] < job["expires_at"]
    (output,) = job["outputs"]
    assert output["seed"] == 7
    tile = client.get(output["href"])
    assert hashlib.sha256(tile.content).hexdigest() == output["sha256"]


def test_several_tiles_come_as_json(client, post):
    response = post(organ="kidney", seed=7, n=3)
    assert response.headers["Content-Type"] == "application/json"
    job = response.json()
    assert job["progress"] == {"done": 3, "total": 3, "unit": "tiles"}
    assert job["outputs"][0]["seed"] == 7
    tiles = [client.get(output["href"]).content for output in job["outputs"]]
    assert len(set(tiles)) == 3
    # Tile i can be had again on its own, by its seed.
    alone = post(organ="kidney", seed=job["outputs"][2]["seed"])
    assert np.array_equal(*(Image.open(io.BytesIO(data)) for data in (alone.content, tiles[2])))


def test_a_seed_is_drawn_and_reported(post):
    first, second = post(organ="kidney"), post(organ="kidney")
    assert first.headers["X-Seed"] != second.headers["X-Seed"]
    again = post(organ="kidney", seed=first.headers["X-Seed"])
    assert again.content == first.content


def test_a_reference_image_as_style(post, mask_file):
    style = style_png()
    response = post(files={**mask_file, "style": style}, seed=1)
    text = Image.open(io.BytesIO(response.content)).text
    assert json.loads(text["style"]) == {"image_sha256": hashlib.sha256(style).hexdigest()}
    assert text["mask_sha256"] == hashlib.sha256(mask_file["mask"]).hexdigest()


def test_a_mix_as_style(post):
    weights = {"kidney": 0.7, "liver": 0.3}
    response = post(styles=json.dumps(weights))
    text = Image.open(io.BytesIO(response.content)).text
    assert json.loads(text["style"]) == {"weights": weights}


def test_labels_components_on_request(post):
    binary = {"mask": png(np.where(label_mask() > 0, 255, 0).astype(np.uint8))}
    response = post(files=binary, organ="kidney", label_components="true")
    assert response.status_code == 200
    assert Image.open(io.BytesIO(response.content)).text["label_components"] == "true"


def test_the_tile_has_the_masks_size_at_any_scale(post):
    response = post(organ="kidney", mpp=0.5)
    assert Image.open(io.BytesIO(response.content)).size == (64, 64)


# Waiting


def test_does_not_wait_on_request(client, post, busy):
    response = post(ASYNC, organ="kidney", seed=7)
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "respond-async"
    assert response.headers["X-Seed"] == "7"
    job = response.json()
    assert job["status"] in ("queued", "running")
    assert job["finished_at"] is job["expires_at"] is None
    assert job["outputs"] == []
    assert response.headers["Location"] == job["links"]["self"]


def test_waits_no_longer_than_asked(post, busy):
    response = post({"Prefer": "wait=0"}, organ="kidney")
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "wait=0"


def test_waits_no_longer_than_the_server_is_set_to(start, busy, mask_file):
    client = start(response_wait_s=0.01)
    response = client.post("/synthesize", files=mask_file, data={"organ": "kidney"})
    assert response.status_code == 202
    assert "Preference-Applied" not in response.headers


def test_a_preference_that_makes_no_sense_is_ignored(post):
    response = post({"Prefer": "wait=soon, hurry"}, organ="kidney")
    assert response.status_code == 200
    assert "Preference-Applied" not in response.headers


def test_waits_as_asked_before_it_goes_on_without_the_client(post):
    response = post({"Prefer": "respond-async, wait=30"}, organ="kidney")
    assert response.status_code == 200
    assert response.headers["Preference-Applied"] == "respond-async, wait=30"


# Media types


def test_caches_are_told_that_accept_matters(post):
    for headers in ({}, JSON, ASYNC):
        assert post(headers, organ="kidney").headers["Vary"] == "Accept"


@pytest.mark.parametrize(
    ("accept", "n"), [("text/html", 1), ("image/png", 2), ("image/*", 2), ("image/png;q=0", 2)]
)
def test_refuses_what_it_cannot_give_before_any_work(post, synthesizer, accept, n):
    response = post({"Accept": accept}, organ="kidney", n=n)
    problem = check_problem(response, 406, "not_acceptable")
    assert "application/json" in problem["detail"]


# Failure


def test_a_job_that_fails_while_it_is_waited_for(client, post, synthesizer):
    post(organ="kidney")

    def refuse(made):
        raise MaskBinary("All nuclei share one value: give each its own.")

    synthesizer.before = refuse
    for headers in ({}, JSON):
        problem = check_problem(post(headers, organ="kidney"), 422, "mask_binary")
        job = client.get(problem["job"]).json()
        assert job["status"] == "failed"
        assert job["error"] == {
            "code": "mask_binary",
            "detail": "All nuclei share one value: give each its own.",
        }


def test_a_tile_that_cannot_be_read_is_still_there(client, post, monkeypatch):
    failing(monkeypatch, app.stored_tiles, "file_of", DISK_FULL)
    response = post(organ="kidney")
    problem = check_problem(response, 503, "storage_unavailable")
    assert response.headers["Retry-After"] == str(DISK_FULL.retry_after_s)
    assert problem["job"] == response.headers["Content-Location"]
    assert client.get(problem["job"]).json()["status"] == "succeeded"


def test_too_little_memory_may_be_temporary(post, synthesizer):
    post(organ="kidney")

    def refuse(made):
        raise OutOfMemory("The device has too little memory for this tile.")

    synthesizer.before = refuse
    response = post(organ="kidney")
    problem = check_problem(response, 503, "out_of_memory")
    assert "new Idempotency-Key" in problem["detail"]
    assert int(response.headers["Retry-After"]) >= 1


def test_an_unexpected_failure_of_the_engine(post, synthesizer):
    post(organ="kidney")

    def explode(made):
        raise RuntimeError("secret detail")

    synthesizer.before = explode
    response = post(organ="kidney")
    check_problem(response, 500, "synthesis_failed")
    assert "secret" not in response.text


def test_a_full_queue(start, busy, mask_file):
    client = start(queue_limit=2)

    def post():
        return client.post("/synthesize", files=mask_file, data={"organ": "kidney"}, headers=ASYNC)

    accepted = [post(), post()]
    assert [response.status_code for response in accepted] == [202, 202]
    refused = post()
    check_problem(refused, 429, "queue_full")
    assert int(refused.headers["Retry-After"]) >= 1
    artifacts = client.app.state.service.settings.data_dir / "artifacts"
    kept = {path.name for path in artifacts.iterdir()}
    assert kept == {response.json()["id"] for response in accepted}


def test_a_full_queue_refuses_before_it_looks_at_the_mask(start, busy, mask_file):
    client = start(queue_limit=1)
    fields = {"organ": "kidney"}
    assert client.post("/synthesize", files=mask_file, data=fields, headers=ASYNC).is_success
    check_problem(client.post("/synthesize", files={"mask": b"x"}, data=fields), 429, "queue_full")


@pytest.fixture
def slow_decoders(monkeypatch, go_on):
    """Requests that have come to a decoder stay there until ``go_on``; counts them."""
    decoding = threading.Semaphore(0)

    def wait(*args, **options):
        decoding.release()
        go_on.wait(30)
        raise MaskBinary("All nuclei share one value: give each its own.")

    monkeypatch.setattr(app.routes.synthesize, "mask_input", wait)
    return decoding


def test_a_full_line_before_the_decoders(start, mask_file, slow_decoders, go_on):
    client = start(queue_limit=1)
    decoders = client.app.state.service.decoders

    def post():
        return client.post("/synthesize", files=mask_file, data={"organ": "kidney"})

    with ThreadPoolExecutor(3) as clients:
        answers = [clients.submit(post) for _ in range(3)]
        for _ in range(2):
            assert slow_decoders.acquire(timeout=30)
        until = time.monotonic() + 30
        while not decoders.statistics().tasks_waiting:
            assert time.monotonic() < until
        refused = post()
        go_on.set()
    check_problem(refused, 429, "queue_full")
    assert int(refused.headers["Retry-After"]) >= 1
    assert [answer.result().status_code for answer in answers] == [422] * 3


def test_nothing_is_done_for_a_client_that_has_gone(client, post, monkeypatch):
    async def is_disconnected(request):
        return True

    monkeypatch.setattr(Request, "is_disconnected", is_disconnected)
    assert post(files={"mask": b"never looked into"}, organ="kidney").status_code == 499
    assert client.app.state.service.jobs.unexpired() == set()


def test_uploads_are_not_kept_while_a_request_waits(client, mask_file, monkeypatch):
    forms, closed = [], []
    accept, waiters = app.routes.synthesize._accept, client.app.state.service.waiters
    wait = waiters.wait

    def see_form(service, form, *rest):
        forms.append(form)
        return accept(service, form, *rest)

    async def see_files(*args):
        closed.extend(file.file.closed for file in (forms[0].mask, *forms[0].style_images))
        return await wait(*args)

    monkeypatch.setattr(app.routes.synthesize, "_accept", see_form)
    monkeypatch.setattr(waiters, "wait", see_files)
    response = client.post("/synthesize", files={**mask_file, "style": style_png()})
    assert response.status_code == 200
    assert closed == [True, True]


def test_a_disk_that_takes_no_uploads(post, monkeypatch, caplog):
    class Full(tempfile.SpooledTemporaryFile):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(starlette.formparsers, "SpooledTemporaryFile", Full)
    response = post(organ="kidney")
    check_problem(response, 503, "storage_unavailable")
    assert int(response.headers["Retry-After"]) >= 1
    assert "No space left on device" in caplog.text


# What is left behind


def test_bad_input_leaves_nothing_behind(client, post):
    post(files={"mask": style_png()}, organ="kidney")
    post(organ="spleen")
    data_dir = client.app.state.service.settings.data_dir
    left = [path.name for path in (data_dir / "artifacts").iterdir()]
    assert [name for name in left if not name.startswith("thumbnails-")] == []
    assert client.app.state.service.jobs.unexpired() == set()


def failing(monkeypatch, target, name, error, *, after=False):
    """``name`` raises; ``after``: having done its work, as when an answer is lost."""
    works = getattr(target, name)

    def fail(*args, **options):
        if after:
            works(*args, **options)
        raise error

    monkeypatch.setattr(target, name, fail)


AWAY = StoreUnavailable("The store is away; try again.", retry_after_s=5)
DISK_FULL = StorageUnavailable("The disk is full; try again.", retry_after_s=10)


@pytest.mark.parametrize(
    ("part", "name", "error", "after"),
    [
        ("jobs", "counts", AWAY, False),
        ("jobs", "create", AWAY, False),
        ("jobs", "create", AWAY, True),
        ("artifacts", "put", DISK_FULL, False),
    ],
)
def test_an_outage_while_accepting_leaves_nothing_behind(
    client, post, monkeypatch, part, name, error, after
):
    post(organ="kidney")
    parts = client.app.state.service
    before = set(parts.artifacts.scopes()), parts.jobs.unexpired()
    failing(monkeypatch, getattr(parts, part), name, error, after=after)
    response = post(organ="kidney")
    check_problem(response, 503, error.code)
    assert response.headers["Retry-After"] == str(error.retry_after_s)
    assert (set(parts.artifacts.scopes()), parts.jobs.unexpired()) == before


def test_a_job_that_may_have_been_created_keeps_its_files(client, post, monkeypatch, busy):
    parts = client.app.state.service
    failing(monkeypatch, parts.jobs, "create", AWAY, after=True)
    failing(monkeypatch, parts.jobs, "discard", AWAY)
    check_problem(post(organ="kidney"), 503, "store_unavailable")
    (job_id,) = parts.jobs.queued()
    assert parts.artifacts.exists(job_id, "mask")


def test_a_job_that_cannot_be_published_is_accepted(client, post, monkeypatch):
    parts = client.app.state.service
    post(organ="kidney")
    failing(monkeypatch, parts.queue, "submit", AWAY)
    response = post(ASYNC, organ="kidney")
    assert response.status_code == 202
    assert parts.jobs.queued() == [response.json()["id"]]


def test_a_store_that_goes_away_while_a_request_waits(client, post, monkeypatch, busy):
    parts = client.app.state.service
    for name in ("get", "position"):
        failing(monkeypatch, parts.jobs, name, AWAY)
    response = post({"Prefer": "wait=0"}, organ="kidney")
    assert response.status_code == 202
    assert response.json()["position"] is None


# Deadline


def test_a_deadline_that_is_met(client, post):
    response = post(JSON, organ="kidney", deadline_s=600)
    job = response.json()
    accepted, deadline = (datetime.fromisoformat(job[f"{x}_at"]) for x in ("created", "deadline"))
    assert timedelta(seconds=590) < deadline - accepted < timedelta(seconds=601)
    assert job["status"] == "succeeded"


def test_a_deadline_that_is_missed(client, post, busy, go_on):
    accepted = post(ASYNC, organ="kidney", deadline_s=0.001).json()
    go_on.set()
    waited = post(organ="kidney")  # which comes after it
    assert waited.status_code == 200
    job = client.get(accepted["links"]["self"]).json()
    assert job["status"] == "failed"
    assert job["error"]["code"] == "deadline_exceeded"


@pytest.mark.parametrize("deadline_s", ["0", "-1", "604801", "nan", "inf", "soon"])
def test_a_deadline_that_makes_no_sense(post, deadline_s):
    problem = check_problem(post(organ="kidney", deadline_s=deadline_s), 422, "parameter_invalid")
    assert "deadline_s" in problem["detail"]
