"""The front end of a deployment: Redis, no engine; a worker is played by the test."""

import subprocess
import sys
import threading

import pytest

from app import deployment
from app.settings import Settings
from model.checkpoint import read_card
from model.errors import SettingsInvalid
from tests.waiting import until
from worker.artifacts import Artifacts
from worker.health import Health
from worker.jobs import Output
from worker.redis_jobs import RedisJobs
from worker.registry import WorkerRecord, WorkerRegistry
from worker.request import sha256
from worker.sqlite_jobs import SqliteJobs

ASYNC = {"Prefer": "respond-async"}
PATIENCE_S = 30


@pytest.fixture
def client(start, redis_url):
    return start(broker_url=redis_url)


@pytest.fixture
def worker(client, redis_url):
    """The job records as a worker sees them, on a connection of its own."""
    jobs = RedisJobs(redis_url)
    yield jobs
    jobs.close()


def work(client, jobs, job_id):
    claim = jobs.start(job_id, lease_s=60)
    client.app.state.service.artifacts.put(job_id, "0.png", b"tile")
    jobs.add_output(claim, Output(seed=1, sha256=sha256(b"tile")), 0)
    jobs.finish(claim)


def test_a_waiting_request_hears_of_the_worker(client, worker, mask_file):
    answers = []

    def post():
        answers.append(client.post("/synthesize", files=mask_file, data={"organ": "kidney"}))

    waiting = threading.Thread(target=post)
    waiting.start()
    work(client, worker, until(worker.queued)[0])
    waiting.join(PATIENCE_S)
    (answer,) = answers
    assert (answer.status_code, answer.content) == (200, b"tile")


def test_a_job_is_published(client, worker, mask_file):
    response = client.post("/synthesize", files=mask_file, data={"organ": "kidney"}, headers=ASYNC)
    assert response.status_code == 202
    assert response.json()["position"] == 0
    assert client.app.state.service.queue._backlog() == 1
    assert worker.queued() == [response.json()["id"]]


def test_is_ready_when_a_worker_is(client, redis_url, checkpoint):
    refusal = client.get("/readyz")
    assert refusal.status_code == 503
    assert "sian worker" in refusal.json()["detail"]
    registry = WorkerRegistry(redis_url)
    metrics = (
        "# HELP sian_tiles_total Tiles.\n# TYPE sian_tiles_total counter\nsian_tiles_total 7\n"
    )
    sha = read_card(checkpoint).sha256
    registry.put(WorkerRecord("gpu-1", Health(True), sha, metrics))
    registry.close()
    assert client.get("/readyz").status_code == 200
    assert 'sian_tiles_total{worker="gpu-1"} 7.0' in client.get("/metrics").text


def test_loads_no_network(tmp_path, redis_url, checkpoint):
    program = (
        "import sys\n"
        "from app.main import create_app\n"
        "from app.settings import Settings\n"
        "from fastapi.testclient import TestClient\n"
        "with TestClient(create_app(Settings.load())) as client:\n"
        "    client.get('/readyz')\n"
        "print('torch' in sys.modules)"
    )
    environment = {
        "SIAN_BROKER_URL": redis_url,
        "SIAN_CHECKPOINT": str(checkpoint),
        "SIAN_DATA_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize("url", ["redis://localhost:port", "redis://localhost/0?socket_timeout=x"])
def test_a_url_that_makes_no_sense(tmp_path, checkpoint, url):
    settings = Settings.load(checkpoint=checkpoint, data_dir=tmp_path, broker_url=url)
    with pytest.raises(SettingsInvalid, match="SIAN_BROKER_URL"):
        deployment.build(settings, on_failure=lambda error: None)


def test_an_outage_names_no_address_to_clients(start, own_redis, mask_file, caplog):
    client = start(broker_url=own_redis.url, rate_limit="1000/minute")
    known = client.post("/synthesize", files=mask_file, data={"organ": "kidney"}, headers=ASYNC)
    own_redis.kill()
    port = own_redis.url.rpartition(":")[2].partition("/")[0]
    answers = [
        client.get("/readyz"),
        client.post("/synthesize", files=mask_file, data={"organ": "kidney"}),
        client.get(known.headers["Location"]),
        client.get(known.json()["links"]["events"]),
    ]
    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert port not in answer.json()["detail"]
        assert "Redis" in answer.json()["detail"]
        assert "try again" in answer.json()["detail"]
    assert port in caplog.text


def test_the_engine_is_as_the_settings_say(checkpoint, tmp_path):
    settings = Settings.load(checkpoint=checkpoint, data_dir=tmp_path, max_wait_ms=35)
    jobs, artifacts = SqliteJobs(tmp_path / "jobs.sqlite"), Artifacts(tmp_path / "artifacts")
    engine = deployment.build_engine(settings, jobs, artifacts, on_failure=print)
    assert engine._batcher._waiting._max_wait_s == 0.035
    jobs.close()
