import asyncio
import logging

import pytest
from fastapi.testclient import TestClient

from app.middleware import BodyLimit
from model.errors import UploadTooLarge
from tests.app.checks import check_problem
from tests.fakes import mask_png


def test_every_response_has_a_request_id(client):
    first, second = client.get("/healthz"), client.get("/healthz")
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]


def test_a_clients_own_id_is_kept_if_it_is_plain(client):
    assert (
        client.get("/", headers={"X-Request-ID": "run-7.a_B"}).headers["X-Request-ID"]
        == "run-7.a_B"
    )
    for bad in ("a b", "x" * 65, "", "a;b", "ä".encode()):
        response = client.get("/healthz", headers={"X-Request-ID": bad})
        assert response.headers["X-Request-ID"] not in (bad, "")


def test_requests_are_logged(client, caplog):
    caplog.set_level(logging.INFO)
    client.get("/styles")
    client.get("/healthz")
    lines = [record.getMessage() for record in caplog.records if record.name == "app.middleware"]
    assert len(lines) == 1
    assert lines[0].startswith("GET /styles 200 ")
    assert lines[0].endswith(" ms testclient")


def test_a_path_cannot_forge_a_line_of_the_log(client, caplog):
    caplog.set_level(logging.INFO)
    client.get("/styles/%0AINJECTED%E2%80%A8%1B")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "app.middleware"]
    assert line.startswith("GET /styles/%0AINJECTED%E2%80%A8%1B 404 ")


def test_an_address_cannot_forge_a_line_of_the_log(start, caplog):
    """A proxy that is trusted may have been told anything."""
    caplog.set_level(logging.INFO)
    app = start().app
    addresses = {
        "10.0.0.7": "10.0.0.7",
        "2001:db8::7": "2001:db8::7",
        "a\nINJECTED \udcff": "a%0AINJECTED%20%3F",
    }
    for address in addresses:
        TestClient(app, client=(address, 1)).get("/styles")
    lines = [record.getMessage() for record in caplog.records if record.name == "app.middleware"]
    assert [line.partition(" ms ")[2] for line in lines] == list(addresses.values())


def test_an_unexpected_error_is_a_problem_without_its_traceback(client, monkeypatch, caplog):
    def explode(job_id):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(client.app.state.service.jobs, "get", explode)
    response = client.get("/jobs/any", headers={"X-Request-ID": "the-id"})
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["code"] == "internal_error"
    assert problem["request_id"] == response.headers["X-Request-ID"] == "the-id"
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert "secret detail" in caplog.text
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/jobs", 404, "not_found"),
        ("GET", "/synthesize", 405, "method_not_allowed"),
        ("DELETE", "/styles", 405, "method_not_allowed"),
    ],
)
def test_wrong_addresses_are_problems(client, method, path, status, code):
    response = client.request(method, path)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == code
    assert path in response.json()["detail"]


def chunks(total: int):
    yield b'--xx\r\nContent-Disposition: form-data; name="mask"; filename="m"\r\n\r\n'
    for _ in range(total // 10_000):
        yield b"x" * 10_000
    yield b"\r\n--xx--\r\n"


@pytest.mark.parametrize("length_is_declared", [True, False])
def test_a_body_that_is_too_large(start, length_is_declared):
    client = start(max_upload_mb=0.1)
    if length_is_declared:
        response = client.post("/synthesize", files={"mask": b"x" * 200_000})
    else:
        headers = {"Content-Type": "multipart/form-data; boundary=xx"}
        response = client.post("/synthesize", content=chunks(200_000), headers=headers)
    assert response.status_code == 413
    assert response.json()["code"] == "upload_too_large"
    assert "0.1 MiB" in response.json()["detail"]


def test_nothing_is_read_beyond_the_limit():
    taken = 0

    async def endless():
        nonlocal taken
        taken += 10_000
        return {"type": "http.request", "body": b"x" * 10_000, "more_body": True}

    async def reads_everything(scope, receive, send):
        while (await receive())["more_body"]:
            pass

    form = [(b"content-type", b"multipart/form-data; boundary=xx")]
    scope = {"type": "http", "method": "POST", "path": "/synthesize", "headers": form}
    limited = BodyLimit(reads_everything, max_bytes=100_000)
    with pytest.raises(UploadTooLarge):
        asyncio.run(limited(scope, endless, None))
    assert taken == 110_000


def test_a_body_within_the_limit(start):
    client = start(max_upload_mb=0.1)
    response = client.post("/synthesize", files={"mask": mask_png()}, data={"organ": "kidney"})
    assert response.status_code == 200


def test_a_length_that_is_no_number_is_left_to_the_count(start):
    client = start(max_upload_mb=0.1)
    headers = {"Content-Length": "many", "Content-Type": "multipart/form-data; boundary=xx"}
    response = client.post("/synthesize", content=b"x" * 200_000, headers=headers)
    assert response.status_code == 413


@pytest.mark.parametrize("path", ["/datasets", "/masks"])
@pytest.mark.parametrize("length_is_declared", [True, False])
def test_json_has_no_room_for_a_million_mistakes(client, path, length_is_declared):
    """It is parsed while everybody else waits."""
    body = b'{"count": 1, "organ": "kidney", "formats": [' + b"1," * 50_000 + b"1]}"
    content = body if length_is_declared else iter([body[:1000], body[1000:]])
    response = client.post(path, content=content, headers={"Content-Type": "application/json"})
    problem = check_problem(response, 413, "upload_too_large", instance=path)
    assert "64 KiB" in problem["detail"]


@pytest.mark.parametrize("path", ["/synthesize", "/styles", "/masks/convert"])
def test_a_request_has_no_more_files_than_it_can_use(client, path):
    """Each may take a file descriptor."""
    response = client.post(path, files=[(f"file{k}", b"x") for k in range(11)])
    problem = check_problem(response, 400, "request_malformed", instance=path)
    assert "10" in problem["detail"]
