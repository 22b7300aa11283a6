"""Datasets over HTTP."""

import hashlib
import io
import json
import time
import zipfile

import pytest

from app.routes import datasets
from tests.app.checks import check_problem

PATIENCE_S = 60
WISH = {"count": 5, "organs": {"kidney": 3, "liver": 2}, "width": 64, "height": 64, "seed": 7}


@pytest.fixture
def ask(client):
    """Posts a wish; fields given replace those of ``WISH``, None leaves one out."""

    def ask(headers=None, **fields):
        wish = {key: value for key, value in {**WISH, **fields}.items() if value is not None}
        return client.post("/datasets", json=wish, headers=headers)

    return ask


def finished(client, path):
    until = time.monotonic() + PATIENCE_S
    while client.get(path).json()["links"]["remove"] is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    return client.get(path).json()


def test_from_the_wish_to_the_bundle(client, ask):
    response = ask()
    assert response.status_code == 202
    path = response.headers["Location"]
    accepted = response.json()
    assert accepted["status"] == "queued"
    assert accepted["links"]["self"] == accepted["links"]["cancel"] == path
    asked = {name: accepted[name] for name in WISH}
    assert asked == WISH
    assert accepted["formats"] == ["coco"]

    made = finished(client, path)
    assert made["status"] == "succeeded"
    assert made["progress"] == {"done": 5, "total": 5, "unit": "tiles"}
    assert made["links"]["bundle"] == f"{path}/bundle"
    assert made["expires_at"] > made["finished_at"] > made["created_at"]

    bundle = client.get(made["links"]["bundle"])
    assert bundle.headers["Content-Type"] == "application/zip"
    assert bundle.headers["Content-Disposition"] == 'attachment; filename="sian-5-7.zip"'
    with zipfile.ZipFile(io.BytesIO(bundle.content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    sums = dict(reversed(line.split("  ")) for line in files["SHA256SUMS"].decode().splitlines())
    assert sums == {
        name: hashlib.sha256(data).hexdigest()
        for name, data in files.items()
        if name != "SHA256SUMS"
    }
    assert json.loads(files["manifest.json"])["tiles"] == {"kidney": 3, "liver": 2}
    assert len({data for name, data in files.items() if name.startswith("images/")}) == 5
    head = client.head(made["links"]["bundle"])
    assert head.headers["Content-Type"] == "application/zip"
    assert not head.content


def test_all_organs_unless_named_and_a_seed_is_drawn(client, ask):
    made = ask(organs=None, seed=None).json()
    assert set(made["organs"].values()) == {1.0}
    styles = client.get("/styles").json()["styles"]
    assert set(made["organs"]) == {style["name"] for style in styles}
    assert ask(organs=None, seed=None).json()["seed"] != made["seed"]


def test_a_list_of_organs_has_equal_shares(ask):
    assert ask(organs=["kidney", "liver"]).json()["organs"] == {"kidney": 1.0, "liver": 1.0}


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"count": 0}, "count"),
        ({"count": 100_001}, "count"),
        ({"count": None}, "count"),
        ({"count": "many"}, "count"),
        ({"width": 10}, "width"),
        ({"height": 2048}, "height"),
        ({"seed": -1}, "seed"),
        ({"organs": {"kidney": -1}}, "kidney"),
        ({"organs": []}, "organ"),
        ({"organs": ["spleen"]}, "spleen"),
        ({"formats": ["gif"]}, "formats"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_wishes(ask, fields, names):
    problem = check_problem(ask(**fields), 422, "parameter_invalid", instance="/datasets")
    assert names in problem["detail"]


def test_more_tiles_than_the_service_makes(start):
    client = start(max_dataset_tiles=4)
    response = client.post("/datasets", json=WISH)
    problem = check_problem(response, 422, "parameter_invalid", instance="/datasets")
    assert "SIAN_MAX_DATASET_TILES" in problem["detail"]


def test_a_bundle_before_its_time(client, ask, busy, go_on):
    path = ask().headers["Location"]
    response = client.get(f"{path}/bundle")
    check_problem(response, 409, "dataset_unfinished", instance=f"{path}/bundle")
    go_on.set()
    finished(client, path)


def test_canceled_and_removed(client, ask, busy, go_on):
    path = ask(count=96).headers["Location"]
    assert client.get(path).json()["parts"] == 3
    canceled = client.delete(path)
    assert canceled.status_code == 200
    assert canceled.json()["status"] == "canceled"
    go_on.set()
    made = finished(client, path)
    assert made["links"]["bundle"] is None
    assert client.delete(path).status_code == 204
    check_problem(client.get(path), 410, "job_expired", instance=path)
    scopes = client.app.state.service.artifacts.scopes()
    assert not [scope for scope in scopes if scope.startswith(made["id"][:12])]


def test_the_same_wish_twice_under_one_key(client, ask):
    key = {"Idempotency-Key": "dataset-1"}
    first, again = ask(headers=key), ask(headers=key)
    assert first.headers["Location"] == again.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    check_problem(ask(headers=key, seed=8), 422, "idempotency_mismatch", instance="/datasets")


def test_a_full_queue_takes_no_part(start, busy, go_on, mask_file):
    client = start(queue_limit=4)
    for _ in range(3):
        client.post("/synthesize", files=mask_file, data={"organ": "kidney"},
                    headers={"Prefer": "respond-async"})  # fmt: skip
    queued = client.app.state.service.jobs.queued()
    response = client.post("/datasets", json={**WISH, "count": 64})  # of two parts
    check_problem(response, 429, "queue_full", instance="/datasets")
    assert client.app.state.service.jobs.queued() == queued
    assert len(queued) == 3


def test_follows_it_to_its_end(client, ask, monkeypatch):
    monkeypatch.setattr(datasets, "_NEWS_S", 0.01)
    path = ask(count=40).headers["Location"]
    text = client.get(f"{path}/events").text
    head, *blocks = text.removesuffix("\n\n").split("\n\n")
    assert head == "retry: 2000"
    lines = [block.split("\n") for block in blocks if block != ": ping"]
    assert {name for name, _, _ in lines} == {"event: dataset"}
    documents = [json.loads(data.removeprefix("data: ")) for _, data, _ in lines]
    done = [document["progress"]["done"] for document in documents]
    assert done == sorted(done)
    assert documents[-1] == client.get(path).json()
    assert documents[-1]["status"] == "succeeded"
    last = lines[-1][2].removeprefix("id: ")
    assert client.get(f"{path}/events", headers={"Last-Event-ID": last}).status_code == 204


def test_what_is_no_dataset(client, mask_file):
    job = client.post("/synthesize", files=mask_file, data={"organ": "kidney"}).headers
    job_id = job["Content-Location"].rpartition("/")[2]
    for name in (job_id, "0" * 32):
        for end in ("", "/events", "/bundle"):
            path = f"/datasets/{name}{end}"
            check_problem(client.get(path), 404, "job_unknown", instance=path)


def test_its_jobs_point_to_it(client, ask):
    path = ask(count=64).headers["Location"]
    made = finished(client, path)
    job = client.get(f"/jobs/{made['id']}").json()
    assert job["kind"] == "dataset"
    assert job["links"]["dataset"] == path
    assert len(job["outputs"]) == 32
    tile = client.get(job["outputs"][3]["href"])
    assert tile.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(tile.content)) as archive:
        assert "images/000003.png" in archive.namelist()
    assert client.get(job["outputs"][3]["manifest"]).json()["tile"] == 3


def test_one_part_that_fails_fails_it(client, ask, synthesizer):
    def fail(made):
        raise ValueError("odd")

    finished(client, ask(count=1).headers["Location"])  # the engine is warm
    synthesizer.before = fail
    path = ask(count=64).headers["Location"]
    made = finished(client, path)
    assert made["status"] == "failed"
    assert made["error"]["code"] in ("synthesis_failed", "job_canceled")
