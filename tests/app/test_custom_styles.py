"""POST and DELETE /styles, and tiles in custom styles; the fake engine encodes by mean colour."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.fakes import png, style_png
from tests.waiting import until
from worker.custom_styles import CustomStyle, CustomStyles

IMAGE = style_png()
DIGEST = hashlib.sha256(IMAGE).hexdigest()
ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
def keep(client):
    """Posts a style image with form fields."""

    def keep(image=IMAGE, headers=None, **fields):
        return client.post("/styles", files={"style": image}, data=fields, headers=headers)

    return keep


def check(response, status, code):
    problem = response.json()
    assert (response.status_code, problem.get("code")) == (status, code), problem
    assert response.headers["Content-Type"] == "application/problem+json"
    return problem["detail"]


def test_answers_the_style(client, keep):
    response = keep()
    assert response.status_code == 200
    style = response.json()
    assert (style["name"], style["kind"], style["organ"]) == (None, "custom", None)
    (exemplar,) = style["exemplars"]
    assert exemplar["source"] == {"image_sha256": DIGEST, "mpp": 0.25}
    assert len(exemplar["vector"]) == style["style_dim"]
    assert style["statistics"]["mean"] == exemplar["vector"]
    assert set(style["statistics"]["std"]) == {0.0}
    assert style["links"] == {"self": None, "thumbnail": None}
    assert "X-Seed" not in response.headers
    assert [each["kind"] for each in client.get("/styles").json()["styles"]] == ["preset"] * 3


def test_its_job_is_one_like_others(client, keep):
    job = client.get(keep(name="ward").headers["Content-Location"]).json()
    assert (job["kind"], job["status"], job["seed"]) == ("style", "succeeded", None)
    assert job["progress"] == {"done": 1, "total": 1, "unit": "styles"}
    assert job["links"]["style"] == "/styles/ward"
    (output,) = job["outputs"]
    file = client.get(output["href"])
    assert file.headers["Content-Type"] == "application/json"
    assert file.headers["ETag"] == f'"{output["sha256"]}"'
    assert file.json()["image_sha256"] == DIGEST
    assert "vector" not in client.get(output["manifest"]).json()


def test_is_found_by_its_name(client, keep):
    kept = keep(name="ward-3").json()
    assert kept["links"]["self"] == "/styles/ward-3"
    assert client.get("/styles/ward-3").json() == kept
    listed = client.get("/styles").json()["styles"]
    assert [(each["name"], each["kind"], each["organ"]) for each in listed] == [
        ("colon", "preset", "colon"),
        ("kidney", "preset", "kidney"),
        ("liver", "preset", "liver"),
        ("ward-3", "custom", None),
    ]
    assert (listed[3]["exemplars"], listed[3]["spread"], listed[3]["outdated"]) == (1, 0.0, False)


def test_not_waiting(client, keep):
    response = keep(headers=ASYNC, name="ward")
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "respond-async"
    job = client.get(response.headers["Location"]).json()
    assert (job["kind"], job["links"]["style"] in (None, "/styles/ward")) == ("style", True)


def test_once_and_not_twice(client, keep, mask_file):
    key = {"Idempotency-Key": "8e03978e"}
    first, second = keep(headers=key), keep(headers=key)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.headers["Content-Location"] == first.headers["Content-Location"]
    assert second.json() == first.json()
    check(keep(headers=key, name="other"), 422, "idempotency_mismatch")
    tile = client.post("/synthesize", files=mask_file, data={"organ": "colon"}, headers=key)
    check(tile, 422, "idempotency_mismatch")


@pytest.mark.parametrize(
    ("image", "fields", "status", "code"),
    [
        (style_png(4), {}, 422, "style_too_small"),
        (b"", {}, 422, "style_unreadable"),
        (IMAGE, {"name": "Ward"}, 422, "style_name_invalid"),
        (IMAGE, {"name": "../ward"}, 422, "style_name_invalid"),
        (IMAGE, {"name": "kidney"}, 409, "style_is_preset"),
        (IMAGE, {"mpp": 7}, 422, "parameter_invalid"),
        (IMAGE, {"seed": 7}, 422, "parameter_invalid"),
    ],
)
def test_what_cannot_be_kept_makes_no_job(client, keep, image, fields, status, code):
    check(keep(image, **fields), status, code)
    assert client.app.state.service.jobs.unexpired() == set()


def test_an_image_beyond_the_servers_limit(start):
    client = start(max_style_mpx=0.005)
    check(client.post("/styles", files={"style": IMAGE}), 413, "style_too_large")


def test_no_image_at_all(client):
    check(client.post("/styles", files={"name": (None, "ward")}), 422, "style_missing")
    sent_as_text = client.post("/styles", files={"style": (None, "kidney")})
    assert "must be a file" in check(sent_as_text, 422, "parameter_invalid")


def test_two_images_at_once(client):
    twice = [("style", IMAGE), ("style", IMAGE)]
    check(client.post("/styles", files=twice), 422, "parameter_invalid")


def test_a_name_belongs_to_one_image(client, keep):
    first = keep(name="ward").json()
    assert keep(name="ward").json() == first
    detail = check(keep(style_png(seed=1), name="ward"), 409, "style_name_taken")
    assert "'ward'" in detail
    assert client.get("/styles/ward").json() == first


def test_two_images_that_want_one_name_at_the_same_time(client, keep, busy, go_on):
    jobs = [keep(style_png(seed=k), ASYNC, name="ward").headers["Location"] for k in range(2)]
    go_on.set()
    until(lambda: all(client.get(job).json()["links"]["remove"] for job in jobs))
    seen = [client.get(job).json() for job in jobs]
    ends = [(job["status"], job["error"] and job["error"]["code"]) for job in seen]
    assert sorted(ends) == [("failed", "style_name_taken"), ("succeeded", None)]


def test_no_more_than_the_setting_allows(start):
    client = start(max_styles=1)
    assert client.post("/styles", files={"style": IMAGE}, data={"name": "a"}).status_code == 200
    full = client.post("/styles", files={"style": IMAGE}, data={"name": "b"})
    assert "1 custom styles" in check(full, 409, "styles_full")
    assert client.post("/styles", files={"style": IMAGE}).status_code == 200  # not kept


def test_deletes(client, keep, post):
    keep(name="ward")
    assert client.delete("/styles/ward").status_code == 204
    check(client.get("/styles/ward"), 404, "not_found")
    check(client.delete("/styles/ward"), 404, "not_found")
    check(client.delete("/styles/kidney"), 409, "style_is_preset")
    assert "'ward'" in check(post(organ="ward"), 422, "style_unknown")


def test_has_no_thumbnail(client, keep):
    keep(name="ward")
    check(client.get("/styles/ward/thumbnail"), 404, "not_found")


def test_outlives_jobs(client, keep):
    kept = keep(name="ward")
    assert client.delete(kept.headers["Content-Location"]).status_code == 204
    client.app.state.service.parts[-1].sweep_orphans(datetime.now(UTC) + timedelta(days=400))
    assert client.get("/styles/ward").json() == kept.json()


def test_a_style_of_another_checkpoint(client, keep, post, monkeypatch):
    keep(name="ward")
    monkeypatch.setattr(CustomStyles, "_hash", "0" * 16)
    for response in (client.get("/styles/ward"), post(organ="ward"), post(styles='{"ward": 1}')):
        assert "another checkpoint" in check(response, 409, "style_outdated")
    assert client.get("/styles").json()["styles"][3]["outdated"]
    assert keep(name="ward").status_code == 200
    assert not client.get("/styles").json()["styles"][3]["outdated"]
    assert client.delete("/styles/ward").status_code == 204


def test_a_preset_has_the_name_of_a_style_of_an_older_checkpoint(start):
    """That is listed once, as the preset, and takes no place."""
    client = start(max_styles=1)
    service = client.app.state.service
    presets = {name: of for name, of in service.card.styles.items() if name != "kidney"}
    older = replace(service.card, sha256="0" * 64, styles=presets)
    vector = np.zeros(older.style_dim, np.float32)
    style = CustomStyle.encoded(vector, older, image_sha256=DIGEST, mpp=None)
    CustomStyles(service.artifacts, older, limit=1).keep("kidney", style)
    kept = client.post("/styles", files={"style": IMAGE}, data={"name": "ward"})
    assert kept.status_code == 200
    listed = client.get("/styles").json()["styles"]
    assert [(each["name"], each["kind"]) for each in listed] == [
        ("colon", "preset"),
        ("kidney", "preset"),
        ("liver", "preset"),
        ("ward", "custom"),
    ]
    assert client.get("/styles/kidney").json()["kind"] == "preset"
    check(client.delete("/styles/kidney"), 409, "style_is_preset")


def test_tiles_in_a_custom_style(post, keep, mask_file):
    keep(name="ward")
    named = post(organ="ward", seed=1)
    assert named.status_code == 200
    sent = post(files={**mask_file, "style": IMAGE}, seed=1)
    assert named.content == sent.content


def test_a_mix_with_custom_styles(client, post, keep):
    keep(name="ward")
    response = post(styles='{"ward": 1, "kidney": 3}', headers={"Accept": "application/json"})
    manifest = client.get(response.json()["outputs"][0]["manifest"]).json()
    assert manifest["style"] == {
        "weights": {"ward": 1, "kidney": 3},
        "custom": {"ward": {"image_sha256": DIGEST}},
    }
    check(post(styles='{"ward": 1, "spleen": 3}'), 422, "style_unknown")
    check(post(styles='{"ward": -1}'), 422, "style_weights_invalid")
    many = json.dumps({f"ward-{k}": 1 for k in range(9)})
    assert "at most 8" in check(post(styles=many), 422, "style_weights_invalid")


def test_a_style_that_is_deleted_once_the_job_is_accepted(client, post, keep, synthesizer):
    keep(name="ward")

    def delete(made):
        client.delete("/styles/ward")

    synthesizer.before = delete
    assert post(organ="ward").status_code == 200
    assert client.get("/styles/ward").status_code == 404


# Several images


@pytest.fixture
def mix(post, mask_file):
    def mix(weights, *images, **fields):
        files = [*mask_file.items(), *(("style", image) for image in images)]
        sent = fields if weights is None else {**fields, "weights": weights}
        return post(files=files, **sent)

    return mix


IMAGES = [style_png(seed=seed) for seed in range(9)]


def test_images_are_mixed(client, mix):
    response = mix("[3, 1]", *IMAGES[:2], seed=2, n=2)
    assert response.status_code == 200
    outputs = response.json()["outputs"]
    digests = [hashlib.sha256(image).hexdigest() for image in IMAGES[:2]]
    for output in outputs:
        style = client.get(output["manifest"]).json()["style"]
        assert style == {
            "images": [
                {"image_sha256": digests[0], "weight": 3},
                {"image_sha256": digests[1], "weight": 1},
            ]
        }
    again = mix("[3, 1]", *IMAGES[:2], seed=2, n=2).json()["outputs"]
    assert [each["sha256"] for each in again] == [each["sha256"] for each in outputs]


def test_the_vector_is_the_convex_combination(mix, synthesizer):
    used, tile = [], synthesizer.tile

    def noting(layout, style, *, seed):
        used.append(style)
        return tile(layout, style, seed=seed)

    synthesizer.tile = noting
    dark, pale = (
        png(np.tile(np.array([value + 9, value - 9, value], np.uint8), (80, 80, 1)))
        for value in (10, 210)
    )
    assert mix("[0.25, 0.75]", dark, pale).status_code == 200
    np.testing.assert_allclose(used[-1], 160.0)


def test_one_image_may_have_its_weight(mix, post, mask_file):
    alone = post(files={**mask_file, "style": IMAGES[0]}, seed=3)
    assert mix("[0.5]", IMAGES[0], seed=3).content == alone.content


@pytest.mark.parametrize(
    ("weights", "count", "code"),
    [
        (None, 2, "style_conflict"),
        (json.dumps([1] * 9), 9, "style_conflict"),
        ("[1]", 2, "style_weights_invalid"),
        ("[1, 2, 3]", 2, "style_weights_invalid"),
        ("[1, -2]", 2, "style_weights_invalid"),
        ("[0, 0]", 2, "style_weights_invalid"),
        ("[1, NaN]", 2, "style_weights_invalid"),
        ("[1, 1e999]", 2, "style_weights_invalid"),
        ('[1, "2"]', 2, "style_weights_invalid"),
        ("[1, true]", 2, "style_weights_invalid"),
        ('{"a": 1}', 2, "style_weights_invalid"),
        ("1, 2", 2, "style_weights_invalid"),
        ("[" * 100_000, 2, "style_weights_invalid"),
        ("[1]", 0, "style_weights_invalid"),
    ],
)
def test_bad_weights(mix, weights, count, code):
    check(mix(weights, *IMAGES[:count]), 422, code)


def test_weights_belong_to_images(mix):
    check(mix("[1]", organ="kidney"), 422, "style_weights_invalid")
    check(mix("[1, 1]", *IMAGES[:2], organ="kidney"), 422, "style_conflict")


def test_one_bad_image_among_several(mix):
    check(mix("[1, 1]", IMAGES[0], style_png(4)), 422, "style_too_small")


def test_a_rate_limit_counts_styles(start):
    client = start(rate_limit="1/hour")
    assert client.post("/styles", files={"style": IMAGE}).status_code == 200
    check(client.post("/styles", files={"style": IMAGE}), 429, "rate_limited")
