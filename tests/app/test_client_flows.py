"""What the client does about busy services, lost answers and errors, on scripted replies."""

import numpy as np
import pytest

from app import client_calls
from app.client_calls import Call, Pause, Reply, Unreachable, call
from app.client_flows import cancel, delete_job, delete_style, mask_bytes, submit, wait
from app.schemas import JobDocument
from model.errors import (
    DeadlineExceeded,
    JobCanceled,
    JobExpired,
    MaskBinary,
    QueueFull,
    RequestInFlight,
    ServiceError,
    StoreUnavailable,
    SynthesisFailed,
)
from model.formats import read_mask
from tests.app.scripted import play, problem, reply
from tests.fakes import label_mask, mask_png

GET = Call("GET", "/model")
LINKS = {
    "self": "/jobs/a", "events": "/jobs/a/events", "cancel": None, "remove": None,
    "dataset": None, "style": None,
}  # fmt: skip


def job(status="queued", **changes) -> JobDocument:
    fields = {
        "id": "a" * 32, "kind": "tile", "status": status, "position": None, "attempts": 0,
        "error": None,
        "progress": {"done": 0, "total": 1, "unit": "tiles"}, "seed": 1,
        "created_at": "2026-01-01T00:00:00Z", "started_at": None, "finished_at": None,
        "expires_at": None, "deadline_at": None, "outputs": [],
        "links": LINKS,
    }  # fmt: skip
    return JobDocument.model_validate({**fields, **changes})


def document(*args, **kwargs) -> Reply:
    return reply(200, job(*args, **kwargs).model_dump_json().encode())


def test_sends_again_while_the_service_is_busy():
    busy = problem(429, "queue_full", retry_after="7")
    result, calls, pauses = play(call(GET, 60), busy, problem(503, "store_unavailable"), reply())
    assert result.status == 200
    assert calls == [GET] * 3
    assert pauses == [7, 2]


def test_sends_again_when_it_cannot_be_reached():
    result, calls, _ = play(call(GET, 60), Unreachable("refused"), reply())
    assert (result.status, len(calls)) == (200, 2)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_sends_again_through_a_proxy_whose_service_restarts(status):
    away = reply(status, b"<html>", retry_after="3")
    result, calls, pauses = play(call(GET, 60), away, reply())
    assert (result.status, calls, pauses) == (200, [GET] * 2, [3])
    with pytest.raises(StoreUnavailable, match=rf"cannot be reached .*{status}"):
        play(call(GET, 0), away)


def test_patience_ends():
    with pytest.raises(QueueFull, match="about queue_full") as full:
        play(call(GET, 5), problem(429, "queue_full", retry_after="7"))
    assert full.value.retry_after_s == 7
    with pytest.raises(StoreUnavailable, match=r"cannot be reached \(refused\)"):
        play(call(GET, 0), Unreachable("refused"))


def test_patience_counts_from_the_first_failure(monkeypatch):
    """The download of a bundle may have taken longer when its connection is lost."""
    now = 0.0
    monkeypatch.setattr(client_calls.time, "monotonic", lambda: now)
    flow = call(GET, 5)
    next(flow)
    now = 600.0
    assert isinstance(flow.throw(Unreachable("cut")), Pause)
    assert next(flow) == GET
    now = 605.0
    with pytest.raises(StoreUnavailable):
        flow.throw(Unreachable("cut"))


def test_what_is_not_safe_is_sent_once():
    unsafe = Call("POST", "/x", safe=False)
    with pytest.raises(StoreUnavailable):
        play(call(unsafe, 60), Unreachable("cut"))
    with pytest.raises(QueueFull):
        play(call(unsafe, 60), problem(429, "queue_full"))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (problem(422, "mask_binary"), MaskBinary),
        (problem(500, "of_a_newer_service"), ServiceError),
        (problem(504, "deadline_exceeded"), DeadlineExceeded),
        (reply(500, b"<html>"), ServiceError),
        (reply(400, b"[]"), ServiceError),
    ],
)
def test_errors_are_those_of_the_service(answer, error):
    with pytest.raises(error) as raised:
        play(call(GET, 60), answer)
    assert type(raised.value) is error


def test_a_request_in_flight_names_its_job():
    answer = problem(409, "request_in_flight", job="/jobs/abc")
    with pytest.raises(RequestInFlight) as raised:
        play(call(GET, 60), answer)
    assert raised.value.job_id == "abc"


