"""One sitting of a long run: how it shows its progress, keeps a log, and is asked to stop."""

import fcntl
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import progress as rich_progress

from model.errors import RunBusy
from model.files import remove_partial, write_whole, writing

LOG_NAME = "log.jsonl"

# Notes are written without the lock; they are small, and take no minute.
_LONGEST_WRITE_S = 60.0

_LOCKED: set[int] = set()


class Log:
    """JSON lines in ``run``/log.jsonl: the mean of each loss term over some steps, the speed, and
    the share of the time in which the device waited for data."""

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / LOG_NAME
        self._images, self._seconds, self._waited = 0, 0.0, 0.0
        # Lines beyond the saved state will be written again; so will a half-written last one.
        text = self.path.read_text("utf-8") if self.path.is_file() else ""
        lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        write_whole(self.path, "".join(kept))

    def add(self, *, images: int, seconds: float, waited: float) -> None:
        """A step took ``seconds`` for its images; for ``waited`` of them the device had no data."""
        self._images += images
        self._seconds += seconds
        self._waited += waited

    def write(self, step: int, terms: Mapping[str, float]) -> None:
        """A line for the steps up to ``step`` since the last line; ``terms`` are their means."""
        line: dict[str, Any] = {"step": step}
        line |= {name: round(value, 5) for name, value in terms.items()}
        line["images_per_second"] = round(self._images / self._seconds, 3)
        line["waiting"] = round(self._waited / self._seconds, 4)
        with writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._images, self._seconds, self._waited = 0, 0.0, 0.0


@contextmanager
def alone_in(run: Path) -> Iterator[None]:
    """Nobody else works in the folder ``run`` meanwhile. Raises RunBusy when somebody does, and
    FileUnwritable when it cannot be made.

    The folder is created if it is not there.
    The lock ends with the process, however it ends.
    """
    with writing(run):
        run.mkdir(parents=True, exist_ok=True)
    folder = os.open(run, os.O_RDONLY)
    _LOCKED.add(folder)
    try:
        _lock(folder, run)
        remove_partial(run, older_than_s=_LONGEST_WRITE_S)
        yield
    finally:
        _LOCKED.remove(folder)
        os.close(folder)


def leave_locks_to_the_parent() -> None:
    """In a process that was forked, and so has its parent's locks too: it must not hold them when
    the parent is killed."""
    for folder in _LOCKED:
        os.close(folder)
    _LOCKED.clear()


def _lock(folder: int, run: Path) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunBusy(
            f"Another process is training in {run}. Wait for it, stop it, or choose another folder."
        ) from None
    except OSError:
        return  # a file system that has no locks, or none of folders


@contextmanager
def stop_signal() -> Iterator[threading.Event]:
    """An event set by SIGINT or SIGTERM; the step in hand is finished and saved."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    previous = {
        number: signal.signal(number, lambda *_: stopped.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as SIGINT does, where nothing else waits for it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def progress_bar(
    title: str, steps: int, done: int, *, shown: bool = True
) -> Iterator[Callable[[int, Mapping[str, float] | None], None]]:
    """A bar on the terminal, and the function that moves it: (steps done, terms to print, or
    None to leave those that stand there)."""
    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.MofNCompleteColumn(),
        rich_progress.BarColumn(),
        rich_progress.TimeRemainingColumn(),
        rich_progress.TextColumn("{task.fields[terms]}"),
    )
    with rich_progress.Progress(*columns, disable=not shown) as bar:
        task = bar.add_task(title, total=steps, completed=done, terms="")

        def update(step: int, terms: Mapping[str, float] | None) -> None:
            bar.update(task, completed=step)
            if terms is not None:
                text = " ".join(f"{name[:4]} {value:.2f}" for name, value in terms.items())
                bar.update(task, terms=text)

        yield update
