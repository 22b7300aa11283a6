"""POST /synthesize: how long it waits for the tile, and how long the tile is wanted."""

from datetime import datetime, timedelta

import pytest

from tests.app.checks import check_problem

JSON = {"Accept": "application/json"}
ASYNC = {"Prefer": "respond-async"}


def test_does_not_wait_on_request(client, post, busy):
    response = post(ASYNC, organ="kidney", seed=7)
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "respond-async"
    assert response.headers["X-Seed"] == "7"
    job = response.json()
    assert job["status"] in ("queued", "running")
    assert job["finished_at"] is job["expires_at"] is None
    assert job["outputs"] == []
    assert response.headers["Location"] == job["links"]["self"]


def test_waits_no_longer_than_asked(post, busy):
    response = post({"Prefer": "wait=0"}, organ="kidney")
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "wait=0"


def test_waits_no_longer_than_the_server_is_set_to(start, busy, mask_file):
    client = start(response_wait_s=0.01)
    response = client.post("/synthesize", files=mask_file, data={"organ": "kidney"})
    assert response.status_code == 202
    assert "Preference-Applied" not in response.headers


def test_a_preference_that_makes_no_sense_is_ignored(post):
    response = post({"Prefer": "wait=soon, hurry"}, organ="kidney")
    assert response.status_code == 200
    assert "Preference-Applied" not in response.headers


def test_waits_as_asked_before_it_goes_on_without_the_client(post):
    response = post({"Prefer": "respond-async, wait=30"}, organ="kidney")
    assert response.status_code == 200
    assert response.headers["Preference-Applied"] == "respond-async, wait=30"


# Deadline


def test_a_deadline_that_is_met(client, post):
    response = post(JSON, organ="kidney", deadline_s=600)
    job = response.json()
    accepted, deadline = (datetime.fromisoformat(job[f"{x}_at"]) for x in ("created", "deadline"))
    assert timedelta(seconds=590) < deadline - accepted < timedelta(seconds=601)
    assert job["status"] == "succeeded"


def test_a_deadline_that_is_missed(client, post, busy, go_on):
    accepted = post(ASYNC, organ="kidney", deadline_s=0.001).json()
    go_on.set()
    waited = post(organ="kidney")  # which comes after it
    assert waited.status_code == 200
    job = client.get(accepted["links"]["self"]).json()
    assert job["status"] == "failed"
    assert job["error"]["code"] == "deadline_exceeded"


@pytest.mark.parametrize("deadline_s", ["0", "-1", "604801", "nan", "inf", "soon"])
def test_a_deadline_that_makes_no_sense(post, deadline_s):
    problem = check_problem(post(organ="kidney", deadline_s=deadline_s), 422, "parameter_invalid")
    assert "deadline_s" in problem["detail"]
