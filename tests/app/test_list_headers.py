"""A list may come in several lines of one header, in any of which what counts may be."""

import pytest


@pytest.fixture
def post(client, mask_file):
    def post(*headers):
        fields = {"organ": "kidney"}
        return client.post("/synthesize", files=mask_file, data=fields, headers=list(headers))

    return post


def test_accept(post):
    response = post(("Accept", "text/html"), ("Accept", "application/json"))
    assert response.headers["Content-Type"] == "application/json"


def test_prefer(post, busy):
    response = post(("Prefer", "hurry"), ("Prefer", "respond-async"), ("Prefer", "wait=0"))
    assert response.headers["Preference-Applied"] == "respond-async, wait=0"


def test_if_none_match(client, post):
    job = post(("Accept", "application/json")).json()
    href = job["outputs"][0]["href"]
    etag = client.get(href).headers["ETag"]
    known = client.get(href, headers=[("If-None-Match", '"other"'), ("If-None-Match", etag)])
    assert known.status_code == 304


def test_if_range_is_no_list(client, post):
    job = post(("Accept", "application/json")).json()
    href = job["outputs"][0]["href"]
    etag = client.get(href).headers["ETag"]
    headers = [("Range", "bytes=0-9"), ("If-Range", etag), ("If-Range", '"other"')]
    assert client.get(href, headers=headers).status_code == 200
    assert client.get(href, headers=headers[:2]).status_code == 206
