"""Jobs of different clients go through the network together."""

from concurrent.futures import ThreadPoolExecutor

from prometheus_client.parser import text_string_to_metric_families

ASYNC = {"Prefer": "respond-async"}


def batches(metrics: str) -> tuple[float, float]:
    """How many batches there were, and how many tiles in them."""
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name in ("sian_batch_size_count", "sian_batch_size_sum")
    }
    return samples["sian_batch_size_count"], samples["sian_batch_size_sum"]


def test_64_jobs_at_once(serve, small_mask):
    server = serve(max_batch=8, queue_limit=64)
    server.wait_until_ready()
    count_before, sum_before = batches(server.client.get("/metrics").text)

    def submit(seed):
        return server.synthesize(small_mask, headers=ASYNC, organ="kidney", seed=seed)

    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(submit, range(64)))
    for answer in answers:
        assert server.finished(answer.headers["Location"])["status"] == "succeeded"
    count, total = batches(server.client.get("/metrics").text)
    assert total - sum_before == 64
    assert (total - sum_before) / (count - count_before) >= 4
