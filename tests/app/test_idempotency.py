import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.idempotency import parse_key
from model.errors import MaskBinary, ParameterInvalid
from tests.fakes import mask_png, style_png

ASYNC = {"Prefer": "respond-async"}
WARD, LAB = "0123456789abcdef", "fedcba9876543210"

printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255)


@given(printable)
def test_a_quoted_key_is_what_is_inside(key):
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_key(f'"{escaped}"') == key


@given(printable.filter(lambda key: not key.startswith('"')))
def test_a_bare_key_is_itself(key):
    assert parse_key(key) == key


@pytest.mark.parametrize(
    "header",
    [
        "",
        '""',
        '"',
        '"open',
        '"a"b"',
        '"a\\n"',
        '"a" ; b',
        "k" * 256,
        f'"{"k" * 256}"',
        "ä",
        "a\tb",
    ],
)
def test_what_is_no_key(header):
    with pytest.raises(ParameterInvalid, match="Idempotency-Key"):
        parse_key(header)


@pytest.fixture
def post(client, mask_file):
    def post(key="one", files=mask_file, headers=None, **fields):
        fields = {"organ": "kidney", **fields}
        headers = {"Idempotency-Key": key, **(headers or {})}
        return client.post("/synthesize", files=files, data=fields, headers=headers)

    return post


def test_the_same_request_is_not_done_again(client, post, synthesizer):
    first, again, quoted = post(), post(), post('"one"')
    assert "Idempotency-Replayed" not in first.headers
    for response in (again, quoted):
        assert response.status_code == 200
        assert response.headers["Idempotency-Replayed"] == "true"
        assert response.content == first.content
        for name in ("X-Seed", "ETag", "Content-Location"):
            assert response.headers[name] == first.headers[name]
    assert len(client.app.state.service.jobs.unexpired()) == 1


def test_an_answer_may_be_asked_for_in_another_form(post):
    png = post()
    job = post(headers={"Accept": "application/json", **ASYNC})
    assert job.status_code == 200
    assert job.json()["links"]["self"] == png.headers["Content-Location"]


def test_another_key_is_another_request(post):
    assert post("one").headers["Content-Location"] != post("two").headers["Content-Location"]


@pytest.mark.parametrize(
    "fields",
    [
        {"organ": "liver"},
        {"seed": 7},
        {"n": 2},
        {"mpp": 0.25},
        {"label_components": True},
        {"deadline_s": 60},
        {"files": {"mask": mask_png(80)}},
        {"organ": None, "styles": '{"kidney": 1}'},
        {"organ": None, "files": {"mask": mask_png(), "style": style_png()}},
    ],
)
def test_one_key_for_two_requests(client, post, fields):
    first = post()
    refused = post(**fields)
    assert refused.status_code == 422
    assert refused.json()["code"] == "idempotency_mismatch"
    assert post().content == first.content
    assert len(client.app.state.service.jobs.unexpired()) == 1


def test_while_the_first_is_worked_on(post, busy):
    accepted = post(headers=ASYNC)
    again = post()
    assert again.status_code == 409
    problem = again.json()
    assert problem["code"] == "request_in_flight"
    assert problem["job"] == again.headers["Location"] == accepted.headers["Location"]
    assert int(again.headers["Retry-After"]) >= 1


def test_who_does_not_wait_is_told_of_the_job_again(post, busy):
    accepted = post(headers=ASYNC)
    for again in (post(headers=ASYNC), post(headers={"Prefer": "wait=0"})):
        assert again.status_code == 202
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.headers["Location"] == accepted.headers["Location"]
        assert again.json()["id"] == accepted.json()["id"]
    assert "Idempotency-Replayed" not in accepted.headers


def test_a_failure_is_replayed(post, synthesizer):
    assert post("warm").status_code == 200

    def refuse(made):
        raise MaskBinary("All nuclei share one value: give each its own.")

    synthesizer.before = refuse
    first = post()
    synthesizer.before = lambda made: None
    again = post()
    assert first.status_code == again.status_code == 422
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["code"] == "mask_binary"
    assert again.json()["job"] == first.json()["job"]


def test_a_cancellation_is_replayed(client, post, busy):
    accepted = post(headers=ASYNC)
    client.delete(accepted.headers["Location"])
    again = post()
    assert (again.status_code, again.json()["code"]) == (409, "job_canceled")
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_key_is_free_when_its_job_is_removed(client, post):
    first = post()
    client.delete(first.headers["Content-Location"])
    again = post()
    assert "Idempotency-Replayed" not in again.headers
    assert again.headers["Content-Location"] != first.headers["Content-Location"]


def test_a_request_that_was_refused_leaves_its_key_free(post):
    assert post(files={"mask": b"no mask"}).status_code == 422
    assert post().status_code == 200


def test_a_full_queue_is_no_obstacle_to_what_is_known(start, busy, mask_file):
    client = start(queue_limit=1)

    def post(key):
        headers = {"Idempotency-Key": key, **ASYNC}
        return client.post(
            "/synthesize", files=mask_file, data={"organ": "kidney"}, headers=headers
        )

    accepted = post("one")
    assert post("two").status_code == 429
    assert post("one").headers["Idempotency-Replayed"] == "true"
    client.delete(accepted.headers["Location"])
    assert post("one").json()["code"] == "job_canceled"


def test_two_at_once_are_one_job(client, post, busy):
    service = client.app.state.service
    find, both_asked = service.jobs.find, threading.Barrier(2, timeout=30)

    def find_nothing_yet(idempotency):
        found = find(idempotency)
        both_asked.wait()
        return found

    service.jobs.find = find_nothing_yet
    with ThreadPoolExecutor(2) as clients:
        answers = list(clients.map(lambda _: post(headers=ASYNC), range(2)))
    (job_id,) = service.jobs.queued()
    assert [answer.json()["id"] for answer in answers] == [job_id, job_id]
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 1
    scopes = {scope for scope in service.artifacts.scopes() if not scope.startswith("thumb")}
    assert scopes == {job_id}


def test_clients_do_not_share_keys(start, mask_file):
    client = start(api_keys=f"ward:{WARD},lab:{LAB}")
    jobs = []
    for key in (WARD, LAB, WARD):
        headers = {"Idempotency-Key": "one", "X-API-Key": key}
        response = client.post(
            "/synthesize", files=mask_file, data={"organ": "kidney"}, headers=headers
        )
        jobs.append(response.headers["Content-Location"])
    assert jobs[0] == jobs[2] != jobs[1]


def test_a_header_that_is_no_key(post):
    response = post("k" * 256)
    assert response.status_code == 422
    assert response.json()["code"] == "parameter_invalid"
