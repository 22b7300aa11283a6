import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from model.errors import StorageUnavailable, StoreUnavailable
from tests.waiting import until
from worker.housekeeping import Housekeeper
from worker.jobs import Output

ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
def job(client, mask_file) -> dict:
    """A finished job of two tiles."""
    response = client.post("/synthesize", files=mask_file, data={"organ": "kidney", "n": 2})
    return response.json()


def test_reports_progress_tile_by_tile(client, mask_file, synthesizer, go_on):
    client.post("/synthesize", files=mask_file, data={"organ": "kidney"})
    synthesizer.made = 0
    second_tile = threading.Event()

    def before(made):
        if made == 1:
            second_tile.set()
            assert go_on.wait(30)

    synthesizer.before = before
    accepted = client.post(
        "/synthesize", files=mask_file, data={"organ": "kidney", "n": 2}, headers=ASYNC
    )
    assert second_tile.wait(30)
    until(lambda: client.get(accepted.headers["Location"]).json()["outputs"])
    job = client.get(accepted.headers["Location"]).json()
    assert job["status"] == "running"
    assert job["progress"] == {"done": 1, "total": 2, "unit": "tiles"}
    assert client.get(job["outputs"][0]["href"]).status_code == 200
    missing = client.get(f"{job['links']['self']}/outputs/1")
    assert missing.status_code == 404
    assert missing.json()["code"] == "output_unknown"
    assert "it is running" in missing.json()["detail"]


def test_a_tile(client, job):
    for output in job["outputs"]:
        response = client.get(output["href"])
        assert response.headers["Content-Type"] == "image/png"
        assert response.headers["X-Seed"] == str(output["seed"])
        assert hashlib.sha256(response.content).hexdigest() == output["sha256"]
        assert response.headers["ETag"] == f'"{output["sha256"]}"'


