import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import DeadlineExceeded, OutOfMemory
from worker import metrics, waiting
from worker.batcher import Batcher, DeviceLost, Unwanted
from worker.waiting import Stopped

PATIENCE_S = 30


class NoMemory(Exception):
    """The device has too little memory."""


class Broken(Exception):
    """The device can do nothing more."""


class FakeDevice:
    """Gives back what it is given; notes what was computed together.

    fault: called with the payloads and how many are computed at once; may raise.
    """

    def __init__(self, full: int = 4, together: int | None = None) -> None:
        self.full, self.together = full, full if together is None else together
        self.fault: Callable[[Sequence[Any], int], None] = lambda payloads, at_once: None
        self.calls: list[tuple[Hashable, list[Any]]] = []
        self.released = 0
        self.busy = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def batch_size(self, key: Hashable) -> int:
        return self.full

    def at_once(self, key: Hashable) -> int:
        return self.together

    def compute(self, key: Hashable, payloads: Sequence[Any], *, at_once: int) -> list[Any]:
        self.calls.append((key, list(payloads)))
        self.busy.set()
        assert self.go_on.wait(PATIENCE_S)
        self.fault(payloads, at_once)
        return [(key, payload) for payload in payloads]

    def release_memory(self) -> None:
        self.released += 1

    def is_out_of_memory(self, error: Exception) -> bool:
        return isinstance(error, NoMemory)

    def is_lost(self, error: Exception) -> bool:
        return isinstance(error, Broken)


class Bench:
    """A batcher on a fake device."""

    def __init__(self, device: FakeDevice, *, max_wait_s: float = 0.0, stall_s: float = 60.0):
        self.device = device
        self.unwanted: set[str] = set()
        self.asked: list[set[str]] = []
        self.failures: list[Exception] = []
        self.failed = threading.Event()
        self.batcher = Batcher(
            device,
            max_wait_s=max_wait_s,
            stall_s=stall_s,
            wanted=self._wanted,
            on_failure=self._fail,
        )

    def _wanted(self, owners: set[str]) -> set[str]:
        self.asked.append(owners)
        return owners - self.unwanted

    def _fail(self, error: Exception) -> None:
        self.failures.append(error)
        self.failed.set()

    def submit(
        self,
        payload: Any,
        key: Hashable = "a",
        owner: str = "me",
        deadline_at: datetime | None = None,
        patient: bool = False,
    ) -> "Future[Any]":
        with self.batcher.expect(owner, deadline_at=deadline_at, patient=patient) as place:
            place.reserve(key)
            return place.submit(payload)

    def busy_with(self, payload: Any, key: Hashable = "busy") -> "Future[Any]":
        """What comes after waits until the device may go on."""
        self.device.go_on.clear()
        self.device.busy.clear()
        future = self.submit(payload, key)
        assert self.device.busy.wait(PATIENCE_S)
        return future


@pytest.fixture
def bench():
    made = []

    def start(device: FakeDevice | None = None, **options: float) -> Bench:
        bench = Bench(device or FakeDevice(), **options)
        made.append(bench)
        bench.batcher.start(lambda: None)
        return bench

    yield start
    for bench in made:
        bench.device.go_on.set()
        bench.batcher.stop()


def outcome(future: "Future[Any]") -> Any:
    """Its result, or its exception."""
    error = future.exception(PATIENCE_S)
    return future.result() if error is None else error


def computed(bench: Bench) -> list[list[Any]]:
    """What was computed together, without what kept the device busy."""
    return [payloads for key, payloads in bench.device.calls if key != "busy"]


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
    while not b.batcher.is_stalled:
        threading.Event().wait(0.001)
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
