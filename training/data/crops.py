"""Training crops: sample number -> (condition, image, style image), and nothing else.

Sample k of a run is a pure function of (seed, k): loading in any number of processes, or
stopping and resuming at sample k, gives the same crops.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from model.errors import DataInvalid
from model.layout import consecutive_ids
from training.conditions import condition_maps
from training.config import TrainConfig
from training.data.augment import TURN_MARGIN, StainJitter, median_blur, turn
from training.data.monuseg import Slide
from training.digest import digest
from training.networks import condition_of, direction_of, takes_nuclei
from training.segmentation.instances import class_map


@dataclass(frozen=True)
class LoadedSlide:
    """A slide in memory: image (H, W, 3) uint8, labels (H, W) int32."""

    id: str
    organ: str
    image_u8: NDArray[np.uint8]
    labels: NDArray[np.int32]


def load_slides(slides: Sequence[Slide], *, smallest_px: int) -> list[LoadedSlide]:
    """Read slides into memory (4 MB a MoNuSeg slide and 4 MB of labels).

    Raises:
        DataInvalid: no slides, or one is smaller than ``smallest_px`` a side.
    """
    if not slides:
        raise DataInvalid("There are no training slides in the data folder; check --data.")
    loaded = []
    for slide in slides:
        image = slide.image()
        if min(image.shape[:2]) < smallest_px:
            raise DataInvalid(
                f"Slide {slide.id} is {image.shape[1]} x {image.shape[0]} px; crops of this run "
                f"or of its export need {smallest_px} px a side. Remove the slide, or make the "
                "crops smaller (--crop, --rotation quarter)."
            )
        loaded.append(LoadedSlide(slide.id, slide.organ, image, slide.labels()))
    return loaded


class CropDataset(Dataset[dict[str, Tensor]]):
    """Item k: ``layout`` (C, S, S) float32, the condition of the network; ``image`` (3, S, S) and
    ``style`` (3, T, T) uint8, and ``foreground`` (S, S) and ``style_foreground`` (T, T) bool, their
    pixels of nuclei; ``nuclei`` (S, S) int32, from 1 without gaps, where the network takes noise
    per nucleus; ``classes`` (S, S) uint8 where a discriminator asks for them."""

    def __init__(self, slides: Sequence[LoadedSlide], config: TrainConfig) -> None:
        self.slides = list(slides)
        self.config = config
        self._epoch: tuple[int, NDArray[np.int64]] | None = None
        self.grid = [
            (index, row, col)
            for index, slide in enumerate(self.slides)
            for row in _grid(slide.labels.shape[0], config.crop_px, config.grid_stride_px)
            for col in _grid(slide.labels.shape[1], config.crop_px, config.grid_stride_px)
        ]

    def origins(self) -> dict[str, str]:
        """A digest of the image and labels of each slide, by its id."""
        return {slide.id: digest(slide.image_u8, slide.labels) for slide in self.slides}

    def __len__(self) -> int:
        return self.config.steps * self.config.batch_size

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        config = self.config
        rng = np.random.default_rng((config.seed, k))
        slide, row, col = self._position(k, rng)
        image, labels = self._crop(slide, row, col, rng)
        if config.style_source == "same":
            style, style_labels = image, labels
        else:
            style, style_labels = random_crop(slide, config.style_px, rng)
        if rng.random() < config.stain_jitter:
            jitter = StainJitter.draw(rng)
            image, style = jitter(image), jitter(style)
        if rng.random() < config.median_blur:
            image = median_blur(image)
        network = config.network
        layout = condition_maps(labels, condition_of(network), direction_of(network))
        sample = {
            "layout": torch.from_numpy(layout),
            "image": torch.from_numpy(image).permute(2, 0, 1),
            "style": torch.from_numpy(style).permute(2, 0, 1),
            "foreground": torch.from_numpy(labels > 0),
            "style_foreground": torch.from_numpy(style_labels > 0),
        }
        if takes_nuclei(network):
            sample["nuclei"] = torch.from_numpy(consecutive_ids(labels))
        if config.weights.segmentation:
            sample["classes"] = torch.from_numpy(class_map(labels))
        return sample

    def _position(self, k: int, rng: np.random.Generator) -> tuple[LoadedSlide, int, int]:
        """Slide and top-left corner of sample k."""
        side = self.config.crop_px
        if self.config.sampling == "random":
            slide = self.slides[int(rng.integers(len(self.slides)))]
            height, width = slide.labels.shape
            return (
                slide,
                int(rng.integers(height - side + 1)),
                int(rng.integers(width - side + 1)),
            )
        epoch, place = divmod(k, len(self.grid))
        index, row, col = self.grid[self._order(epoch)[place]]
        return self.slides[index], row, col

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """In which the grid's crops come in an epoch; that of the last one asked for is kept."""
        if self._epoch is None or self._epoch[0] != epoch:
            draw = np.random.default_rng((self.config.seed, epoch, 1))
            self._epoch = epoch, draw.permutation(len(self.grid))
        return self._epoch[1]

    def _crop(
        self, slide: LoadedSlide, row: int, col: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        side = self.config.crop_px
        if self.config.rotation == "quarter":
            here = (slice(row, row + side), slice(col, col + side))
            return turn(slide.image_u8[here], slide.labels[here], "quarter", rng)
        wide = math.ceil(side * TURN_MARGIN) + 2
        extra = wide - side
        height, width = slide.labels.shape
        top = int(np.clip(row - extra // 2, 0, height - wide))
        left = int(np.clip(col - extra // 2, 0, width - wide))
        here = (slice(top, top + wide), slice(left, left + wide))
        image, labels = turn(slide.image_u8[here], slide.labels[here], "any", rng)
        middle = (slice(extra // 2, extra // 2 + side),) * 2
        return np.ascontiguousarray(image[middle]), np.ascontiguousarray(labels[middle])


def random_crop(
    slide: LoadedSlide, side: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Image and labels of a square crop at a random place, flipped at random."""
    height, width = slide.labels.shape
    side = min(side, height, width)
    row = int(rng.integers(height - side + 1))
    col = int(rng.integers(width - side + 1))
    image = slide.image_u8[row : row + side, col : col + side]
    labels = slide.labels[row : row + side, col : col + side]
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    return np.ascontiguousarray(image), np.ascontiguousarray(labels)


def _grid(length: int, side: int, stride: int) -> list[int]:
    """First pixels of crops that cover a side from end to end."""
    starts = list(range(0, length - side + 1, stride))
    return starts if starts[-1] == length - side else [*starts, length - side]
