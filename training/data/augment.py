"""Augmentation of a crop: geometry on image and labels alike, stain on images only.

Layout maps are computed after the labels have been augmented, never augmented themselves:
a turned direction map is not the direction map of the turned nuclei.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import hed2rgb, rgb2hed

Image = NDArray[np.uint8]
Labels = NDArray[np.int32]

# Room around a crop so that a turn by any angle still fills it.
TURN_MARGIN = 2**0.5


def turn(
    image_u8: Image, labels: Labels, how: Literal["quarter", "any"], rng: np.random.Generator
) -> tuple[Image, Labels]:
    """One of the eight symmetries of the square; with ``any`` first a turn by any angle.

    (S, S, 3) and (S, S). For ``any`` the caller hands in crops ``TURN_MARGIN`` times too wide
    and cuts the middle out.
    """
    if how == "any":
        angle = rng.uniform(0, 90)
        image_u8 = ndimage.rotate(image_u8, angle, reshape=False, order=1, mode="reflect")
        labels = ndimage.rotate(labels, angle, reshape=False, order=0, mode="reflect")
    quarters = int(rng.integers(4))
    image_u8, labels = np.rot90(image_u8, quarters), np.rot90(labels, quarters)
    if rng.random() < 0.5:
        image_u8, labels = image_u8[:, ::-1], labels[:, ::-1]
    return np.ascontiguousarray(image_u8), np.ascontiguousarray(labels)


def median_blur(image_u8: Image) -> Image:
    """3 x 3 median per channel."""
    return np.asarray(ndimage.median_filter(image_u8, size=(3, 3, 1)))


@dataclass(frozen=True)
class StainJitter:
    """One random stain. Applied to a crop and to its style crop it makes a pair in a stain
    that no slide has, so that the network learns to follow a stain and not to recall thirty.

    gains, offsets: of haematoxylin, eosin and the residual, in units of ``rgb2hed``.
    brightness: factor on RGB in [0, 1]; saturation: factor on the distance from grey.
    """

    gains: NDArray[np.float64]
    offsets: NDArray[np.float64]
    brightness: float
    saturation: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "StainJitter":
        return cls(
            gains=np.exp(rng.uniform(-0.45, 0.45, 3)),
            offsets=rng.normal(0, 0.012, 3),
            brightness=float(rng.uniform(0.88, 1.08)),
            saturation=float(np.exp(rng.uniform(-0.4, 0.3))),
        )

    def __call__(self, image_u8: Image) -> Image:
        """(H, W, 3) uint8 in another stain."""
        hed = rgb2hed(image_u8) * self.gains + self.offsets
        rgb = hed2rgb(hed)
        grey = rgb.mean(axis=2, keepdims=True)
        rgb = (grey + (rgb - grey) * self.saturation) * self.brightness
        return np.asarray(np.round(255 * np.clip(rgb, 0, 1)), np.uint8)
