"""Starting and stopping; and whatever happens, one outcome for each item."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import OutOfMemory
from tests.waiting import until
from tests.worker.benches import PATIENCE_S, Bench, FakeDevice, NoMemory, outcome
from worker.batcher import DeviceLost
from worker.waiting import Stopped


def test_a_stop_finishes_what_is_on_the_device_and_hands_back_the_rest(bench):
    b = bench(FakeDevice(full=4, together=2))
    b.busy_with(0)
    futures = [b.submit(n) for n in range(4)]
    other = b.submit(4, "b")
    second = threading.Event()

    def stop_in_the_batch(payloads, at_once):
        if payloads == [0, 1]:
            stopper.start()
            assert b.batcher._stopping.wait(PATIENCE_S)

    stopper = threading.Thread(target=lambda: (b.batcher.stop(), second.set()))
    b.device.fault = stop_in_the_batch
    b.device.go_on.set()
    kinds = [type(outcome(future)) for future in futures]
    assert kinds == [tuple, tuple, Stopped, Stopped]
    assert isinstance(outcome(other), Stopped)
    assert second.wait(PATIENCE_S)
    stopper.join()
    b.batcher.stop()
    with pytest.raises(Stopped):
        b.submit(5)


def test_a_stop_lets_go_of_those_who_wait_for_room(bench):
    b = bench()
    b.busy_with(0)
    waiting = [b.submit(n) for n in range(8)]
    with ThreadPoolExecutor(2) as threads:
        late = [threads.submit(b.submit, n) for n in (8, 9)]
        stopper = threading.Thread(target=b.batcher.stop)
        stopper.start()
        for future in late:
            assert isinstance(future.exception(PATIENCE_S), Stopped)
    b.device.go_on.set()
    stopper.join(PATIENCE_S)
    assert {type(outcome(future)) for future in waiting} == {Stopped}


def test_a_stop_that_finds_the_device_stalled_does_not_wait_for_it(bench):
    b = bench(stall_s=0.01)
    stuck = b.busy_with(0)
    waiting = b.submit(1)
    until(lambda: b.batcher.is_stalled)
    b.batcher.stop()
    assert isinstance(outcome(stuck), DeviceLost)
    assert isinstance(outcome(waiting), Stopped)
    b.device.go_on.set()  # and a result that comes after all is nobody's
    b.batcher._thread.join(PATIENCE_S)
    assert isinstance(outcome(stuck), DeviceLost)


def test_is_not_stalled_while_it_waits_for_work(bench):
    b = bench(stall_s=0.0)
    outcome(b.submit(1))
    assert not b.batcher.is_stalled


def test_raises_what_warming_up_raises():
    b = Bench(FakeDevice())

    def warm_up():
        raise MemoryError("too large")

    with pytest.raises(MemoryError):
        b.batcher.start(warm_up)
    with pytest.raises(Stopped):
        b.submit(1)
    b.batcher.stop()


def test_warms_up_in_the_devices_thread():
    b = Bench(FakeDevice())
    seen = []
    b.batcher.start(lambda: seen.append(threading.current_thread().name))
    assert seen == ["sian-device"]
    b.batcher.stop()
    b.batcher.stop()


def test_stopping_what_never_started_is_no_error():
    Bench(FakeDevice()).batcher.stop()


@settings(max_examples=60)
@given(
    clients=st.lists(
        st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["fine", "bad", "no memory"])),
                 max_size=6),
        min_size=1, max_size=6,
    ),
    full=st.integers(1, 5),
    together=st.integers(1, 5),
    stop_after=st.integers(0, 40),
)  # fmt: skip
def test_every_item_has_one_outcome_and_every_batch_one_key(clients, full, together, stop_after):
    """However many hand in whatever they like: nobody waits for ever, no batch is too large or
    mixed, and the items of one client and key are computed in their order."""
    device = FakeDevice(full=full, together=min(together, full))

    def fault(payloads, at_once):
        if len(device.calls) == stop_after:
            threading.Thread(target=bench.batcher.stop).start()
        if any(what == "bad" for _, _, what in payloads):
            raise ValueError("bad")
        if any(what == "no memory" for _, _, what in payloads):
            raise NoMemory

    device.fault = fault
    bench = Bench(device, max_wait_s=0.001)
    bench.batcher.start(lambda: None)

    def client(number: int) -> list[Any]:
        futures = []
        for index, (key, what) in enumerate(clients[number]):
            try:
                future = bench.submit((number, index, what), key, patient=number % 2 == 1)
                futures.append((what, future))
            except Stopped:
                break
        return [(what, outcome(future)) for what, future in futures]

    with ThreadPoolExecutor(len(clients)) as threads:
        outcomes = list(threads.map(client, range(len(clients))))
    bench.batcher.stop()
    for what, result in [pair for pairs in outcomes for pair in pairs]:
        expected = {"fine": (tuple, OutOfMemory), "bad": (ValueError, OutOfMemory)}
        assert isinstance(result, (*expected.get(what, (OutOfMemory,)), Stopped))
        if what == "fine" and full == 1:
            assert not isinstance(result, OutOfMemory)
    first_calls: dict[Any, list[int]] = {}
    seen = set()
    for key, payloads in device.calls:
        assert 1 <= len(payloads) <= device.together
        for number, index, _ in payloads:
            assert clients[number][index][0] == key
            if (number, index) not in seen:
                seen.add((number, index))
                first_calls.setdefault((number, key), []).append(index)
    for order in first_calls.values():
        assert order == sorted(order)
