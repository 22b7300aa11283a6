"""POST /synthesize: what comes back, in which media type, and how a failed job is told."""

import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from model.errors import MaskBinary, OutOfMemory, StorageUnavailable
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


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemory("The device has too little memory for this tile."),
        StorageUnavailable("The disk is full.", retry_after_s=10),
    ],
    ids=["memory", "disk"],
)
def test_what_a_job_failed_of_may_be_temporary(post, synthesizer, error):
    post(organ="kidney")

    def refuse(made):
        raise error

    synthesizer.before = refuse
    response = post(organ="kidney")
    problem = check_problem(response, 503, error.code)
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
