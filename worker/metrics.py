"""What Prometheus is told of the jobs that run here."""

import os
import sys
from pathlib import Path

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# A series with the time of its creation for each counter is of no use to anyone here.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300)

BATCH_SIZE = Histogram(
    "sian_batch_size",
    "Tiles that were taken to the device together.",
    buckets=(1, 2, 4, 8, 16, 32, 64),
    registry=REGISTRY,
)
INFERENCE_SECONDS = Histogram(
    "sian_inference_seconds",
    "Time of one pass of the network.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
WAIT_SECONDS = Histogram(
    "sian_wait_seconds",
    "Time from a job's creation to its first start.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
JOB_SECONDS = Histogram(
    "sian_job_seconds",
    "Time from a job's start to its end, of jobs that succeeded.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
TILES = Counter("sian_tiles", "Tiles that were stored.", registry=REGISTRY)
JOBS = Counter(
    "sian_jobs",
    "Jobs that ended here; code is the error code of those that failed.",
    ("state", "code"),
    registry=REGISTRY,
)
DEVICE_MEMORY_BYTES = Gauge(
    "sian_device_memory_bytes",
    "Memory of the GPU that this process holds; without one, of the process itself.",
    registry=REGISTRY,
)


def exposition() -> str:
    """All of it in Prometheus' text format."""
    return prometheus_client.generate_latest(REGISTRY).decode()


def device_memory_bytes() -> int:
    """Held on the GPU if one is in use, else resident in main memory."""
    torch = sys.modules.get("torch")  # not imported for this
    cuda = getattr(torch, "cuda", None)  # missing while torch is being imported
    if cuda is not None and getattr(cuda, "is_initialized", bool)():
        return int(cuda.memory_reserved())
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


DEVICE_MEMORY_BYTES.set_function(device_memory_bytes)
