"""The training of a SegNet: its crops, its step in the loop, and what is settled at its end."""

from collections.abc import Sequence
from pathlib import Path

import torch

from model.pixels import u8_to_pm1
from training.distributed import Process
from training.ema import reestimate_batch_norm
from training.loop import Intervals, run_steps
from training.segmentation.config import SegNetConfig
from training.segmentation.data import Annotated, AnnotatedCrops
from training.segmentation.segmenter import Segmenter
from training.segmentation.step import SegNetStepper

_SETTLING_BATCHES = 64


def train_segnet(
    config: SegNetConfig,
    images: Sequence[Annotated],
    run: Path,
    process: Process,
    *,
    added: Sequence[Annotated] = (),
    workers: int = 0,
    intervals: Intervals | None = None,
    title: str = "segnet",
) -> Segmenter | None:
    """Train until ``config.steps`` on real ``images`` and synthetic ones ``added`` to them; or None
    at a limit of ``training.loop.run_steps``, which see: then the same call goes on exactly where
    this one stopped.

    Raises DataInvalid when there are no images, or one is smaller than a crop; the others are
    those of the loop.
    """
    stepper = SegNetStepper(config, process)
    progress = run_steps(
        stepper,
        AnnotatedCrops(images, config, added),
        run,
        workers=workers,
        intervals=intervals or Intervals(),
        title=title,
    )
    if progress.step < config.steps:
        return None
    _settle_batch_norm(stepper, AnnotatedCrops(images, config))
    return Segmenter(stepper.net, config)


def _settle_batch_norm(stepper: SegNetStepper, crops: AnnotatedCrops) -> None:
    """Batch norm statistics of real crops, which a SegNet is for, whatever it was trained on; those
    of its training are of the last dozen batches."""
    size = stepper.config.batch_size

    def forward(number: object) -> object:
        assert isinstance(number, int)
        images = [crops[len(crops) + number * size + k]["image"] for k in range(size)]
        return stepper.net(u8_to_pm1(torch.stack(images).to(stepper.process.device)))

    reestimate_batch_norm(stepper.net, range(_SETTLING_BATCHES), forward)
