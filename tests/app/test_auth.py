import pytest

from tests.fakes import mask_png

WARD, LAB = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture
def client(start):
    return start(api_keys=f"ward:{WARD},lab:{LAB}")


def test_what_is_open(client):
    pages = ("/", "/studio/main.js", "/docs", "/static-offline-docs/favicon.png")
    for path in (*pages, "/openapi.json", "/healthz"):
        assert client.get(path).status_code == 200, path
    assert client.get("/readyz").status_code in (200, 503)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/synthesize"),
        ("GET", "/styles"),
        ("GET", "/jobs/any"),
        ("DELETE", "/jobs/any"),
        ("GET", "/jobs/any/events"),
        ("GET", "/metrics"),
        ("GET", "/model"),
        ("GET", "/nothing"),
        ("GET", "/static-offline-docs"),
        ("GET", "/docs/any"),
    ],
)
def test_everything_else_needs_a_key(client, method, path):
    response = client.request(method, path)
    assert response.status_code == 401
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="sian"'
    problem = response.json()
    assert problem["code"] == "key_invalid"
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert "Bearer" in problem["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {WARD}"},
        {"Authorization": f"bearer {LAB}"},
        {"X-API-Key": LAB},
        {"X-API-Key": LAB, "Authorization": "Basic dXNlcjpwYXNz"},
    ],
)
def test_a_key_that_is_known(client, headers):
    assert client.get("/styles", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {WARD}0"},
        {"Authorization": "Bearer"},
        {"Authorization": WARD},
        {"Authorization": f"Basic {WARD}"},
        {"X-API-Key": ""},
        {"X-API-Key": "ward"},
        {"X-API-Key": f"ward:{WARD}"},
    ],
)
def test_a_key_that_is_not(client, headers):
    response = client.get("/styles", headers=headers)
    assert response.status_code == 401
    assert WARD not in response.text


def test_works_with_a_key(client):
    response = client.post(
        "/synthesize",
        files={"mask": mask_png()},
        data={"organ": "kidney"},
        headers={"X-API-Key": WARD},
    )
    assert response.status_code == 200


def test_without_keys_everybody_may_enter(start):
    client = start()
    assert client.get("/styles", headers={"X-API-Key": "any"}).status_code == 200
