"""POST /synthesize when something is full, slow or away: refused at once, nothing left behind."""

import errno
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import starlette.formparsers
from fastapi import Request

import app.routes.synthesize
import app.stored_tiles
from model.errors import MaskBinary, StorageUnavailable, StoreUnavailable
from tests.app.checks import check_problem
from tests.fakes import style_png
from tests.waiting import until

ASYNC = {"Prefer": "respond-async"}
AWAY = StoreUnavailable("The store is away; try again.", retry_after_s=5)
DISK_FULL = StorageUnavailable("The disk is full; try again.", retry_after_s=10)


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
        until(lambda: decoders.statistics().tasks_waiting)
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


def test_a_job_with_a_key_is_not_taken_back(client, post, monkeypatch, busy):
    """Another request with the key may have been told of it; this one is sent again."""
    parts = client.app.state.service
    key = {"Idempotency-Key": "once"}
    with monkeypatch.context() as outage:
        failing(outage, parts.jobs, "create", AWAY, after=True)
        check_problem(post(key, organ="kidney", seed=1), 503, "store_unavailable")
    (job_id,) = parts.jobs.queued()
    again = post({**key, **ASYNC}, organ="kidney", seed=1)
    assert (again.status_code, again.json()["id"]) == (202, job_id)
    assert again.headers["Idempotency-Replayed"] == "true"


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


def test_a_tile_that_cannot_be_read_is_still_there(client, post, monkeypatch):
    failing(monkeypatch, app.stored_tiles, "file_of", DISK_FULL)
    response = post(organ="kidney")
    problem = check_problem(response, 503, "storage_unavailable")
    assert response.headers["Retry-After"] == str(DISK_FULL.retry_after_s)
    assert problem["job"] == response.headers["Content-Location"]
    assert client.get(problem["job"]).json()["status"] == "succeeded"
