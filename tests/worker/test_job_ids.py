"""Ids of jobs."""

from datetime import UTC, datetime, timedelta

from worker.jobs import (
    is_job_id,
    made_at,
    new_job_id,
)


def test_knows_its_own_ids():
    assert is_job_id(new_job_id())
    assert not is_job_id("thumbnails-3f0c9a7e5d1b4c86")
    assert not is_job_id(new_job_id() + "\n")


def test_an_id_says_when_it_was_made():
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    assert before <= made_at(new_job_id()) <= datetime.now(UTC)