def test_a_lost_answer_makes_no_second_job():
    """The same key goes with every attempt, and another with every request."""
    fields = {"organ": "kidney", "styles": None, "seed": 3, "label_components": True}
    flow = submit(mask_png(), style=b"image", fields=fields, patience_s=60)
    _, calls, _ = play(flow, Unreachable("cut"), document())
    keys = {each.headers["Idempotency-Key"] for each in calls}
    assert len(calls) == 2
    assert len(keys) == 1
    assert calls[0].fields == {"organ": "kidney", "seed": "3", "label_components": "true"}
    assert calls[0].files == [("mask", mask_png()), ("style", b"image")]
    _, others, _ = play(submit(mask_png(), style=None, fields={}, patience_s=60), document())
    assert others[0].headers["Idempotency-Key"] not in keys


def test_a_cancellation_that_is_sent_twice_removes_nothing():
    _, calls, _ = play(cancel("a", 60), Unreachable("cut"), document("canceled"))
    assert [each.path for each in calls] == ["/jobs/a?only=cancel"] * 2


@pytest.mark.parametrize(
    "lost",
    [Unreachable("cut"), reply(502, b"<html>"), problem(503, "store_unavailable")],
    ids=["cut", "proxy", "outage"],
)
@pytest.mark.parametrize(
    ("delete", "gone"),
    [
        (cancel, problem(410, "job_expired")),
        (delete_style, problem(404, "not_found")),
    ],
)
def test_what_a_lost_request_has_deleted_is_deleted(delete, gone, lost):
    result, calls, _ = play(delete("a", 60), lost, gone)
    assert result is None
    assert [each.method for each in calls] == ["DELETE"] * 2


@pytest.mark.parametrize("gone", [problem(410, "job_expired"), problem(404, "job_unknown")])
def test_a_job_that_a_lost_request_has_removed_is_removed(gone):
    result, calls, _ = play(delete_job("a", 60), document("succeeded"), Unreachable("cut"), gone)
    assert result is None
    assert [(each.method, each.path) for each in calls[1:]] == [("DELETE", "/jobs/a")] * 2


def test_a_running_job_is_canceled_and_not_removed_when_its_answer_is_lost():
    """It has ended when the request is sent again, and keeps the tiles that it has."""
    running = document("running", links=LINKS | {"cancel": "/jobs/a?only=cancel"})
    _, calls, _ = play(delete_job("a", 60), running, reply(504, b"<html>"), document("canceled"))
    assert [(each.method, each.path) for each in calls[1:]] == [
        ("DELETE", "/jobs/a?only=cancel")
    ] * 2


def test_what_was_never_there_is_not_deleted():
    gone = problem(410, "job_expired")
    with pytest.raises(JobExpired):
        play(delete_job("a", 60), gone)
    with pytest.raises(JobExpired):
        play(delete_style("a", 60), gone)
    with pytest.raises(JobExpired):  # nothing was done before
        play(delete_style("a", 60), problem(429, "rate_limited"), gone)
    with pytest.raises(ServiceError):  # of a proxy that knows no service
        play(delete_style("a", 60), Unreachable("cut"), reply(404, b"<html>"))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirection_is_no_success(status):
    """What sends http on to https has done nothing of what was asked."""
    sends_on = reply(status, b"", location="https://sian.example/styles/a")
    with pytest.raises(ServiceError, match=r"https://sian\.example/styles/a\. Give the client"):
        play(delete_style("a", 60), sends_on)


@pytest.mark.parametrize("given", [{"mask": "mask.png"}, {"style": "a.png"}, {"style": ["a.png"]}])
def test_a_path_as_text_is_not_sent_as_the_file(given):
    with pytest.raises(TypeError, match=r"'(mask|a)\.png' is str.*pathlib"):
        play(submit(**({"mask": mask_png(), "style": None} | given), fields={}, patience_s=0))


def test_waits_and_tells_of_progress():
    seen = []
    flow = wait(job(), on_progress=lambda each: seen.append(each.status), patience_s=60)
    result, calls, pauses = play(flow, document("running"), document("succeeded"))
    assert result.status == "succeeded"
    assert seen == ["queued", "running", "succeeded"]
    assert [each.path for each in calls] == [f"/jobs/{'a' * 32}"] * 2
    assert pauses == sorted(pauses)


def test_a_failed_job_is_its_error():
    failed = job("failed", error={"code": "synthesis_failed", "detail": "the log says why"})
    with pytest.raises(SynthesisFailed, match="the log says why"):
        play(wait(failed, on_progress=lambda each: None, patience_s=60))
    with pytest.raises(JobCanceled):
        play(wait(job("canceled"), on_progress=lambda each: None, patience_s=60))


def test_masks_may_be_arrays_files_or_bytes(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(mask_png())
    assert mask_bytes(path) == mask_bytes(mask_png()) == mask_png()
    large_ids = label_mask().astype(np.int64) * 70_000
    np.testing.assert_array_equal(read_mask(mask_bytes(large_ids)), large_ids)
