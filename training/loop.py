"""The training loop: batches in, steps, and at intervals a log line, samples and the state."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from model.errors import NonFiniteLoss
from training.data.loader import NumberedSamples, batches
from training.distributed import Process, any_process, average_values
from training.profile import Profile
from training.sitting import Log, progress_bar, stop_signal
from training.speed import as_fast_as_possible
from training.state import TRY_INSTEAD, Progress, Resumable, RunConfig, load_state, save_state
from training.waiting import timed


class StepsConfig(RunConfig, Protocol):
    """``steps``: length of the run. ``batch_size``: samples a step, over all processes."""

    @property
    def steps(self) -> int: ...

    @property
    def batch_size(self) -> int: ...


class Samples(NumberedSamples, Protocol):
    """Numbered samples, and what they are cut from."""

    def origins(self) -> Mapping[str, str]:
        """A digest of each image, by a name for people."""


class Steps(Resumable, Protocol):
    """Networks, their optimisers, and the step that moves them."""

    @property
    def config(self) -> StepsConfig: ...

    def __call__(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """Move the networks by one step; returns its loss terms, detached."""


@dataclass(frozen=True)
class Intervals:
    """Steps between log lines, sample sheets and saved states; ``minutes`` limit this sitting.

    save_minutes: for so long no state is saved after another, since that of a large network takes
        a GPU longer to write than the steps in between. The last step is always saved.
    """

    log: int = 10
    sample: int = 250
    save: int = 250
    minutes: float = math.inf
    save_minutes: float = 5.0
    began_at: float = field(default_factory=time.monotonic)

    @property
    def deadline(self) -> float:
        """Of this sitting: the minutes count from when they were given, so that what it takes to
        build networks and to read a state is among them."""
        return self.began_at + 60 * self.minutes

    def due(self, step: int, last: bool) -> tuple[bool, bool, bool]:
        """Whether to log, save and sample after a step; all of it after the last one.

        The same in all processes, which the time is not: it is asked before saving.
        """
        saving, sampling = step % self.save == 0, step % self.sample == 0
        return last or step % self.log == 0, last or saving, last or sampling


def run_steps(
    stepper: Steps,
    samples: Samples,
    run: Path,
    *,
    workers: int,
    intervals: Intervals,
    title: str,
    profile: Profile | None = None,
    write_sheet: Callable[[int], None] | None = None,
) -> Progress:
    """Take steps until ``config.steps``, the minutes are over, or SIGINT or SIGTERM; then save.

    ``run`` is created, or resumed exactly if it holds a state of the same configuration. The caller
    sees to it that nobody else works there (``training.sitting.alone_in``), until it has made
    what it wants of the result.
    ``title`` stands beside the progress bar; ``write_sheet(step)`` keeps a picture of that step.

    Raises:
        NonFiniteLoss: a loss term or a weight became NaN or infinite; the state on disk is from
            before.
        FileUnwritable: as when the disk is full; likewise.
        ParameterInvalid: a batch cannot be split over the processes.
        ResumeMismatch: ``run`` belongs to another configuration, or was trained on other images.
    """
    config, process = stepper.config, stepper.process
    run.mkdir(parents=True, exist_ok=True)
    origins = samples.origins()
    progress = load_state(run, stepper, origins)
    loader = batches(
        samples,
        process,
        batch_size=config.batch_size,
        first_step=progress.step,
        workers=workers,
    )
    with (
        as_fast_as_possible(process.device),
        stop_signal() as stopped,
        progress_bar(title, config.steps, progress.step, shown=process.leads) as bar,
    ):
        record = _Record(run, stepper, progress, origins, intervals, profile, write_sheet)
        for batch, waited in timed(loader, process.device):
            with profile.counting() if profile else nullcontext():
                terms = stepper(batch, progress.step)
            progress.step += 1
            asked = time.monotonic() > intervals.deadline or stopped.is_set()
            last = any_process(asked, process) or progress.step == config.steps
            bar(progress.step, record(terms, waited, last=last))
            if last:
                break
    return progress


class _Record:
    """What is kept of a run: its log, its state, and pictures of it."""

    def __init__(
        self,
        run: Path,
        stepper: Steps,
        progress: Progress,
        origins: Mapping[str, str],
        intervals: Intervals,
        profile: Profile | None,
        write_sheet: Callable[[int], None] | None,
    ) -> None:
        self._run, self._stepper, self._progress = run, stepper, progress
        self._origins = origins
        self._intervals, self._write_sheet = intervals, write_sheet
        self._log = Log(run, progress.step) if stepper.process.leads else None
        self._meters = [meter for meter in (self._log, profile) if meter is not None]
        self._recent = RecentTerms(stepper.process)
        self._clock = time.perf_counter()
        self._saved_at = time.monotonic()

    def __call__(
        self, terms: dict[str, Tensor], waited: float, *, last: bool
    ) -> dict[str, float] | None:
        """After a step for whose batch the device waited so long; the mean terms where they are
        read."""
        self._recent.add(terms)
        step, means = self._progress.step, None
        logging, saving, sampling = self._intervals.due(step, last)
        if logging:
            means = self._recent.take(step)
        elif saving:
            self._recent.means(step)  # a state is saved of finite losses only
        seconds, self._clock = time.perf_counter() - self._clock, time.perf_counter()
        self._progress.seconds += seconds
        for meter in self._meters:
            meter.add(images=self._stepper.config.batch_size, seconds=seconds, waited=waited)
        if self._log and means:
            self._log.write(step, means)
        if self._stepper.process.leads and saving:
            self._save(last)
        if self._write_sheet and sampling:
            self._write_sheet(step)
        return means

    def _save(self, last: bool) -> None:
        if last or time.monotonic() - self._saved_at >= 60 * self._intervals.save_minutes:
            save_state(self._run, self._stepper, self._progress, self._origins)
            self._saved_at = time.monotonic()


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
        """As ``means``, of the steps since the last time they were taken."""
        numbers = self.means(step)
        self._rows.clear()
        return numbers

    def means(self, step: int) -> dict[str, float]:
        """The mean of each term, over the processes too. Raises NonFiniteLoss."""
        mean = average_values(torch.stack(self._rows).mean(0), self._process)
        numbers = dict(zip(self._names, mean.tolist(), strict=True))
        for name, value in numbers.items():
            if not math.isfinite(value):
                raise NonFiniteLoss(
                    f"The loss term '{name}' became {value} in the {len(self._rows)} steps up to "
                    f"{step}. {TRY_INSTEAD}"
                )
        return numbers
