"""What the tables are made from: slides, trained methods, synthetic tiles, SegNets.

Everything is made when first asked for and kept in a folder, so that tables share it and an
experiment that was stopped goes on where it was:

    FOLDER/<method>-s<seed>/            the run of a generator
    FOLDER/<method>-s<seed>/<set>/      tiles it drew
    FOLDER/segnet-<set>-s<seed>/        the run of a SegNet
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import RunUnfinished
from training.data.crops import LoadedSlide, load_slides
from training.data.monuseg import Slide, read_dataset
from training.distributed import Process
from training.evaluation.protocol import TileModel
from training.evaluation.tiles import Plan, Tile, cut_tiles, make_plan
from training.experiments.scale import Scale
from training.generator import train_generator
from training.loop import Intervals
from training.segmentation.data import Annotated
from training.segmentation.segmenter import Segmenter
from training.segmentation.train import train_segnet
from training.sitting import progress_bar
from training.trained import RESULT_NAME, finish, load_result
from training.vgg import Vgg19

ImageU8 = NDArray[np.uint8]
Draw = Callable[[TileModel, int], ImageU8]


@dataclass(frozen=True)
class Sitting:
    """Where the work runs, and until when: a time of ``time.monotonic``."""

    process: Process
    workers: int = 1
    until: float = math.inf

    @property
    def minutes_left(self) -> float:
        return (self.until - time.monotonic()) / 60

    def go_on(self, what: str) -> None:
        """Raises RunUnfinished when the time is over; ``what`` is left to do."""
        if self.minutes_left <= 0:
            raise RunUnfinished(
                f"The time is over before {what} was finished. Run the same command again to go "
                "on from here."
            )


class Laboratory:
    """Slides and weights to work with, a scale, and the folder that keeps what was made.

    Raises (all methods that make something): RunUnfinished when the sitting is over, or stopped;
    what is done by then is kept.
    """

    def __init__(self, data: Path, vgg: Path, folder: Path, scale: Scale, sitting: Sitting) -> None:
        self.folder, self.scale, self.sitting = folder, scale, sitting
        self._vgg_path = vgg
        self.found: list[Slide] = read_dataset(data)
        self._models: dict[tuple[str, int], TileModel] = {}

    @cached_property
    def vgg(self) -> Vgg19:
        return Vgg19.load(self._vgg_path)

    @cached_property
    def training_slides(self) -> list[LoadedSlide]:
        smallest = self.scale.train_config("sian", 0).smallest_slide_px
        return load_slides([s for s in self.found if s.split == "train"], smallest_px=smallest)

    @cached_property
    def training_tiles(self) -> list[Tile]:
        return cut_tiles([slide for slide in self.found if slide.split == "train"])

    @cached_property
    def test_tiles(self) -> list[Tile]:
        return cut_tiles([slide for slide in self.found if slide.split == "test"])

    @cached_property
    def plan(self) -> Plan:
        """The judged test tiles, and which tile of its slide lends each a style."""
        return make_plan(self.test_tiles, seed=0, limit=self.scale.test_tiles)

    @cached_property
    def judged(self) -> list[Tile]:
        return [self.test_tiles[index] for index in self.plan.tiles]

    def run(self, method: str, seed: int) -> Path:
        return self.folder / f"{method}-s{seed}"

    def train(self, method: str, seed: int) -> Path:
        """Train a method to its end; returns the file of its networks."""
        run = self.run(method, seed)
        result = run / RESULT_NAME
        if result.is_file():
            return result
        what = f"the training of {method} with seed {seed}"
        self.sitting.go_on(what)
        config = self.scale.train_config(method, seed)
        stepper, progress = train_generator(
            config,
            self.training_slides,
            self.vgg,
            run,
            self.sitting.process,
            workers=self.sitting.workers,
            intervals=Intervals(minutes=self.sitting.minutes_left),
            title=f"{method} s{seed}",
        )
        if progress.step < config.steps:
            raise RunUnfinished(
                f"Stopped at step {progress.step} of {config.steps} of {what}. Run the same "
                "command again to go on from here."
            )
        return finish(method, run, stepper, progress, self.training_slides)

    def model(self, method: str, seed: int) -> TileModel:
        """A method after its training, ready to synthesize."""
        key = (method, seed)
        if key not in self._models:
            device = str(self.sitting.process.device)
            self._models[key] = load_result(self.train(method, seed), device=device)
        return self._models[key]

    def tiles(self, method: str, seed: int, name: str, count: int, draw: Draw) -> list[ImageU8]:
        """The set ``name`` of tiles of a method: ``draw(model, k)`` for each k below ``count``.

        Each is a PNG of its own, written whole or not at all; those that exist are read.
        """
        model = self.model(method, seed)
        folder = self.run(method, seed) / name
        folder.mkdir(parents=True, exist_ok=True)
        images = []
        with progress_bar(f"{method} s{seed}: {name}", count, 0) as bar:
            for k in range(count):
                path = folder / f"{k:05d}.png"
                if path.is_file():
                    image_u8 = np.asarray(Image.open(path))
                else:
                    self.sitting.go_on(f"the tiles {name} of {method}")
                    image_u8 = draw(model, k)
                    partial = path.with_suffix(".tmp")
                    Image.fromarray(image_u8).save(partial, format="PNG")
                    partial.replace(path)
                images.append(image_u8)
                bar(k + 1, None)
        return images

    def segmenter(
        self, name: str, seed: int, images: Callable[[], Sequence[Annotated]], *, augment: bool
    ) -> Segmenter:
        """The SegNet ``name``, trained on ``images()`` if it is not there yet."""
        run = self.folder / f"segnet-{name}-s{seed}"
        result = run / RESULT_NAME
        device = str(self.sitting.process.device)
        if not result.is_file():
            self.sitting.go_on(f"the training of SegNet {name}")
            config = self.scale.segnet_config(augment=augment, seed=seed)
            segmenter = train_segnet(
                config,
                images(),
                run,
                self.sitting.process,
                workers=self.sitting.workers,
                intervals=Intervals(minutes=self.sitting.minutes_left),
                title=f"segnet {name}",
            )
            if segmenter is None:
                raise RunUnfinished(
                    f"Stopped before the training of SegNet {name} was finished. Run the same "
                    "command again to go on from here."
                )
            segmenter.save(result)
        return Segmenter.load(result, device=device)

    def real_images(self) -> list[Annotated]:
        return [Annotated(slide.image_u8, slide.labels) for slide in self.training_slides]
