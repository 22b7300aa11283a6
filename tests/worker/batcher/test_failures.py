"""Errors, memory that runs out, a device that is lost."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from model.errors import OutOfMemory
from tests.worker.benches import PATIENCE_S, Broken, FakeDevice, NoMemory, computed, outcome
from worker.batcher import DeviceLost
from worker.waiting import Stopped


def test_an_error_is_that_of_the_item_that_caused_it(bench):
    def refuse(payloads, at_once):
        if 2 in payloads:
            raise ValueError("two")

    b = bench()
    b.busy_with(0)
    b.device.fault = refuse
    futures = [b.submit(n) for n in (1, 2, 3)]
    b.device.go_on.set()
    results = [outcome(future) for future in futures]
    assert results[0] == ("a", 1)
    assert str(results[1]) == "two"
    assert results[2] == ("a", 3)
    assert computed(b) == [[1, 2, 3], [1], [2], [3]]
    assert b.failures == []


def memory_for(most: int) -> Callable[[Sequence[Any], int], None]:
    def fault(payloads: Sequence[Any], at_once: int) -> None:
        if at_once > most:
            raise NoMemory(at_once)

    return fault


def test_half_as_many_at_once_when_memory_runs_out(bench):
    b = bench()
    b.busy_with(0)
    b.device.fault = memory_for(2)
    futures = [b.submit(n) for n in range(4)]
    b.device.go_on.set()
    assert [outcome(future) for future in futures] == [("a", n) for n in range(4)]
    assert computed(b) == [[0, 1, 2, 3], [0, 1], [2, 3]]
    assert b.device.released == 2  # before the batch, what kept the device busy


def test_halved_only_once(bench):
    b = bench()
    b.busy_with(0)
    b.device.fault = memory_for(1)
    futures = [b.submit(n) for n in range(4)]
    b.device.go_on.set()
    assert {type(outcome(future)) for future in futures} == {OutOfMemory}
    assert computed(b) == [[0, 1, 2, 3], [0, 1], [2, 3]]


def test_only_those_without_memory_fail(bench):
    def fault(payloads, at_once):
        if 3 in payloads:
            raise NoMemory

    b = bench()
    b.busy_with(0)
    b.device.fault = fault
    futures = [b.submit(n) for n in range(4)]
    b.device.go_on.set()
    kinds = [type(outcome(future)) for future in futures]
    assert kinds == [tuple, tuple, OutOfMemory, OutOfMemory]
    assert b.failures == []


def test_memory_is_free_before_the_second_attempt(bench):
    """Nothing of the first holds on to its tensors: not its exception, nor its frames."""
    alive = []

    class Tensor:
        def __init__(self):
            alive.append(self)

        def __del__(self):
            gone.set()

    gone = threading.Event()

    class Tight(FakeDevice):
        def compute(self, key, payloads, *, at_once):
            if not self.calls:
                tensor = Tensor()
                alive.clear()
                self.calls.append((key, tensor.__class__))
                raise NoMemory
            assert gone.is_set()
            return payloads

    b = bench(Tight())
    assert outcome(b.submit(1)) == 1


def test_three_batches_in_a_row_without_memory_are_the_end(bench):
    b = bench()
    b.device.fault = memory_for(0)
    for n in range(2):
        assert isinstance(outcome(b.submit(n)), OutOfMemory)
    b.device.fault = memory_for(4)
    assert outcome(b.submit(2)) == ("a", 2)  # and the count starts anew
    b.device.fault = memory_for(0)
    for n in range(3):
        assert b.failures == []
        assert isinstance(outcome(b.submit(n)), OutOfMemory)
    assert b.failed.wait(PATIENCE_S)
    assert b.failures[0].code == "out_of_memory"
    with pytest.raises(Stopped):
        b.submit(3)


def test_a_lost_device_is_the_end(bench, caplog):
    def fault(payloads, at_once):
        if "deadly" in payloads:
            raise Broken("illegal memory access")

    b = bench(FakeDevice(full=4, together=1))
    b.device.fault = fault
    b.busy_with(0)
    futures = [b.submit(payload) for payload in (1, "deadly", 2)]
    other = b.submit(3, "b")
    b.device.go_on.set()
    kinds = [type(outcome(future)) for future in futures]
    assert kinds == [tuple, DeviceLost, Stopped]
    assert isinstance(outcome(other), Stopped)
    assert b.failed.wait(PATIENCE_S)
    assert "illegal memory access" in caplog.text
    assert "illegal memory access" not in str(b.failures[0])  # which clients are shown


def test_a_device_that_gives_too_few_results_leaves_nobody_waiting(bench, caplog):
    class Short(FakeDevice):
        def compute(self, key, payloads, *, at_once):
            return super().compute(key, payloads, at_once=at_once)[:-1]

    b = bench(Short())
    assert isinstance(outcome(b.submit(1)), Stopped)
    assert b.failed.wait(PATIENCE_S)
    assert "the batcher failed" in caplog.text
