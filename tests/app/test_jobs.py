import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

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
    job = client.get(accepted.headers["Location"]).json()
    assert job["status"] == "running"
    assert job["progress"] == {"done": 1, "total": 2}
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
    client.app.state.service.engine.sweep(datetime.now(UTC) + timedelta(hours=25))
    response = client.get(job["links"]["self"] + suffix)
    assert response.status_code == 410
    assert response.json()["code"] == "job_expired"


def test_expires_between_the_record_and_the_file(client, job):
    client.app.state.service.artifacts.remove(job["id"])
    response = client.get(job["outputs"][0]["href"])
    assert response.status_code == 410
    assert response.json()["code"] == "job_expired"
