"""What a container's health check says of the worker on its host."""

import socket
from typing import cast

import pytest

from model.errors import StoreUnavailable
from worker.health import Health
from worker.node import check
from worker.registry import WorkerRecord, WorkerRegistry

HERE = socket.gethostname()
WARM, COLD = Health(True), Health(False, "The network is being loaded.")


class Registry:
    """Of these workers, or one that Redis keeps from being read."""

    def __init__(self, *records: WorkerRecord, is_away: bool = False) -> None:
        self.records, self.is_away = list(records), is_away

    def workers(self) -> list[WorkerRecord]:
        if self.is_away:
            raise StoreUnavailable("Redis does not answer.", retry_after_s=5)
        return self.records


def health(*records: WorkerRecord, is_away: bool = False) -> Health:
    return check(cast(WorkerRegistry, Registry(*records, is_away=is_away)))


def record(name: str, health: Health) -> WorkerRecord:
    return WorkerRecord(name, health, "ab", "")


def test_it_is_what_the_worker_here_says() -> None:
    others = [record("elsewhere-1", WARM), record(f"{HERE}-more-1", WARM)]
    for said in (WARM, COLD):
        assert health(*others, record(f"{HERE}-1", said)) == said
    assert not health(*others).is_ready
    assert "No worker on this host" in str(health(*others).reason)


def test_one_of_several_here_is_enough() -> None:
    """As after a restart, while the record of the former one has not expired."""
    assert health(record(f"{HERE}-1", COLD), record(f"{HERE}-2", WARM)) == WARM


def test_whether_redis_is_away_is_not_the_workers_health() -> None:
    with pytest.raises(StoreUnavailable):
        health(is_away=True)
