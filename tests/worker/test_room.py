import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from worker.room import Room
from worker.waiting import Stopped

PATIENCE_S = 30


class Guest:
    """Enters in a thread of its own and stays until told to leave."""

    def __init__(self, room: Room, *, alone: bool) -> None:
        self.inside, self.leave = threading.Event(), threading.Event()
        self.refused = False
        self._thread = threading.Thread(target=self._visit, args=[room, alone])
        self._thread.start()

    def _visit(self, room: Room, alone: bool) -> None:
        try:
            with room.taken(alone=alone):
                self.inside.set()
                assert self.leave.wait(PATIENCE_S)
        except Stopped:
            self.refused = True

    def go(self) -> None:
        self.leave.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


def is_waiting(room: Room, count: int) -> None:
    """Returns once so many stand in line."""
    deadline = time.monotonic() + PATIENCE_S
    while len(room._line) != count:
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)


@pytest.fixture
def room() -> Room:
    return Room()


def test_many_share_it(room):
    guests = [Guest(room, alone=False) for _ in range(3)]
    assert all(guest.inside.wait(PATIENCE_S) for guest in guests)
    for guest in guests:
        guest.go()


def test_says_whether_somebody_wants_it_alone(room):
    first = Guest(room, alone=False)
    assert first.inside.wait(PATIENCE_S)
    assert not room.is_wanted
    second = Guest(room, alone=True)
    is_waiting(room, 1)
    assert room.is_wanted
    first.go()
    assert second.inside.wait(PATIENCE_S)
    assert not room.is_wanted
    second.go()


def test_one_has_it_alone(room):
    first = Guest(room, alone=False)
    assert first.inside.wait(PATIENCE_S)
    second = Guest(room, alone=True)
    is_waiting(room, 1)
    third = Guest(room, alone=False)  # behind the second, though it could share with the first
    is_waiting(room, 2)
    assert not second.inside.is_set()
    first.go()
    assert second.inside.wait(PATIENCE_S)
    assert not third.inside.is_set()
    second.go()
    assert third.inside.wait(PATIENCE_S)
    third.go()


def test_never_anybody_beside_one_who_is_alone(room):
    inside, seen = [], []

    def visit(number: int) -> None:
        with room.taken(alone=number % 3 == 0):
            inside.append(number)
            seen.append(list(inside))
            inside.remove(number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(visit, range(200)))
    assert len(seen) == 200
    assert not any(len(who) > 1 and any(n % 3 == 0 for n in who) for who in seen)


def test_a_closed_room_lets_nobody_in(room):
    first = Guest(room, alone=False)
    assert first.inside.wait(PATIENCE_S)
    second = Guest(room, alone=True)
    is_waiting(room, 1)
    room.close()
    second.go()
    assert second.refused
    third = Guest(room, alone=False)
    third.go()
    assert third.refused
    assert not room.wait_until_empty(0)
    first.go()
    assert room.wait_until_empty(PATIENCE_S)


def test_an_error_inside_frees_it(room):
    with pytest.raises(KeyError), room.taken(alone=True):
        raise KeyError
    with room.taken(alone=True):
        pass
