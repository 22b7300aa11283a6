import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import merged
from model.errors import MaskBinary, StoreUnavailable

ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
def samples(client):
    """All samples by name and labels, as Prometheus would read them."""

    def samples():
        response = client.get("/metrics")
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        found = {}
        for family in text_string_to_metric_families(response.text):
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in found, key
                found[key] = sample.value
        return lambda name, **labels: found.get((name, frozenset(labels.items())))

    return samples


def test_counts_requests_by_route(client, samples, mask_file):
    client.get("/styles/kidney")
    client.get("/styles/liver")
    client.get("/styles/spleen")
    client.get("/made/up")
    value = samples()
    route = "/styles/{name}"
    assert value("sian_http_requests_total", method="GET", route=route, status="200") == 2
    assert value("sian_http_requests_total", method="GET", route=route, status="404") == 1
    assert value("sian_http_requests_total", method="GET", route="other", status="404") == 1
    assert value("sian_http_request_seconds_count", method="GET", route=route) == 3
    assert value("sian_http_request_seconds_bucket", method="GET", route=route, le="+Inf") == 3


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/synthesize", "/synthesize"),
        ("GET", "/jobs/any/outputs/0", "/jobs/{job_id}/outputs/{index}"),
        ("PUT", "/jobs/any", "/jobs/{job_id}"),
        ("GET", "/made/up", "other"),
    ],
)
def test_a_refusal_before_the_route_counts_for_it(start, method, path, route):
    client = start(api_keys="ward:0123456789abcdef")
    assert client.request(method, path).status_code == 401
    text = client.get("/metrics", headers={"X-API-Key": "0123456789abcdef"}).text
    sample = f'{{method="{method}",route="{route}",status="401"}} 1.0'
    assert f"sian_http_requests_total{sample}" in text


def test_other_refusals_before_the_route(start, mask_file):
    client = start(rate_limit="1/minute", max_upload_mb=0.01)
    statuses = [
        client.post("/synthesize", files={"mask": bytes(20_000)}).status_code for _ in range(2)
    ]
    assert statuses == [413, 429]
    text = client.get("/metrics").text
    for status in statuses:
        assert f'{{method="POST",route="/synthesize",status="{status}"}} 1.0' in text


def test_counts_jobs(client, samples, mask_file, synthesizer):
    before = samples()("sian_tiles_total", worker="local") or 0
    client.post("/synthesize", files=mask_file, data={"organ": "kidney", "n": 3})

    def refuse(made):
        raise MaskBinary("All nuclei share one value.")

    synthesizer.before = refuse
    client.post("/synthesize", files=mask_file, data={"organ": "kidney"})
    value = samples()
    assert value("sian_store_up") == 1
    assert value("sian_job_records", state="succeeded") == 1
    assert value("sian_job_records", state="failed") == 1
    assert value("sian_job_records", state="queued") == value("sian_queue_depth") == 0
    assert value("sian_jobs_failed", code="mask_binary") == 1
    assert value("sian_tiles_total", worker="local") == before + 3
    assert value("sian_device_memory_bytes", worker="local") > 0


def test_the_depth_of_the_queue(client, samples, mask_file, busy):
    for _ in range(3):
        client.post("/synthesize", files=mask_file, data={"organ": "kidney"}, headers=ASYNC)
    value = samples()
    assert value("sian_queue_depth") == value("sian_job_records", state="queued") == 3


def test_an_outage_of_the_store(client, samples, monkeypatch):
    def away():
        raise StoreUnavailable("Redis does not answer.", retry_after_s=5)

    client.get("/model")
    monkeypatch.setattr(client.app.state.service.jobs, "counts", away)
    value = samples()
    assert value("sian_store_up") == 0
    assert value("sian_job_records", state="queued") is None
    assert value("sian_http_requests_total", method="GET", route="/model", status="200") == 1


def test_workers_are_told_apart():
    text = (
        "# HELP sian_tiles_total Tiles that were stored.\n"
        "# TYPE sian_tiles_total counter\n"
        "sian_tiles_total {}\n"
        "# HELP sian_wait_seconds Time.\n"
        "# TYPE sian_wait_seconds histogram\n"
        'sian_wait_seconds_bucket{{le="+Inf"}} {}\n'
        "sian_wait_seconds_count {}\n"
    )
    families = merged({"b-2": text.format(2, 20, 20), "a-1": text.format(1, 10, 10)})
    assert [(family.name, family.type) for family in families] == [
        ("sian_tiles", "counter"),
        ("sian_wait_seconds", "histogram"),
    ]
    tiles = [(sample.labels, sample.value) for sample in families[0].samples]
    assert tiles == [({"worker": "a-1"}, 1), ({"worker": "b-2"}, 2)]
    assert families[1].samples[0].labels == {"le": "+Inf", "worker": "a-1"}
