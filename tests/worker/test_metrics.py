from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families

from worker import metrics


def test_all_metrics_are_there():
    families = {family.name: family for family in
                text_string_to_metric_families(metrics.exposition())}  # fmt: skip
    assert set(families) == {
        "sian_batch_size",
        "sian_inference_seconds",
        "sian_wait_seconds",
        "sian_job_seconds",
        "sian_tiles",
        "sian_jobs",
        "sian_device_memory_bytes",
    }
    assert all(family.documentation for family in families.values())


def test_jobs_have_a_state_and_a_code():
    metrics.JOBS.labels("failed", "out_of_memory").inc()
    assert 'sian_jobs_total{code="out_of_memory",state="failed"}' in metrics.exposition()


def test_memory_is_that_of_the_process_without_a_gpu():
    assert 2**20 < metrics.device_memory_bytes() < 2**40


def test_memory_is_that_of_the_gpu_where_there_is_one(monkeypatch):
    cuda = SimpleNamespace(
        is_available=lambda: True, is_initialized=lambda: True, memory_reserved=lambda: 123
    )
    monkeypatch.setitem(metrics.sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert metrics.device_memory_bytes() == 123
    assert "sian_device_memory_bytes 123.0" in metrics.exposition()
