"""What waits for the device, in bounded room, and how batches are formed of it."""

import contextlib
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

_ROOM, _PATIENT_ROOM = 2, 1
"""Full batches that may wait, of tiles that somebody waits for and of patient ones. More would cost
memory and gain no time."""
_PATIENCE_S = 10.0
"""How long a patient item lets others go first."""


class Interrupted(Exception):
    """There will be no result, through no fault of what was asked for."""


class Stopped(Interrupted):
    """A stop on purpose, or because the device fails; what waited is handed back."""


class NotNow(Exception):
    """A job that was not begun, since it has to wait for others of its sort; jobs of other sorts
    may go first."""

    def __init__(self, sort: str) -> None:
        super().__init__(sort)
        self.sort = sort


@dataclass(eq=False)
class Item:
    """Something to compute, and the promise of its outcome.

    key: items of one key can be computed together.
    owner: who wants it.
    deadline_at: not worth computing after this moment.
    room: what it takes up while it waits, in full batches.
    patient: one of so many that nobody waits for this one: others go first, for a while.
    """

    key: Hashable
    payload: Any
    owner: str
    deadline_at: datetime | None
    room: Fraction
    patient: bool = False
    future: "Future[Any]" = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.future.set_running_or_notify_cancel()  # from here on it cannot be canceled

    @property
    def turn(self) -> float:
        """Items are taken in this order."""
        return self.arrived + (_PATIENCE_S if self.patient else 0.0)

    def succeed(self, result: Any) -> None:
        """The outcome, unless there is one already."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """The outcome, unless there is one already."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(error)


class Waiting:
    """Items that wait, in the order in which they arrived; patient ones behind others.

    batch_size: how many items of a key make a full batch.
    at_once: how many of them are computed at once.
    max_wait_s: how long a batch that isn't full waits for more, from the arrival of its oldest
        item.
    """

    def __init__(
        self,
        batch_size: Callable[[Hashable], int],
        at_once: Callable[[Hashable], int],
        *,
        max_wait_s: float,
    ) -> None:
        self._batch_size, self._at_once = batch_size, at_once
        self._max_wait_s = max_wait_s
        self._changed = threading.Condition()
        self._items: list[Item] = []
        # Places without room yet, first come first served, and the room taken; of patient ones
        # and of others.
        self._lines: dict[bool, list[Place]] = {False: [], True: []}
        self._taken = {False: Fraction(0), True: Fraction(0)}
        self._expected = 0
        self._is_closed = False

    def next_batch(self) -> list[Item]:
        """Of the key of the item whose turn it is, in order, as many as are there and fit.

        Waits for more only while something is known to be in preparation: a lone item never
        waits. What would leave the device half empty at the end of the batch stays for the
        next. Empty once closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._is_closed)
            if not self._items:
                return []
            self._changed.wait_for(
                lambda: self._is_closed or not self._expected or self._is_full(),
                min(item.arrived for item in self._next()) + self._max_wait_s - time.monotonic(),
            )
            batch = self._next()
            self._items = [item for item in self._items if item not in batch]
            for item in batch:
                self._taken[item.patient] -= item.room
            self._changed.notify_all()
            return batch

    def _is_full(self) -> bool:
        batch = self._next()
        first = batch[0]
        # After patient ones, no more than are computed at once, it is seen again who waits.
        full = self._at_once(first.key) if first.patient else self._batch_size(first.key)
        return len(batch) >= full

    def _next(self) -> list[Item]:
        """The batch that would be formed now."""
        if not self._items:
            return []
        items = sorted(self._items, key=lambda item: item.turn)
        first = items[0]
        items = [item for item in items if item.key == first.key]
        at_once, full = self._at_once(first.key), self._batch_size(first.key)
        if first.patient:
            return items[:at_once]
        batch = [item for item in items if not item.patient][:full]
        left = len(batch) % at_once
        if left and len(batch) < full:
            company = [item for item in items if item.patient][: at_once - left]
            batch = batch + company if company or len(batch) < at_once else batch[:-left]
        return batch

    def close(self) -> list[Item]:
        """Take nothing more; what waited."""
        with self._changed:
            self._is_closed = True
            items, self._items = self._items, []
            self._changed.notify_all()
            return items

    def enter(self) -> None:
        with self._changed:
            self._expected += 1

    def leave(self) -> None:
        with self._changed:
            self._expected -= 1
            self._changed.notify_all()

    def give_back(self, unused: Fraction, *, patient: bool) -> None:
        with self._changed:
            self._taken[patient] -= unused
            self._changed.notify_all()

    def reserve(self, place: "Place", key: Hashable, *, patient: bool) -> Fraction:
        room = Fraction(1, self._batch_size(key))
        line, all_room = self._lines[patient], _PATIENT_ROOM if patient else _ROOM
        with self._changed:
            line.append(place)
            try:
                self._changed.wait_for(
                    lambda: (
                        self._is_closed
                        or (line[0] is place and self._taken[patient] + room <= all_room)
                    )
                )
                if self._is_closed:
                    raise Stopped
                self._taken[patient] += room
            finally:
                line.remove(place)
                self._changed.notify_all()
        return room

    def append(self, item: Item) -> None:
        with self._changed:
            if self._is_closed:
                raise Stopped
            self._items.append(item)
            self._changed.notify_all()


class Expectation:
    """Something is on its way that may become an item; a context. Batches wait for it, though
    never longer than ``max_wait_s``."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._is_over = True

    def __enter__(self) -> Self:
        self._waiting.enter()
        self._is_over = False
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def end(self) -> None:
        """Before the context's end: something else stands for it now, or nothing comes."""
        if not self._is_over:
            self._is_over = True
            self._waiting.leave()


class Place:
    """A place for one item, from before it is prepared until it is submitted; a context."""

    def __init__(
        self, waiting: Waiting, owner: str, deadline_at: datetime | None, *, patient: bool = False
    ) -> None:
        self._waiting = waiting
        self._owner, self._deadline_at, self._patient = owner, deadline_at, patient
        self._room = Fraction(0)
        self._key: Hashable = None

    def __enter__(self) -> Self:
        if not self._patient:  # nobody shall wait for those
            self._waiting.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._patient:
            self._waiting.leave()
        self._waiting.give_back(self._room, patient=self._patient)

    def reserve(self, key: Hashable) -> None:
        """Wait until there is room for an item of this key; before it takes up memory.

        Raises Stopped.
        """
        self._room = self._waiting.reserve(self, key, patient=self._patient)
        self._key = key

    def submit(self, payload: Any) -> "Future[Any]":
        """Hand the item in, after ``reserve``. The outcome is a result of ``Device.compute`` or
        an exception: what ``compute`` raised, OutOfMemory, DeadlineExceeded, Unwanted, Stopped
        or DeviceLost.

        Raises Stopped.
        """
        item = Item(
            self._key, payload, self._owner, self._deadline_at, self._room, patient=self._patient
        )
        self._waiting.append(item)
        self._room = Fraction(0)  # the item's now
        return item.future
