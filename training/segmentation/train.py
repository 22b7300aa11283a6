"""The training of a SegNet: batches in, steps, and at intervals a log line and the state."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from model.errors import NonFiniteLoss, ParameterInvalid
from training.distributed import Process, any_process, average_values
from training.segmentation.config import SegNetConfig
from training.segmentation.data import Annotated, AnnotatedCrops, batches
from training.segmentation.segmenter import Segmenter
from training.segmentation.state import load_state, save_state
from training.segmentation.step import SegNetStepper
from training.sitting import Log, progress_bar, stop_signal
from training.state import Progress


def train_segnet(
    config: SegNetConfig,
    images: Sequence[Annotated],
    run: Path,
    process: Process,
    *,
    workers: int = 0,
    log_every: int = 10,
    save_every: int = 250,
    minutes: float = math.inf,
    title: str = "segnet",
) -> Segmenter | None:
    """Train until ``config.steps``; or None when the minutes are over, or SIGINT or SIGTERM
    came: then the same call goes on exactly where this one stopped.

    run: folder of the state and the log; created, or resumed if it holds a state.
    workers: processes that prepare crops. log_every, save_every: in steps.
    title: stands beside the progress bar.

    Raises:
        DataInvalid: no images, or one smaller than a crop.
        NonFiniteLoss: the loss became NaN or infinite; the state on disk is from before.
        ParameterInvalid: a batch cannot be split over the processes.
        ResumeMismatch: ``run`` belongs to another configuration.
    """
    if config.batch_size % process.world:
        raise ParameterInvalid(
            f"A batch of {config.batch_size} cannot be split over {process.world} processes; "
            "make batch_size a multiple."
        )
    run.mkdir(parents=True, exist_ok=True)
    stepper = SegNetStepper(config, process)
    progress = load_state(run, stepper)
    loader = batches(
        AnnotatedCrops(images, config),
        first_step=progress.step,
        workers=workers,
        rank=process.rank,
        world=process.world,
    )
    record = _Record(run, stepper, progress, log_every, save_every)
    deadline = time.monotonic() + 60 * minutes
    with (
        stop_signal() as stopped,
        progress_bar(title, config.steps, progress.step, shown=process.leads) as bar,
    ):
        asked_for = time.perf_counter()
        for batch in loader:
            waited = time.perf_counter() - asked_for
            loss = stepper(batch, progress.step)
            progress.step += 1
            asked = time.monotonic() > deadline or stopped.is_set()
            last = any_process(asked, process) or progress.step == config.steps
            bar(progress.step, record(loss, waited, last=last))
            if last:
                break
            asked_for = time.perf_counter()
    return Segmenter(stepper.net, config) if progress.step == config.steps else None


class _Record:
    """What is kept of a run: its log and its state."""

    def __init__(
        self, run: Path, stepper: SegNetStepper, progress: Progress, log_every: int, save_every: int
    ) -> None:
        self._run, self._stepper, self._progress = run, stepper, progress
        self._log_every, self._save_every = log_every, save_every
        self._log = Log(run, progress.step) if stepper.process.leads else None
        self._losses: list[Tensor] = []  # left on the device: reading one waits for it
        self._clock = time.perf_counter()

    def __call__(self, loss: Tensor, waited: float, *, last: bool) -> dict[str, float] | None:
        """After a step that waited so long for its batch; the mean loss where it was read."""
        progress, terms = self._progress, None
        self._losses.append(loss)
        logging = progress.step % self._log_every == 0
        saving = last or progress.step % self._save_every == 0
        if logging or saving:
            terms = {"loss": _mean_loss(self._losses, progress.step, self._stepper.process)}
            self._losses.clear()
        seconds, self._clock = time.perf_counter() - self._clock, time.perf_counter()
        progress.seconds += seconds
        if self._log:
            images = self._stepper.config.batch_size
            self._log.add(images=images, seconds=seconds, waited=waited)
            if logging and terms:
                self._log.write(progress.step, terms)
            if saving:
                save_state(self._run, self._stepper, progress)
        return terms


def _mean_loss(losses: list[Tensor], step: int, process: Process) -> float:
    mean = float(average_values(torch.stack(losses).mean(), process))
    if not math.isfinite(mean):
        raise NonFiniteLoss(
            f"The loss of a SegNet became {mean} in the {len(losses)} steps up to {step}. Nothing "
            "of them was saved. Resume with precision fp32, or a lower learning rate."
        )
    return mean