def test_a_tile_the_client_has_is_not_sent_again(client, job):
    href = job["outputs"][0]["href"]
    etag = client.get(href).headers["ETag"]
    for value in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        response = client.get(href, headers={"If-None-Match": value})
        assert response.status_code == 304, value
        assert response.content == b""
        assert response.headers["ETag"] == etag
    assert client.get(href, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_manifest(client, job):
    for output in job["outputs"]:
        response = client.get(output["manifest"])
        assert response.headers["Content-Type"] == "application/json"
        manifest = json.loads(response.content)
        assert manifest["tile_sha256"] == output["sha256"]
        assert manifest["seed"] == output["seed"]
        assert manifest["synthetic"] is True


@pytest.mark.parametrize("suffix", ["", "/outputs/0", "/outputs/0/manifest"])
def test_unknown(client, suffix):
    response = client.get(f"/jobs/nothing{suffix}")
    assert response.status_code == 404
    assert response.json()["code"] == "job_unknown"


@pytest.mark.parametrize("index", ["2", "-1", "9999999999999999999"])
def test_no_such_tile(client, job, index):
    for suffix in ("", "/manifest"):
        response = client.get(f"{job['links']['self']}/outputs/{index}{suffix}")
        assert response.status_code == 404
        assert response.json()["code"] == "output_unknown"


def test_an_index_that_is_no_number(client, job):
    response = client.get(f"{job['links']['self']}/outputs/first")
    assert response.status_code == 422
    assert response.json()["code"] == "parameter_invalid"


@pytest.mark.parametrize("suffix", ["", "/outputs/0", "/outputs/0/manifest"])
def test_expired(client, job, suffix):
    service = client.app.state.service
    housekeeper = Housekeeper(
        service.jobs, service.artifacts, submit=service.queue.submit, retention=timedelta(hours=24)
    )
    housekeeper.sweep(datetime.now(UTC) + timedelta(hours=25))
    response = client.get(job["links"]["self"] + suffix)
    assert response.status_code == 410
    assert response.json()["code"] == "job_expired"


def test_expires_between_the_record_and_the_file(client, job):
    client.app.state.service.artifacts.remove(job["id"])
    response = client.get(job["outputs"][0]["href"])
    assert response.status_code == 410
    assert response.json()["code"] == "job_expired"


def test_part_of_a_tile(client, job):
    href = job["outputs"][0]["href"]
    whole = client.get(href)
    assert whole.headers["Accept-Ranges"] == "bytes"
    part = client.get(href, headers={"Range": "bytes=10-19", "If-Range": whole.headers["ETag"]})
    assert part.status_code == 206
    assert part.content == whole.content[10:20]
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole.content)}"
    assert part.headers["ETag"] == whole.headers["ETag"]
    assert part.headers["X-Seed"] == whole.headers["X-Seed"]
    changed = client.get(href, headers={"Range": "bytes=10-19", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, whole.content)


def test_a_part_the_tile_does_not_have(client, job):
    href = job["outputs"][0]["href"]
    response = client.get(href, headers={"Range": "bytes=99999999-"})
    assert response.status_code == 416
    assert response.json()["code"] == "range_not_satisfiable"
    assert response.headers["Content-Range"] == f"bytes */{len(client.get(href).content)}"


@pytest.mark.parametrize("value", ["bytes=10-19", "bytes=99999999-"])
def test_only_get_has_parts(client, job, value):
    href = job["outputs"][0]["href"]
    head = client.head(href, headers={"Range": value})
    assert head.status_code == 200
    assert head.headers["Content-Length"] == client.head(href).headers["Content-Length"]


def test_tiles_may_be_kept_as_long_as_the_job_is(client, job):
    for href in (job["outputs"][0]["href"], job["outputs"][0]["manifest"]):
        tile = client.get(href)
        caching, _, max_age = tile.headers["Cache-Control"].rpartition("=")
        assert caching == "private, immutable, max-age"
        assert 23 * 3600 < int(max_age) <= 24 * 3600
    href = job["outputs"][0]["href"]
    etag = client.get(href).headers["ETag"]
    for headers in ({"Range": "bytes=0-9"}, {"If-None-Match": etag}):
        response = client.get(href, headers=headers)
        assert response.headers["Cache-Control"].startswith("private, immutable")


def test_what_changes_is_not_kept(client, mask_file, busy):
    accepted = client.post("/synthesize", files=mask_file, data={"organ": "kidney"}, headers=ASYNC)
    path = accepted.headers["Location"]
    for response in (accepted, client.get(path), client.delete(path)):
        assert response.headers["Cache-Control"] == "no-store"


# Cancel and remove


def test_cancels_a_queued_job(client, mask_file, busy):
    accepted = client.post("/synthesize", files=mask_file, data={"organ": "kidney"}, headers=ASYNC)
    path = accepted.headers["Location"]
    links = accepted.json()["links"]
    assert (links["cancel"], links["remove"]) == (f"{path}?only=cancel", None)
    response = client.delete(links["cancel"])
    assert response.status_code == 200
    job = response.json()
    assert (job["links"]["cancel"], job["links"]["remove"]) == (None, path)
    assert (job["status"], job["position"], job["error"]) == ("canceled", None, None)
    assert job["finished_at"] < job["expires_at"]
    assert client.get(path).json() == job
    service = client.app.state.service
    assert job["id"] not in service.artifacts.scopes()


def test_cancels_a_job_that_waits_again(client, mask_file, busy):
    accepted = client.post(
        "/synthesize", files=mask_file, data={"organ": "kidney", "n": 2}, headers=ASYNC
    )
    service, job_id = client.app.state.service, accepted.json()["id"]
    claim = service.jobs.start(job_id, lease_s=60)
    service.artifacts.put(job_id, "0.png", b"tile")
    service.jobs.add_output(claim, Output(seed=1, sha256="ab"), 0)
    service.jobs.reap(everything=True)  # its worker has died
    job = client.delete(accepted.headers["Location"]).json()
    assert (job["status"], len(job["outputs"])) == ("canceled", 1)
    assert not service.artifacts.exists(job_id, "mask")
    assert service.artifacts.exists(job_id, "0.png")


def test_cancels_a_running_job_and_keeps_its_tiles(client, mask_file, synthesizer, go_on):
    client.post("/synthesize", files=mask_file, data={"organ": "kidney"})
    painting = threading.Event()

    def before(made):
        painting.set()
        assert go_on.wait(30)

    synthesizer.before = before
    accepted = client.post("/synthesize", files=mask_file, data={"organ": "liver"}, headers=ASYNC)
    assert painting.wait(30)
    path = accepted.headers["Location"]
    assert client.delete(path).json()["status"] == "canceled"
    go_on.set()
    assert client.post("/synthesize", files=mask_file, data={"organ": "colon"}).status_code == 200
    job = client.get(path).json()
    assert (job["status"], job["outputs"]) == ("canceled", [])


def test_a_cancellation_that_comes_too_late_removes_nothing(client, job):
    path = job["links"]["self"]
    response = client.delete(path, params={"only": "cancel"})
    assert (response.status_code, response.json()) == (200, client.get(path).json())
    assert response.json()["status"] == "succeeded"
    assert client.get(job["outputs"][0]["href"]).status_code == 200


def test_nothing_else_can_be_all_that_is_done(client, job):
    path = job["links"]["self"]
    problem = client.delete(path, params={"only": "remove"}).json()
    assert problem["code"] == "parameter_invalid"
    assert problem["detail"] == "only must be 'cancel', or left out, was 'remove'."
    assert client.get(path).json()["status"] == "succeeded"


def test_removes_a_finished_job(client, job):
    path = job["links"]["remove"]
    assert job["links"]["cancel"] is None
    response = client.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert job["id"] not in client.app.state.service.artifacts.scopes()
    for response in (client.get(path), client.get(job["outputs"][0]["href"]), client.delete(path)):
        assert response.status_code == 410
        assert response.json()["code"] == "job_expired"
        assert "expired or was removed" in response.json()["detail"]


def test_a_job_that_was_never_there_cannot_be_removed(client):
    problem = client.delete("/jobs/nothing").json()
    assert problem["code"] == "job_unknown"
    assert "SIAN_DATA_DIR or Redis" in problem["detail"]


def test_a_waiting_request_learns_of_the_cancellation(client, mask_file, busy):
    service = client.app.state.service
    answers = []

    def wait():
        answers.append(client.post("/synthesize", files=mask_file, data={"organ": "kidney"}))

    waiting = threading.Thread(target=wait)
    waiting.start()
    queued = until(lambda: service.jobs.queued())
    client.delete(f"/jobs/{queued[0]}")
    waiting.join(30)
    (answer,) = answers
    assert answer.status_code == 409
    problem = answer.json()
    assert problem["code"] == "job_canceled"
    assert problem["job"] == answer.headers["Content-Location"] == f"/jobs/{queued[0]}"


# Positions


def test_says_how_many_jobs_are_before_it(client, mask_file, busy):
    def post():
        return client.post(
            "/synthesize", files=mask_file, data={"organ": "kidney"}, headers=ASYNC
        ).json()

    jobs = [post() for _ in range(3)]
    assert [job["position"] for job in jobs] == [0, 1, 2]
    assert [job["attempts"] for job in jobs] == [0, 0, 0]
    client.delete(jobs[0]["links"]["self"])
    assert client.get(jobs[2]["links"]["self"]).json()["position"] == 1


# Outages


def raising(error):
    def raise_it(*args, **options):
        raise error

    return raise_it


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_the_store_is_away(client, job, monkeypatch, method):
    error = StoreUnavailable("Redis does not answer; try again.", retry_after_s=5)
    monkeypatch.setattr(client.app.state.service.jobs, "get", raising(error))
    response = client.request(method, job["links"]["self"])
    assert response.status_code == 503
    assert response.json()["code"] == "store_unavailable"
    assert response.headers["Retry-After"] == "5"


def test_the_storage_is_away(client, job, monkeypatch):
    error = StorageUnavailable("S3 does not answer; try again.", retry_after_s=10)
    for name in ("get", "remove"):
        monkeypatch.setattr(client.app.state.service.artifacts, name, raising(error))
    for response in (client.get(job["outputs"][0]["href"]), client.delete(job["links"]["self"])):
        assert response.status_code == 503
        assert response.json()["code"] == "storage_unavailable"
        assert response.headers["Retry-After"] == "10"
    assert client.get(job["links"]["self"]).json()["status"] == "succeeded"
