"""GET /metrics: what Prometheus is told of the requests, the jobs and the workers."""

from collections.abc import Iterable, Iterator, Mapping

from fastapi.routing import iter_route_contexts
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from starlette.routing import Match
from starlette.types import Scope

from app.service import Service
from model.errors import StoreUnavailable
from worker.jobs import JobState

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120)


class HttpMetrics:
    """Counts and times the requests to this process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "sian_http_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "sian_http_request_seconds",
            "Time from a request's first byte to its answer's last.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )

    def observe(self, scope: Scope, status: int, took_s: float) -> None:
        """Count a request that was answered. Names that clients make up are not kept: each
        would be a series of its own."""
        route = _template(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(took_s)


def _template(scope: Scope) -> str:
    """The path of the route that a request is for, with its parameters' names. Those that are
    refused before they are routed have none in the scope yet."""
    routed = getattr(scope.get("route"), "path", None)
    if routed is not None:
        return str(routed)
    for route in iter_route_contexts(scope["app"].routes):
        if route.matches(scope)[0] is not Match.NONE:
            return str(route.path)
    return "other"


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def exposition(http: HttpMetrics, service: Service) -> bytes:
    """All of it in Prometheus' text format. Where the store cannot be reached, what it holds is
    left out and ``sian_store_up`` is 0."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given([*http.registry.collect(), *_shared(service)]))
    return generate_latest(registry)


class _Given(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _shared(service: Service) -> list[Metric]:
    """What is not of this process alone."""
    up = GaugeMetricFamily("sian_store_up", "Whether the job records can be reached.")
    try:
        families = [*_jobs(service), *merged(service.worker_metrics())]
    except StoreUnavailable:
        up.add_metric([], 0)
        return [up]
    up.add_metric([], 1)
    return [up, *families]


def _jobs(service: Service) -> Iterator[Metric]:
    counts = service.jobs.counts()
    depth = GaugeMetricFamily("sian_queue_depth", "Jobs that wait.")
    depth.add_metric([], counts[JobState.QUEUED])
    yield depth
    jobs = GaugeMetricFamily("sian_job_records", "Job records by state.", labels=["state"])
    for state, count in counts.items():
        jobs.add_metric([state], count)
    yield jobs
    failed = GaugeMetricFamily(
        "sian_jobs_failed", "Records of failed jobs by error code.", labels=["code"]
    )
    for code, count in sorted(service.jobs.failures().items()):
        failed.add_metric([code], count)
    yield failed


def merged(texts: Mapping[str, str]) -> list[Metric]:
    """The metrics of several workers, each sample with the label ``worker``.

    texts: by the worker's name, in Prometheus' text format.
    """
    families: dict[str, Metric] = {}
    for worker, text in sorted(texts.items()):
        for family in text_string_to_metric_families(text):
            whole = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type)
            )
            for sample in family.samples:
                whole.samples.append(sample._replace(labels={**sample.labels, "worker": worker}))
    return list(families.values())
