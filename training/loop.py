"""The training loop: batches in, steps, and at intervals a log line, samples and the state."""

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from model.errors import NonFiniteLoss
from training.config import TrainConfig
from training.data.crops import CropDataset, LoadedSlide, batches
from training.distributed import Process, any_process, average_values
from training.profile import Profile
from training.samples import SampleSheet
from training.sitting import Log, progress_bar, stop_signal
from training.state import Progress, load_state, save_state
from training.step import Stepper
from training.vgg import Vgg19


@dataclass(frozen=True)
class Intervals:
    """Steps between log lines, sample sheets and saved states; a limit on this sitting."""

    log: int = 10
    sample: int = 250
    save: int = 250
    minutes: float = math.inf

    def due(self, step: int, last: bool) -> tuple[bool, bool, bool]:
        """Whether to log, save and sample after a step; the last one is saved and sampled."""
        saving, sampling = step % self.save == 0, step % self.sample == 0
        return step % self.log == 0, last or saving, last or sampling


def train(
    config: TrainConfig,
    slides: Sequence[LoadedSlide],
    vgg: Vgg19,
    run: Path,
    process: Process,
    *,
    workers: int = 1,
    intervals: Intervals | None = None,
    title: str = "train",
    profile: Profile | None = None,
) -> tuple[Stepper, Progress]:
    """Train until ``config.steps``, the minutes are over, or SIGINT or SIGTERM; then save.

    ``run`` is created, or resumed exactly if it holds a state of the same configuration.
    ``title`` stands beside the progress bar.

    Raises:
        NonFiniteLoss: a loss term became NaN or infinite; the state on disk is from before.
        ResumeMismatch: ``run`` belongs to another configuration.
    """
    intervals = intervals or Intervals()
    run.mkdir(parents=True, exist_ok=True)
    stepper = Stepper(config, vgg, process)
    progress = load_state(run, stepper)
    log = Log(run, progress.step) if process.leads else None
    dataset = CropDataset(slides, config)
    sheet = SampleSheet(dataset) if process.leads else None
    loader = batches(
        dataset,
        first_step=progress.step,
        workers=workers,
        rank=process.rank,
        world=process.world,
    )
    recent = RecentTerms(process)
    meters = [meter for meter in (log, profile) if meter is not None]
    deadline = time.monotonic() + 60 * intervals.minutes
    with (
        stop_signal() as stopped,
        progress_bar(title, config.steps, progress.step, shown=process.leads) as bar,
    ):
        clock = idle_since = time.perf_counter()
        for batch in loader:
            waited = time.perf_counter() - idle_since
            with profile.counting() if profile else nullcontext():
                recent.add(stepper(batch, progress.step))
            progress.step += 1
            asked = time.monotonic() > deadline or stopped.is_set()
            last = any_process(asked, process) or progress.step == config.steps
            logging, saving, sampling = intervals.due(progress.step, last)
            terms = recent.take(progress.step) if logging or saving else None
            seconds, clock = time.perf_counter() - clock, time.perf_counter()
            progress.seconds += seconds
            for meter in meters:
                meter.add(images=config.batch_size, seconds=seconds, waited=waited)
            if log and logging and terms:
                log.write(progress.step, terms)
            bar(progress.step, terms)
            if process.leads and saving:
                save_state(run, stepper, progress)
            if sheet and sampling:
                sheet.write(run / "samples" / f"step-{progress.step:06d}.png", stepper)
            if last:
                break
            idle_since = time.perf_counter()
    return stepper, progress


class RecentTerms:
    """The loss terms of the last steps, left on the device: reading one waits for the device,
    which would stand idle while the next step is prepared."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._names: list[str] = []
        self._rows: list[Tensor] = []

    def add(self, terms: dict[str, Tensor]) -> None:
        self._names = list(terms)
        self._rows.append(torch.stack([value.float() for value in terms.values()]))

    def take(self, step: int) -> dict[str, float]:
        """The mean of each term, over the processes too. Raises NonFiniteLoss."""
        mean = average_values(torch.stack(self._rows).mean(0), self._process)
        steps = len(self._rows)
        self._rows.clear()
        numbers = dict(zip(self._names, mean.tolist(), strict=True))
        for name, value in numbers.items():
            if not math.isfinite(value):
                raise NonFiniteLoss(
                    f"The loss term '{name}' became {value} in the {steps} steps up to {step}. "
                    "Nothing of them was saved. Resume with --precision fp32, or lower "
                    "--lr-generator."
                )
        return numbers
