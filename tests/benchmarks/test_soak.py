"""The clients of the soak run and the jobs they leave, with a stand-in for the server."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
import typer
from typer.testing import CliRunner

from benchmarks import soak
from benchmarks.soak import Clients, Later, ending_in

Handler = Callable[[httpx2.Request], httpx2.Response]


def job(status: str) -> httpx2.Response:
    return httpx2.Response(200, json={"id": "a", "status": status})


def problem(status: int, code: str = "some_code") -> httpx2.Response:
    return httpx2.Response(status, json={"status": status, "code": code, "title": "No"})


@pytest.mark.parametrize("status", ["succeeded", "failed", "canceled"])
def test_a_job_ends_as_its_document_says(status: str) -> None:
    assert ending_in(job(status)) == status


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_job_that_runs_has_not_ended(status: str) -> None:
    assert ending_in(job(status)) is None


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_says_nothing_of_the_job(status: int) -> None:
    assert ending_in(problem(status)) is None
    assert ending_in(httpx2.Response(status, text="<html>")) is None  # of a proxy


@pytest.mark.parametrize(
    ("status", "ending"), [(404, "not found"), (410, "expired"), (401, "answered 401")]
)
def test_what_is_no_job_document_is_no_state_of_a_job(status: int, ending: str) -> None:
    assert ending_in(problem(status)) == ending


class Jobs:
    """A server whose jobs answer with their scripts, one answer a request, the last for good."""

    def __init__(self, **scripts: list[httpx2.Response | Exception]) -> None:
        self.scripts = {f"/jobs/{name}": answers for name, answers in scripts.items()}
        self.asked: Counter[str] = Counter()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        answers = self.scripts[path]
        answer = answers[min(self.asked[path], len(answers) - 1)]
        self.asked[path] += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def later() -> Iterator[Callable[[Jobs], Later]]:
    """Of all jobs of a server."""
    clients = []

    def make(jobs: Jobs) -> Later:
        client = httpx2.Client(transport=httpx2.MockTransport(jobs), base_url="http://server")
        clients.append(client)
        return Later(client, list(jobs.scripts))

    yield make
    for client in clients:
        client.close()


def test_waits_until_every_job_has_ended(later: Callable[[Jobs], Later]) -> None:
    jobs = Jobs(
        a=[job("queued"), job("running"), job("succeeded")],
        b=[problem(503), job("failed")],
        c=[problem(404)],
        d=[httpx2.ConnectError("refused"), problem(410)],
    )
    left = later(jobs)
    left.wait(patience_s=60, pause_s=0)
    assert left.counts() == {"succeeded": 1, "failed": 1, "not found": 1, "expired": 1}
    assert jobs.asked == {"/jobs/a": 3, "/jobs/b": 2, "/jobs/c": 1, "/jobs/d": 2}


def test_jobs_that_never_end_are_counted_at_the_deadline(later: Callable[[Jobs], Later]) -> None:
    jobs = Jobs(a=[job("succeeded")], b=[job("running")], c=[problem(500)])
    left = later(jobs)
    left.wait(patience_s=0, pause_s=0)
    assert left.counts() == {"succeeded": 1, "never ended": 2}


def test_it_pauses_between_two_looks(
    later: Callable[[Jobs], Later], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, pauses = [0.0], []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    clock = SimpleNamespace(sleep=sleep, monotonic=lambda: now[0])
    monkeypatch.setattr(soak, "time", clock)
    jobs = Jobs(a=[job("running")])
    left = later(jobs)
    left.wait(patience_s=3, pause_s=1)
    assert pauses == [1, 1, 1]
    assert jobs.asked["/jobs/a"] == 4


def test_a_server_that_is_away_is_asked_once_a_look(later: Callable[[Jobs], Later]) -> None:
    away = httpx2.ConnectError("refused")
    jobs = Jobs(a=[away, job("succeeded")], b=[away, job("succeeded")])
    left = later(jobs)
    left.look()
    assert jobs.asked == {"/jobs/a": 1}
    assert left.counts() == {"never ended": 2}


def asked(answer: Callable[[int], httpx2.Response], requests: int) -> Clients:
    """One client, that has sent so many requests; ``answer`` has their number, from 0."""
    sent = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        if len(sent) == requests:
            clients.stop.set()
        return answer(len(sent) - 1)

    clients = Clients("http://server", transport=httpx2.MockTransport(handler))
    clients.run(0)
    assert len(sent) == requests
    return clients


def test_answers_are_counted_by_status() -> None:
    accepted = httpx2.Response(202, headers={"Location": "/jobs/a"})
    answers = [httpx2.Response(200), accepted, problem(429), problem(500), httpx2.Response(200)]
    clients = asked(answers.__getitem__, len(answers))
    assert clients.answers == {200: 2, 202: 1, 429: 1, 500: 1}
    assert len(clients.latencies_s) == 2
    assert clients.later == ["/jobs/a"]
    assert not clients.errors


def test_a_client_goes_on_after_an_error_and_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "PAUSE_S", 0)

    def answer(number: int) -> httpx2.Response:
        if number == 0:
            raise httpx2.ReadTimeout("no answer")
        return httpx2.Response(202 if number == 1 else 200)  # 202 without Location

    clients = asked(answer, 3)
    assert clients.errors == {"ReadTimeout": 1, "KeyError": 1}
    assert clients.answers == {202: 1, 200: 1}


def test_requests_and_answered_tiles_are_told_apart() -> None:
    clients = Clients("http://server")
    clients.answers.update({200: 5700, 202: 360, 429: 6})
    clients.latencies_s = [4.0] * 5600 + [10.0] * 100
    row = soak._answers_row(clients, {"succeeded": 359, "never ended": 1}, 1800.0)
    assert row == {
        "what": "answers",
        "minutes": 30.0,
        "by_status": {200: 5700, 202: 360, 429: 6},
        "requests": 6066,
        "requests_per_s": 3.37,
        "answered_tiles_per_s": 3.17,
        "p50_s": 4.0,
        "p99_s": 10.0,
        "jobs_nobody_waited_for": {"succeeded": 359, "never ended": 1},
        "client_errors": {},
    }


def test_a_run_without_a_tile_has_no_latencies() -> None:
    clients = Clients("http://server")
    clients.answers.update({503: 10})
    row = soak._answers_row(clients, {}, 10.0)
    assert (row["requests_per_s"], row["answered_tiles_per_s"]) == (1.0, 0.0)
    assert "p50_s" not in row


def test_growth_of_memory_is_of_the_time_after_the_warm_up() -> None:
    values = [1.0, 500.0, 100.0, 100.0, 101.0, 150.0, 150.0, 150.0, 109.0, 110.0, 111.0]
    assert soak._memory_row("worker", values) == {
        "what": "resident memory of the worker, MiB",
        "first_third": 100.0,
        "last_third": 110.0,
        "growth": 0.1,
        "peak": 500.0,
    }


@pytest.mark.parametrize(("errors", "code"), [({}, 0), ({"ReadTimeout": 2}, 1)])
def test_a_run_with_errors_of_clients_is_recorded_and_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, errors: dict[str, int], code: int
) -> None:
    rows = [{"what": "answers", "client_errors": errors}]
    monkeypatch.setattr(soak, "soak", lambda minutes, threads: rows)
    app = typer.Typer()
    app.command()(soak.main)
    out = tmp_path / "soak.json"
    outcome = CliRunner().invoke(app, ["--minutes", "0.5", "--out", str(out)])
    assert outcome.exit_code == code
    assert ("ReadTimeout" in outcome.stderr) == bool(errors)
    written = json.loads(out.read_text())
    assert written["rows"] == rows
    assert written["command"] == "python -m benchmarks.soak --minutes=0.5"
