"""Sheets of samples: instance mask, real crop, style crop, synthetic crop, side by side."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model.files import whole
from model.pixels import pm1_to_image, u8_to_pm1
from training.data.crops import CropDataset
from training.noise import draw_noise, seeded
from training.step import Stepper

_COUNT = 6
_FIRST = 2**40  # sample numbers that no run reaches


class SampleSheet:
    """The same crops and noise each time, so that sheets of one run can be compared."""

    def __init__(self, dataset: CropDataset) -> None:
        self.samples = [dataset[_FIRST + k] for k in range(_COUNT)]

    @torch.no_grad()
    def write(self, path: Path, stepper: Stepper) -> None:
        """One row a crop, drawn with the averaged weights. Raises FileUnwritable."""
        with seeded(0, stepper.process.device):  # pix2pix's dropout
            rows = self._rows(stepper)
        with whole(path) as partial:
            Image.fromarray(np.vstack(rows)).save(partial, format="PNG")

    def _rows(self, stepper: Stepper) -> list[NDArray[np.uint8]]:
        device = stepper.process.device
        generator = stepper.ema_generator.module.eval()
        encoder = stepper.ema_encoder.module.eval()
        source = torch.Generator().manual_seed(0)
        rows = []
        for sample in self.samples:
            layout = sample["layout"][None]
            nuclei = sample["nuclei"][None] if "nuclei" in sample else None
            noise = draw_noise(
                generator, layout, nuclei, lambda shape: torch.randn(shape, generator=source)
            )
            style_pm1 = u8_to_pm1(sample["style"][None]).to(device)
            style = encoder.encode(style_pm1)
            fake = generator(layout.to(device), style, [plane.to(device) for plane in noise])
            side = layout.shape[-1]
            real = pm1_to_image(u8_to_pm1(sample["image"][None]))
            reference = pm1_to_image(style_pm1)[:side, :side]
            rows.append(
                np.hstack([_drawn(layout), real, _square(reference, side), pm1_to_image(fake)])
            )
        return rows


def _drawn(layout: torch.Tensor) -> NDArray[np.uint8]:
    """The condition as a picture. Layout maps: distance as brightness, direction as hue. Others:
    their first map, with the edges (the third) in grey."""
    maps = layout[0].numpy()
    if len(maps) < 5:
        grey = maps[0] if len(maps) < 3 else maps[0] * (1 - maps[2] / 2)
        return np.repeat((255 * grey[..., None]).astype(np.uint8), 3, axis=-1)
    distance, direction = maps[-1], maps[2:4]
    colour = np.stack(
        [distance, distance * (0.6 + 0.4 * direction[0]), distance * (0.6 + 0.4 * direction[1])],
        axis=-1,
    )
    return (255 * colour).astype(np.uint8)


def _square(image_u8: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    canvas = np.zeros((side, side, 3), np.uint8)
    canvas[: image_u8.shape[0], : image_u8.shape[1]] = image_u8
    return canvas
