"""Datasets over HTTP."""

import hashlib
import io
import json
import threading
import time
import zipfile

import pytest

from app import dataset_reads
from app.dataset_jobs import read_dataset
from app.routes import datasets
from model.errors import StorageUnavailable, StoreUnavailable
from tests.app.checks import check_problem
from tests.waiting import observed
from worker.dataset.request import DatasetRequest

ASYNC = {"Prefer": "respond-async"}
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
    observed(lambda: client.get(path).json()["links"]["remove"])
    return client.get(path).json()


def test_from_the_wish_to_the_bundle(client, ask):
    response = ask()
    assert response.status_code == 202
    path = response.headers["Location"]
    accepted = response.json()
    assert accepted["status"] in {"queued", "running"}
    assert accepted["links"]["self"] == path
    assert accepted["links"]["cancel"] == f"{path}?only=cancel"
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
    canceled = client.delete(client.get(path).json()["links"]["cancel"])
    assert canceled.status_code == 200
    assert canceled.json()["status"] == "canceled"
    go_on.set()
    made = finished(client, path)
    assert made["links"]["bundle"] is None
    assert client.delete(path).status_code == 204
    gone = check_problem(client.get(path), 410, "job_expired", instance=path)
    assert gone["detail"].startswith(f"Dataset '{made['id']}' has expired")
    scopes = client.app.state.service.artifacts.scopes()
    assert not [scope for scope in scopes if scope.startswith(made["id"][:12])]


def test_a_cancellation_that_comes_too_late_removes_nothing(client, ask):
    path = ask().headers["Location"]
    made = finished(client, path)
    late = client.delete(f"{path}?only=cancel")
    assert (late.status_code, late.json()) == (200, made)
    assert late.headers["Cache-Control"] == "no-store"
    of_its_job = client.delete(f"/jobs/{made['id']}?only=cancel")
    assert (of_its_job.status_code, of_its_job.json()["status"]) == (200, "succeeded")
    assert client.get(made["links"]["bundle"]).status_code == 200


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
    monkeypatch.setattr(datasets, "NEWS_S", 0.01)
    monkeypatch.setattr(dataset_reads, "NEWS_S", 0.01)
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
    assert job["progress"]["done"] == 32
    assert job["outputs"] == []  # there may be a thousand
    tile = client.get(f"/jobs/{made['id']}/outputs/3")
    assert tile.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(tile.content)) as archive:
        assert "images/000003.png" in archive.namelist()
    assert client.get(f"/jobs/{made['id']}/outputs/3/manifest").json()["tile"] == 3


@pytest.mark.parametrize("k", [0, 40])
def test_one_tile_that_fails_fails_it_and_is_named(client, ask, synthesizer, k):
    finished(client, ask(count=1).headers["Location"])  # the engine is warm
    wish = DatasetRequest(count=64, organs=WISH["organs"], height=64, width=64, seed=7)
    paint = synthesizer._painted

    def fail(tile):
        if tile.seed == wish.tile_seed(k):
            raise MemoryError
        return paint(tile)

    synthesizer._painted = fail
    made = finished(client, ask(count=64).headers["Location"])
    assert made["status"] == "failed"
    assert made["error"]["code"] == "out_of_memory"


def test_a_cancellation_that_some_parts_hear_of_first(client, ask, busy, go_on):
    """One part is canceled, another finds that out before it is canceled itself."""
    path = ask(count=64).headers["Location"]
    jobs = client.app.state.service.jobs
    first, second = read_dataset(jobs, path.rpartition("/")[2]).jobs
    jobs.cancel(second.id)
    go_on.set()
    made = finished(client, path)
    assert made["status"] == "canceled"
    assert made["error"] is None
    assert jobs.get(first.id).failure.code == "job_canceled"


def test_weights_of_any_size(client, ask):
    path = ask(count=4, organs={"kidney": 1e308, "liver": 1e308}).headers["Location"]
    assert finished(client, path)["status"] == "succeeded"


