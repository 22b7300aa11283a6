"""Slides of discs in two colours, and a model that paints them, for tests of the evaluation."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
SIDE_PX = 504  # 2 x 2 tiles
# Nuclei and stroma of three stains, one a slide.
STAINS = [
    ((90, 50, 120), (225, 170, 205)),
    ((60, 60, 150), (190, 190, 225)),
    ((120, 40, 60), (240, 200, 190)),
]
SLIDES = [
    ("TCGA-2Z-A9J9-01A-01-TS1", "kidney"),
    ("TCGA-44-2665-01B-06-BS6", "lung"),
    ("TCGA-69-7764-01A-01-TS1", "lung"),
]


def nuclei(side: int, seed: int) -> NDArray[np.uint16]:
    """Discs of 25 px with ids from 1, later ones on top."""
    rng = np.random.default_rng(seed)
    disc = np.hypot(*np.mgrid[-12:13, -12:13]) < 12.5
    labels = np.zeros((side, side), np.uint16)
    for label, (y, x) in enumerate(rng.integers(0, side - 25, (side * side // 4000, 2)), start=1):
        labels[y : y + 25, x : x + 25][disc] = label
    return labels


def stain(labels: NDArray[np.integer], colours: NDArray[np.floating], seed: int) -> Picture:
    tile = np.where((labels > 0)[..., None], colours[0], colours[1])
    grain = np.random.default_rng(seed).normal(0, 12, (*labels.shape, 1))
    return np.asarray((tile + grain).clip(0, 255), np.uint8)


def write_slides(root: Path) -> Path:
    """Writes a data set of three test slides and one training slide."""
    train = ("TCGA-18-5592-01Z-00-DX1", "liver")
    for number, (name, _) in enumerate([*SLIDES, train]):
        part = root / ("train" if name == train[0] else "test")
        labels = nuclei(1000 if name == train[0] else SIDE_PX, number)
        image = stain(labels, np.array(STAINS[number % 3], float), number)
        for kind, array in (("images", image), ("instances", labels)):
            (part / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(part / kind / f"{name}.png")
    return root


@dataclass
class Painter:
    """Paints the style's colours into the mask, with the grain of the slides; then ``spoil``."""

    spoil: Callable[[Picture], Picture] = lambda tile: tile
    calls: list[tuple[str, int]] = field(default_factory=list)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def encode_style(self, image_u8: Picture) -> NDArray[np.float32]:
        pixels = image_u8.reshape(-1, 3).astype(np.float32)
        brightness = pixels.sum(axis=1)
        middle = (brightness.min() + brightness.max()) / 2
        dark = brightness < middle
        self.calls.append(("encode", 0))
        return np.concatenate([pixels[dark].mean(axis=0), pixels[~dark].mean(axis=0)])

    def synthesize(
        self, mask_labels: NDArray[np.integer], style: NDArray[np.float32], *, seed: int
    ) -> Picture:
        self.calls.append(("synthesize", seed))
        return self.spoil(stain(mask_labels, style.reshape(2, 3), seed))
