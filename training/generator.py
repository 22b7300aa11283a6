"""The training of a method's generator: its crops, its step and its sample sheets in the loop."""

from collections.abc import Sequence
from pathlib import Path

from training.config import TrainConfig
from training.data.crops import CropDataset, LoadedSlide
from training.distributed import Process
from training.loop import Intervals, run_steps
from training.profile import Profile
from training.samples import SampleSheet
from training.start import Start
from training.state import Progress
from training.step import Stepper
from training.vgg import Vgg19


def train_generator(
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
    start: Start | None = None,
) -> tuple[Stepper, Progress]:
    """Train until ``config.steps``, or a limit of ``training.loop.run_steps``, which see."""
    stepper = Stepper(config, vgg, process, start)
    dataset = CropDataset(slides, config)
    sheet = SampleSheet(dataset) if process.leads else None

    def write_sheet(step: int) -> None:
        if sheet:
            sheet.write(run / "samples" / f"step-{step:06d}.png", stepper)

    progress = run_steps(
        stepper,
        dataset,
        run,
        workers=workers,
        intervals=intervals or Intervals(),
        title=title,
        profile=profile,
        write_sheet=write_sheet,
    )
    return stepper, progress
