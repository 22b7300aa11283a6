"""Who may run beside whom."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from worker.waiting import Stopped


class Room:
    """Taken by many that share it, or by one alone; first come, first served."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: list[_Guest] = []
        self._inside = 0
        self._is_alone = False
        self._is_closed = False

    @contextmanager
    def taken(self, *, alone: bool) -> Iterator[None]:
        """Raises Stopped instead of entering, once the room is closed."""
        self._enter(alone)
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._is_alone = False
                self._changed.notify_all()

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits to have it alone, and all others behind that one."""
        with self._changed:
            return any(guest.alone for guest in self._line)

    def close(self) -> None:
        """Let nobody in any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Whether everyone has left in that time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._inside, timeout_s)

    def _enter(self, alone: bool) -> None:
        me = _Guest(alone)
        with self._changed:
            self._line.append(me)
            try:
                self._changed.wait_for(lambda: self._is_closed or self._may_enter(me))
                if self._is_closed:
                    raise Stopped
                self._inside += 1
                self._is_alone = alone
            finally:
                self._line.remove(me)
                self._changed.notify_all()

    def _may_enter(self, me: "_Guest") -> bool:
        if self._line[0] is not me:
            return False
        return not self._inside if me.alone else not self._is_alone


@dataclass(eq=False)
class _Guest:
    """One who stands in line."""

    alone: bool