def test_many_datasets_leave_room_for_tiles(start, busy, mask_file):
    client = start(queue_limit=16)
    wish = {**WISH, "count": 256}  # of eight parts
    assert client.post("/datasets", json=wish).status_code == 202
    check_problem(client.post("/datasets", json=wish), 429, "queue_full", instance="/datasets")
    one_tile = {"organ": "kidney"}
    for _ in range(8):
        accepted = client.post("/synthesize", files=mask_file, data=one_tile, headers=ASYNC)
        assert accepted.status_code == 202


def test_tiles_do_not_wait_for_parts_that_wait(start, synthesizer, mask_file):
    """With threads for two jobs, one of which makes a part."""
    client = start(max_batch=1)
    going_on = threading.Event()
    wish = DatasetRequest(count=64, organs=WISH["organs"], height=64, width=64, seed=7)
    paint = synthesizer._painted

    def slow(tile):
        if tile.seed == wish.tile_seed(1):
            going_on.set()
            time.sleep(2)
        return paint(tile)

    synthesizer._painted = slow
    paths = [client.post("/datasets", json={**WISH, "count": 64}).headers["Location"]
             for _ in range(3)]  # fmt: skip
    assert going_on.wait(PATIENCE_S)
    tile = client.post("/synthesize", files=mask_file, data={"organ": "kidney"})
    assert tile.status_code == 200
    assert client.get(paths[2]).json()["status"] == "queued"
    for path in paths:
        assert finished(client, path)["status"] == "succeeded"


def test_the_job_of_a_part_stands_for_the_dataset(client, ask, busy, go_on):
    path = ask(count=64).headers["Location"]
    dataset_id = path.rpartition("/")[2]
    canceled = client.delete(f"/jobs/{dataset_id}")
    assert canceled.json()["status"] == "canceled"
    assert canceled.headers["Cache-Control"] == "no-store"
    go_on.set()
    assert finished(client, path)["status"] == "canceled"
    assert client.delete(f"/jobs/{dataset_id}").status_code == 204
    check_problem(client.get(path), 410, "job_expired", instance=path)
    scopes = client.app.state.service.artifacts.scopes()
    assert not [scope for scope in scopes if scope.startswith(dataset_id[:12])]


def test_a_removal_that_fails_half_way_can_be_repeated(client, ask, monkeypatch):
    path = ask(count=64).headers["Location"]
    finished(client, path)
    artifacts = client.app.state.service.artifacts
    remove, calls = artifacts.remove, []

    def fail_once(scope):
        calls.append(scope)
        if len(calls) == 2:
            raise StorageUnavailable("The files cannot be reached.", retry_after_s=1)
        remove(scope)

    monkeypatch.setattr(artifacts, "remove", fail_once)
    check_problem(client.delete(path), 503, "storage_unavailable", instance=path)
    assert client.delete(path).status_code == 204
    left = [scope for scope in artifacts.scopes() if scope.startswith(calls[0][:12])]
    assert left == []


def test_so_many_bundles_at_a_time(client, ask, monkeypatch):
    path = ask().headers["Location"]
    bundle = finished(client, path)["links"]["bundle"]
    reads = client.app.state.dataset_reads
    held = [reads._bundles.acquire(blocking=False) for _ in range(dataset_reads._MOST_BUNDLES)]
    assert all(held)
    check_problem(client.get(bundle), 429, "rate_limited", instance=bundle)
    reads._bundles.release()
    for _ in range(3):  # each is given back
        assert client.get(bundle).status_code == 200


def test_a_dataset_that_is_accepted_is_named_though_it_cannot_be_read(
    client, ask, busy, monkeypatch
):
    """Who is told that it failed sends it again."""
    jobs = client.app.state.service.jobs

    def away(job_id):
        raise StoreUnavailable("The store is away.", retry_after_s=5)

    with monkeypatch.context() as outage:
        outage.setattr(jobs, "get", away)
        response = ask(count=100)
    assert response.status_code == 202
    accepted = response.json()
    assert (accepted["status"], accepted["parts"]) == ("queued", 3)
    assert client.get(response.headers["Location"]).json()["parts"] == 3
