import json
import logging
import subprocess
import sys

import pytest

from app import logs
from worker.jobs import new_job_id

ASYNC = {"Prefer": "respond-async"}


def run(log_format, program):
    """The lines a process with this format writes to its log."""
    text = f"import logging\nfrom app import logs\nlogs.configure({log_format!r})\n{program}"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()


def test_text():
    (line,) = run("text", "logs.request_id.set('r-1')\nlogging.getLogger('a.b').info('so %d', 7)")
    assert line.endswith(" INFO [r-1] a.b: so 7")


def test_json():
    job_id = new_job_id()
    first, second = run(
        "json",
        "logs.request_id.set('r-1')\n"
        f"logging.getLogger('a.b').warning('job %s\\nis late', '{job_id}')\n"
        "logs.request_id.set('-')\n"
        "logging.getLogger('a').info('x', extra={'status': 200, 'duration_ms': 1.5})",
    )
    line = json.loads(first)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "logger": "a.b",
        "message": f"job {job_id}\nis late",
        "request_id": "r-1",
        "job_id": job_id,
    }
    assert json.loads(second).keys() == {
        "time", "level", "logger", "message", "status", "duration_ms",
    }  # fmt: skip


def test_an_exception_is_a_field():
    (line,) = run(
        "json",
        "try: 1 / 0\nexcept ZeroDivisionError: logging.getLogger('a').exception('went wrong')",
    )
    exception = json.loads(line)["exception"]
    assert exception.startswith("Traceback")
    assert exception.endswith("ZeroDivisionError: division by zero")


@pytest.fixture
def lines(caplog):
    """What was logged since, as JSON."""
    caplog.set_level(logging.INFO)
    formatter = logs.JsonFormatter()
    return lambda: [json.loads(formatter.format(record)) for record in caplog.records]


def test_requests_and_their_jobs(client, mask_file, lines):
    accepted = client.post("/synthesize", files=mask_file, data={"organ": "kidney"}, headers=ASYNC)
    client.get(accepted.headers["Location"])
    job_id = accepted.json()["id"]
    first, second = (line for line in lines() if line["logger"] == "app.middleware")
    assert first["method"] == "POST"
    assert first["path"] == "/synthesize"
    assert first["status"] == 202
    assert first["duration_ms"] >= 0
    assert first["job_id"] == second["job_id"] == job_id
    assert first["client"] == second["client"] == "testclient"
    (accepted_line,) = (line for line in lines() if line["logger"] == "app.service")
    assert accepted_line["job_id"] == job_id


def test_whose_key_it_was(start, lines):
    key = "0123456789abcdef"
    client = start(api_keys=f"ward:{key}")
    client.get("/styles", headers={"X-API-Key": key})
    client.get("/styles", headers={"X-API-Key": key + "0"})
    client.get("/styles")
    found = [line for line in lines() if line["logger"] == "app.middleware"]
    assert [(line["status"], line["client"]) for line in found] == [
        (200, "ward"), (401, "testclient"), (401, "testclient"),
    ]  # fmt: skip
    assert not any(key in json.dumps(line) for line in lines())
