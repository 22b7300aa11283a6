"""The training loop: batches in, steps, and at intervals a log line, samples and the state."""

import json
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich import progress as rich_progress
from torch import Tensor

from model.errors import NonFiniteLoss
from training.config import TrainConfig
from training.data.crops import CropDataset, LoadedSlide, batches
from training.distributed import Process, any_process, average_values
from training.samples import SampleSheet
from training.state import Progress, load_state, save_state
from training.step import Stepper
from training.vgg import Vgg19

LOG_NAME = "log.jsonl"


@dataclass(frozen=True)
class Intervals:
    """Steps between log lines, sample sheets and saved states; a limit on this sitting."""

    log: int = 10
    sample: int = 250
    save: int = 250
    minutes: float = math.inf


def train(
    config: TrainConfig,
    slides: Sequence[LoadedSlide],
    vgg: Vgg19,
    run: Path,
    process: Process,
    *,
    workers: int = 1,
    intervals: Intervals | None = None,
) -> tuple[Stepper, Progress]:
    """Train until ``config.steps``, the minutes are over, or SIGINT or SIGTERM; then save.

    ``run`` is created, or resumed exactly if it holds a state of the same configuration.

    Raises:
        NonFiniteLoss: a loss term became NaN or infinite; the state on disk is from before.
        ResumeMismatch: ``run`` belongs to another configuration.
    """
    intervals = intervals or Intervals()
    run.mkdir(parents=True, exist_ok=True)
    stepper = Stepper(config, vgg, process)
    progress = load_state(run, stepper)
    log = Log(run / LOG_NAME, progress.step) if process.leads else None
    dataset = CropDataset(slides, config)
    sheet = SampleSheet(dataset) if process.leads else None
    loader = batches(
        dataset,
        first_step=progress.step,
        workers=workers,
        rank=process.rank,
        world=process.world,
    )
    deadline = time.monotonic() + 60 * intervals.minutes
    with _stop_signal() as stopped, _progress_bar(config.steps, progress.step, process) as bar:
        clock = time.perf_counter()
        for batch in loader:
            terms = _checked(stepper(batch, progress.step), progress.step, process)
            progress.step += 1
            now = time.perf_counter()
            progress.seconds += now - clock
            if log:
                log.add(progress.step, terms, now - clock, config, every=intervals.log)
            clock = now
            bar(progress.step, terms)
            asked = time.monotonic() > deadline or stopped.is_set()
            last = any_process(asked, process) or progress.step == config.steps
            if process.leads and (last or progress.step % intervals.save == 0):
                save_state(run, stepper, progress)
            if sheet and (last or progress.step % intervals.sample == 0):
                sheet.write(run / "samples" / f"step-{progress.step:06d}.png", stepper)
            if last:
                break
    return stepper, progress


class Log:
    """JSON lines: the mean of each loss term over the interval, and the speed."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self._sums: dict[str, float] = {}
        self._steps, self._seconds = 0, 0.0
        # Lines beyond the saved state will be written again; so will a half-written last one.
        text = path.read_text("utf-8") if path.is_file() else ""
        lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        path.write_text("".join(kept), "utf-8")

    def add(
        self, step: int, terms: dict[str, float], seconds: float, config: TrainConfig, *, every: int
    ) -> None:
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._steps += 1
        self._seconds += seconds
        if step % every:
            return
        line: dict[str, Any] = {"step": step}
        line |= {name: round(total / self._steps, 5) for name, total in self._sums.items()}
        line["images_per_second"] = round(self._steps * config.batch_size / self._seconds, 3)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._sums, self._steps, self._seconds = {}, 0, 0.0


def _checked(terms: dict[str, Tensor], step: int, process: Process) -> dict[str, float]:
    values = average_values(torch.stack([value.float() for value in terms.values()]), process)
    numbers = dict(zip(terms, values.tolist(), strict=True))
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise NonFiniteLoss(
                f"The loss term '{name}' became {value} at step {step}. Nothing of this step was "
                "saved. Resume with --precision fp32, or lower --lr-generator."
            )
    return numbers


@contextmanager
def _stop_signal() -> Iterator[threading.Event]:
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
def _progress_bar(steps: int, done: int, process: Process) -> Iterator[Any]:
    columns = (
        rich_progress.TextColumn("step"),
        rich_progress.MofNCompleteColumn(),
        rich_progress.BarColumn(),
        rich_progress.TimeRemainingColumn(),
        rich_progress.TextColumn("{task.fields[terms]}"),
    )
    with rich_progress.Progress(*columns, disable=not process.leads) as bar:
        task = bar.add_task("train", total=steps, completed=done, terms="")

        def update(step: int, terms: dict[str, float]) -> None:
            text = " ".join(f"{name[:4]} {value:.2f}" for name, value in terms.items())
            bar.update(task, completed=step, terms=text)

        yield update
