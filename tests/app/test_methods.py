import pytest

from tests.waiting import until


@pytest.fixture
def job(client, mask_file) -> dict:
    """A finished job of two tiles."""
    response = client.post("/synthesize", files=mask_file, data={"organ": "kidney", "n": 2})
    return response.json()


@pytest.fixture
def dataset(client) -> dict:
    """A finished dataset of one tile."""
    accepted = client.post("/datasets", json={"count": 1, "width": 64, "height": 64})
    path = accepted.headers["Location"]
    until(lambda: client.get(path).json()["status"] == "succeeded")
    return accepted.json()


@pytest.fixture
def paths(client, job, dataset) -> list[str]:
    """Every address there is to get."""
    values = {"job_id": job["id"], "index": 0, "name": "kidney", "dataset_id": dataset["id"]}
    documented = client.get("/openapi.json").json()["paths"]
    found = [path.format(**values) for path, methods in documented.items() if "get" in methods]
    return [*found, "/", "/docs", "/openapi.json"]


def test_head_is_get_without_the_body(client, paths):
    for path in paths:
        head = client.head(path, follow_redirects=False)
        get = client.get(path, follow_redirects=False)
        assert head.status_code == get.status_code, path
        assert head.headers.get("Content-Type") == get.headers.get("Content-Type"), path
        assert head.content == b"", path
        if path != "/metrics" and "Content-Length" in get.headers:  # which differ each time
            assert head.headers["Content-Length"] == get.headers["Content-Length"], path


def test_head_of_events_ends(client, mask_file, busy):
    accepted = client.post(
        "/synthesize", files=mask_file, data={"organ": "kidney"}, headers={"Prefer": "wait=0"}
    )
    head = client.head(accepted.json()["links"]["events"])
    assert head.status_code == 200
    assert head.headers["Content-Type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/jobs/any", "DELETE, GET, HEAD, OPTIONS"),
        ("/jobs/any/events", "GET, HEAD, OPTIONS"),
        ("/styles", "GET, HEAD, OPTIONS, POST"),
        ("/styles/kidney", "DELETE, GET, HEAD, OPTIONS"),
        ("/synthesize", "OPTIONS, POST"),
        ("/datasets", "OPTIONS, POST"),
        ("/datasets/any", "DELETE, GET, HEAD, OPTIONS"),
        ("/docs", "GET, HEAD, OPTIONS"),
    ],
)
def test_an_address_names_all_its_methods(client, path, methods):
    options = client.options(path)
    assert (options.status_code, options.content) == (204, b"")
    refused = client.put(path)
    assert refused.status_code == 405
    assert refused.json()["code"] == "method_not_allowed"
    assert options.headers["Allow"] == refused.headers["Allow"] == methods


def test_an_address_that_is_not_there_has_no_methods(client):
    assert client.options("/nothing").status_code == 404
    assert client.head("/nothing").status_code == 404
