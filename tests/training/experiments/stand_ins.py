"""Stand-ins for networks, of which it is known what they score."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from training.evaluation.cache import FeatureCache
from training.experiments.measures import FeatureSpaces


class Copy:
    """Its style is the image, and so is its tile."""

    def encode_style(self, image_u8: np.ndarray) -> np.ndarray:
        return image_u8

    def synthesize(self, mask_labels: np.ndarray, style: np.ndarray, *, seed: int) -> np.ndarray:
        return style


class Blocks:
    """A network for features: the colours of the four quarters. Counts the images it saw."""

    fingerprint = "blocks"

    def __init__(self) -> None:
        self.seen = 0

    def features(
        self,
        images_u8: Iterable[np.ndarray],
        *,
        batch_size: int = 4,
        advance: Callable[[int], object] = lambda images: None,
    ) -> dict[int, np.ndarray]:
        images = np.stack(list(images_u8))
        self.seen += len(images)
        quarters = images.reshape(len(images), 2, 128, 2, 128, 3).mean((2, 4))
        return {12: quarters.reshape(len(images), 12)}


def spaces(network: Blocks, folder: Path) -> FeatureSpaces:
    return FeatureSpaces({"inception": FeatureCache(network, folder / "features")})
