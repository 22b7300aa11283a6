"""Training crops of annotated images: sample number -> (image, classes).

Sample k is a function of (seed, k), as in ``training.data.crops``.

With traditional augmentation a crop is turned by a random symmetry of the square, half of the
crops by any angle before that (bilinear image, nearest labels), and one in ten is blurred by a
3 x 3 median. Where a turned crop reaches beyond its image it shows the image mirrored, and no
class is told there: a nucleus that the border cuts is none together with its mirror image.
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
from training.data.augment import TURN_MARGIN, median_blur, turn
from training.digest import digest
from training.segmentation.config import SegNetConfig
from training.segmentation.instances import UNTOLD, class_map

_ANY_ANGLE, _BLURRED = 0.5, 0.1


@dataclass(frozen=True, eq=False)
class Annotated:
    """An image (H, W, 3) uint8 and its instance mask (H, W): a real slide or a synthetic tile."""

    image_u8: NDArray[np.uint8]
    labels: NDArray[np.int32]


class AnnotatedCrops(Dataset[dict[str, Tensor]]):
    """Item k: ``image`` (3, S, S) uint8 and ``classes`` (S, S) uint8, ``UNTOLD`` beyond the image.

    Crops lie anywhere. An image is drawn as often as the number of crops on its grid of a stride
    of half a crop, 49 for a slide of 1000 px with crops of 256 px. With synthetic images added,
    ``config.synthetic_share`` of the crops are of these, each as often as another.

    Raises:
        DataInvalid: no images, or one smaller than a crop.
    """

    def __init__(
        self, images: Sequence[Annotated], config: SegNetConfig, added: Sequence[Annotated] = ()
    ) -> None:
        side = config.crop_px
        if not images:
            raise DataInvalid("There are no images to train a SegNet on; check --data.")
        for image in (*images, *added):
            height, width = image.labels.shape
            if min(height, width) < side:
                raise DataInvalid(
                    f"A training image is {width} x {height} px, smaller than the crops of "
                    f"{side} px. Leave it out or lower crop_px."
                )
        self.images, self.added = list(images), list(added)
        self.config = config
        counts = [math.prod(_grid_count(n, side) for n in i.labels.shape) for i in images]
        self._last_places = np.cumsum(counts)

    def origins(self) -> dict[str, str]:
        """A digest of each real image and its labels, and one of all synthetic ones."""
        real = [digest(image.image_u8, image.labels) for image in self.images]
        synthetic = [digest(image.image_u8, image.labels) for image in self.added]
        found = {f"image {number}": each for number, each in enumerate(real)}
        return found | ({"synthetic images": digest(synthetic)} if synthetic else {})

    def __len__(self) -> int:
        return self.config.steps * self.config.batch_size

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        side, augment = self.config.crop_px, self.config.augment
        rng = np.random.default_rng((self.config.seed, k))
        source = self._source(rng)
        row, col = (int(rng.integers(n - side + 1)) for n in source.labels.shape)
        any_angle = augment and rng.random() < _ANY_ANGLE
        margin = math.ceil(side * (TURN_MARGIN - 1) / 2) if any_angle else 0
        image, labels = _window(source, row - margin, col - margin, side + 2 * margin)
        if augment:
            image, labels = turn(image, labels, "any" if any_angle else "quarter", rng)
        middle = np.s_[margin : margin + side, margin : margin + side]
        image, labels = np.ascontiguousarray(image[middle]), labels[middle]
        if augment and rng.random() < _BLURRED:
            image = median_blur(image)
        return {
            "image": torch.from_numpy(image).permute(2, 0, 1),
            "classes": torch.from_numpy(_classes(labels)),
        }

    def _source(self, rng: np.random.Generator) -> Annotated:
        if self.added and rng.random() < self.config.synthetic_share:
            return self.added[int(rng.integers(len(self.added)))]
        place = rng.integers(self._last_places[-1])
        return self.images[int(np.searchsorted(self._last_places, place, side="right"))]


def _grid_count(length: int, side: int) -> int:
    """Crops at a stride of half a crop that cover a side from end to end."""
    return math.ceil((length - side) / (side // 2)) + 1


def _window(
    source: Annotated, top: int, left: int, side: int
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """A square of an image, which is mirrored beyond its borders; there the label n is -1 - n."""
    height, width = source.labels.shape
    rows, columns = _mirrored(top, side, height)[:, None], _mirrored(left, side, width)
    below, right = (np.arange(start, start + side) for start in (top, left))
    inside = ((below >= 0) & (below < height))[:, None] & (right >= 0) & (right < width)
    labels = source.labels[rows, columns]
    return source.image_u8[rows, columns], np.where(inside, labels, -1 - labels)


def _classes(labels: NDArray[np.int32]) -> NDArray[np.uint8]:
    """The class map of a window, told inside the image alone. Nuclei are made whole by their
    mirror image before it is taken, so that the border of the image makes no boundary."""
    beyond = labels < 0
    classes = class_map(np.where(beyond, -1 - labels, labels))
    classes[beyond] = UNTOLD
    return classes


def _mirrored(start: int, count: int, length: int) -> NDArray[np.intp]:
    """Indices from ``start`` on, reflected at 0 and ``length`` - 1."""
    turns = np.abs(np.arange(start, start + count)) % (2 * length - 2)
    return np.asarray(np.minimum(turns, 2 * length - 2 - turns))
