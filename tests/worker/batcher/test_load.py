"""Room, and what costs nothing."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from model.errors import DeadlineExceeded
from tests.worker.benches import PATIENCE_S, FakeDevice, computed, outcome
from worker import metrics
from worker.batcher import Unwanted


def test_room_is_bounded(bench):
    """Two full batches wait; the next item has to wait for room, before it is prepared."""
    b = bench()
    b.busy_with(0)
    waiting = [b.submit(n) for n in range(8)]
    prepared = threading.Event()

    def late() -> "Future[Any]":
        with b.batcher.expect("me") as place:
            place.reserve("a")
            prepared.set()
            return place.submit(8)

    with ThreadPoolExecutor(1) as threads:
        ninth = threads.submit(late)
        assert not prepared.wait(0.05)
        b.device.go_on.set()
        assert outcome(ninth.result(PATIENCE_S)) == ("a", 8)
    for future in waiting:
        outcome(future)


def test_large_items_take_more_room(bench):
    class Sized(FakeDevice):
        def batch_size(self, key):
            return 1 if key == "large" else 4

    b = bench(Sized())
    b.busy_with(0)
    for n in range(2):
        b.submit(n, "large")
    entered = threading.Event()

    def late() -> "Future[Any]":
        with b.batcher.expect("me") as place:
            place.reserve("a")
            entered.set()
            return place.submit(2)

    with ThreadPoolExecutor(1) as threads:
        third = threads.submit(late)
        assert not entered.wait(0.05)
        b.device.go_on.set()
        assert outcome(third.result(PATIENCE_S)) == ("a", 2)


def test_what_nobody_wants_costs_nothing(bench):
    b = bench()
    b.busy_with(0)
    wanted, unwanted = b.submit(1, owner="one"), b.submit(2, owner="two")
    b.unwanted = {"two"}
    b.device.go_on.set()
    assert outcome(wanted) == ("a", 1)
    assert isinstance(outcome(unwanted), Unwanted)
    assert computed(b) == [[1]]
    assert b.asked[1:] == [{"one", "two"}]  # once, for all of a batch


def test_what_comes_too_late_costs_nothing(bench):
    b = bench()
    b.busy_with(0)
    now = datetime.now(UTC)
    late = b.submit(1, deadline_at=now)
    early = b.submit(2, deadline_at=now + timedelta(hours=1))
    b.device.go_on.set()
    assert isinstance(outcome(late), DeadlineExceeded)
    assert outcome(early) == ("a", 2)
    assert computed(b) == [[2]]


def test_one_after_another_where_the_device_gains_nothing(bench):
    b = bench(FakeDevice(full=4, together=1))
    count = metrics.REGISTRY.get_sample_value("sian_batch_size_count")
    total = metrics.REGISTRY.get_sample_value("sian_batch_size_sum")
    b.busy_with(0)
    futures = [b.submit(n, owner=str(n)) for n in range(4)]
    results = []

    def cancel_the_third(payloads, at_once):
        results.append([future.done() for future in futures])
        if payloads == [0] and len(results) > 1:  # the first of the batch
            b.unwanted = {"2"}

    b.device.fault = cancel_the_third
    b.device.go_on.set()
    assert [type(outcome(future)) for future in futures] == [tuple, tuple, Unwanted, tuple]
    assert computed(b) == [[0], [1], [3]]
    # Each is handed out when it is done, not when the batch is.
    assert results[1:] == [[False] * 4, [True, False, False, False], [True, True, True, False]]
    b.batcher.stop()
    assert metrics.REGISTRY.get_sample_value("sian_batch_size_count") == count + 2
    assert metrics.REGISTRY.get_sample_value("sian_batch_size_sum") == total + 5
