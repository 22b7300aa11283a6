"""What is computed together, and what it waits for."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.worker.benches import PATIENCE_S, FakeDevice, computed, outcome
from worker import waiting


def test_a_lone_item_is_computed_at_once(bench):
    b = bench(max_wait_s=PATIENCE_S * 10)
    assert b.submit(1).result(PATIENCE_S) == ("a", 1)


def test_what_waits_is_computed_together_in_order(bench):
    b = bench()
    b.busy_with(0)
    futures = [b.submit(n) for n in range(1, 7)]
    b.device.go_on.set()
    assert [outcome(future) for future in futures] == [("a", n) for n in range(1, 7)]
    assert computed(b) == [[1, 2, 3, 4], [5, 6]]


def test_a_batch_has_one_key_and_the_oldest_comes_first(bench):
    b = bench()
    b.busy_with(0)
    futures = [b.submit(n, key) for n, key in enumerate("abbaac")]
    b.device.go_on.set()
    for future in futures:
        outcome(future)
    assert b.device.calls[1:] == [("a", [0, 3, 4]), ("b", [1, 2]), ("c", [5])]


def test_waits_for_what_is_being_prepared(bench):
    b = bench(max_wait_s=PATIENCE_S * 10)
    with b.batcher.expect("me") as place:
        first = b.submit(1)
        place.reserve("a")
        second = place.submit(2)
    assert (outcome(first), outcome(second)) == (("a", 1), ("a", 2))
    assert computed(b) == [[1, 2]]


def test_does_not_wait_once_the_batch_is_full(bench):
    b = bench(max_wait_s=PATIENCE_S * 10)
    with b.batcher.expect("me"):
        futures = [b.submit(n) for n in range(4)]
        for future in futures:
            outcome(future)
    assert computed(b) == [[0, 1, 2, 3]]


def test_does_not_wait_for_what_is_given_up(bench):
    b = bench(max_wait_s=PATIENCE_S * 10)

    def give_up() -> None:
        with b.batcher.expect("me") as place:
            place.reserve("a")
            futures.append(b.submit(1))
            raise ValueError("bad mask")

    futures: list[Future[Any]] = []
    with pytest.raises(ValueError, match="bad mask"):
        give_up()
    assert outcome(futures[0]) == ("a", 1)


def test_waits_for_what_may_be_coming(bench):
    b = bench(max_wait_s=PATIENCE_S * 10)
    with b.batcher.expect_some() as first, b.batcher.expect_some():
        one, two = b.submit(1), b.submit(2)
        first.end()
        first.end()  # counts once
        assert not computed(b)
        three = b.submit(3)
    assert [f.result(PATIENCE_S) for f in (one, two, three)] == [("a", 1), ("a", 2), ("a", 3)]
    assert computed(b) == [[1, 2, 3]]


def test_what_would_be_computed_alone_stays_for_the_next_batch(bench):
    b = bench(FakeDevice(full=6, together=2))
    later = []

    def come_later(payloads: Sequence[Any], at_once: int) -> None:
        if payloads == [1, 2]:
            later.append(b.submit(4))

    b.device.fault = come_later
    b.busy_with(0)
    futures = [b.submit(n) for n in (1, 2, 3)]
    b.device.go_on.set()
    assert [outcome(f) for f in futures] == [("a", n) for n in (1, 2, 3)]
    assert outcome(later[0]) == ("a", 4)
    assert computed(b) == [[1, 2], [3, 4]]


def test_waits_no_longer_than_it_may(bench):
    b = bench(max_wait_s=0.01)
    with b.batcher.expect("me"):
        assert outcome(b.submit(1)) == ("a", 1)


def test_patient_ones_let_others_go_first(bench):
    b = bench(FakeDevice(full=4, together=2))
    b.busy_with(0)
    patient = [b.submit(n, patient=True) for n in (1, 2, 3)]
    others = [b.submit(n) for n in (4, 5)]
    b.device.go_on.set()
    for future in (*patient, *others):
        outcome(future)
    assert computed(b) == [[4, 5], [1, 2], [3]]


def test_patient_ones_keep_a_lone_one_company(bench):
    b = bench(FakeDevice(full=4, together=2))
    b.busy_with(0)
    futures = [b.submit(1, patient=True), b.submit(2, patient=True), b.submit(3)]
    b.device.go_on.set()
    for future in futures:
        outcome(future)
    assert computed(b) == [[3, 1], [2]]


def test_between_patient_ones_somebody_may_come(bench):
    """A full batch of them is not computed to its end first."""
    b = bench(FakeDevice(full=4, together=2))
    urgent = []

    def come(payloads: Sequence[Any], at_once: int) -> None:
        if payloads == [1, 2]:
            urgent.append(b.submit(9))

    b.device.fault = come
    b.busy_with(0)
    patient = [b.submit(n, patient=True) for n in (1, 2, 3, 4)]
    b.device.go_on.set()
    for future in patient:
        outcome(future)
    assert outcome(urgent[0]) == ("a", 9)
    assert computed(b) == [[1, 2], [9, 3], [4]]


def test_a_patient_one_does_not_end_the_wait_of_others(bench):
    b = bench(FakeDevice(full=3), max_wait_s=PATIENCE_S * 10)
    b.busy_with(0)
    patient = b.submit(9, "b", patient=True)
    with b.batcher.expect_some():
        first = b.submit(1)
        b.device.go_on.set()
        second, third = b.submit(2), b.submit(3)
        for future in (first, second, third):
            outcome(future)
    outcome(patient)
    assert b.device.calls[1:] == [("a", [1, 2, 3]), ("b", [9])]


def test_patience_ends(bench, monkeypatch):
    monkeypatch.setattr(waiting, "_PATIENCE_S", 0.0)
    b = bench()
    b.busy_with(0)
    futures = [b.submit(1, "a", patient=True), b.submit(2, "b")]
    b.device.go_on.set()
    for future in futures:
        outcome(future)
    assert b.device.calls[1:] == [("a", [1]), ("b", [2])]


def test_patient_ones_leave_room_for_others(bench):
    b = bench(FakeDevice(full=2))
    b.busy_with(0)
    with ThreadPoolExecutor(1) as pool:
        patient = [b.submit(n, patient=True) for n in (1, 2)]
        third = pool.submit(b.submit, 3, patient=True)
        others = [b.submit(n) for n in (4, 5, 6, 7)]  # none of which waits for room
        assert not third.done()
        b.device.go_on.set()
        for future in (*patient, *others, third.result(PATIENCE_S)):
            outcome(future)
    assert computed(b)[:2] == [[4, 5], [6, 7]]
