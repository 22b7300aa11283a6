"""The training of a SegNet: its crops and its step in the loop."""

from collections.abc import Sequence
from pathlib import Path

from training.distributed import Process
from training.loop import Intervals, run_steps
from training.segmentation.config import SegNetConfig
from training.segmentation.data import Annotated, AnnotatedCrops
from training.segmentation.segmenter import Segmenter
from training.segmentation.step import SegNetStepper


def train_segnet(
    config: SegNetConfig,
    images: Sequence[Annotated],
    run: Path,
    process: Process,
    *,
    workers: int = 0,
    intervals: Intervals | None = None,
    title: str = "segnet",
) -> Segmenter | None:
    """Train until ``config.steps``; or None at a limit of ``training.loop.run_steps``, which see:
    then the same call goes on exactly where this one stopped.

    Raises DataInvalid when there are no images, or one is smaller than a crop; the others are
    those of the loop.
    """
    stepper = SegNetStepper(config, process)
    progress = run_steps(
        stepper,
        AnnotatedCrops(images, config),
        run,
        workers=workers,
        intervals=intervals or Intervals(),
        title=title,
    )
    return Segmenter(stepper.net, config) if progress.step == config.steps else None
