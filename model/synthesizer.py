"""The public door: (instance mask, style) -> tile."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.checkpoint import Card, load_networks
from model.encoder import StyleEncoder
from model.errors import (
    MaskTooLarge,
    MaskTooSmall,
    ParameterInvalid,
    StyleTooSmall,
    StyleUnreadable,
)
from model.generator import Generator
from model.layout import layout_maps
from model.mask import Labels
from model.noise import noise_window
from model.pixels import channels_last, image_to_pm1, pm1_to_image
from model.styles import StyleBank, StyleVector

SMALLEST_MASK_PX = 16
LARGEST_MASK_PX = 1024
SMALLEST_STYLE_PX = 64

# Style images are read in windows about as large as those of training; the style of a larger
# image is the mean over its windows.
_STYLE_WINDOW_PX = 256
_STYLE_WINDOWS = 16


class Synthesizer:
    """A loaded checkpoint. Not safe for use from several threads at once.

    >>> synthesizer = Synthesizer.load(Path("checkpoints/sian-release.safetensors"))
    >>> tile = synthesizer.synthesize(mask, synthesizer.styles.pick("kidney", seed=1), seed=1)
    """

    def __init__(
        self, generator: Generator, encoder: StyleEncoder, card: Card, styles: StyleBank
    ) -> None:
        self.generator, self.encoder = generator, encoder
        self.card, self.styles = card, styles
        self.device = next(generator.parameters()).device

    @classmethod
    def load(cls, checkpoint: Path, *, device: str = "cpu") -> "Synthesizer":
        """Load and verify a checkpoint; raises the CheckpointError that applies."""
        generator, encoder, card = load_networks(checkpoint, device)
        return cls(generator, encoder, card, StyleBank.load(checkpoint))

    @torch.inference_mode()
    def encode_style(self, image_u8: NDArray[np.uint8]) -> StyleVector:
        """Style vector (D,) float32 of a reference image (H, W, 3) uint8, 64 px a side or more.

        The image is taken to have the checkpoint's resolution (``card.mpp``).

        Raises:
            StyleUnreadable: not (H, W, 3) uint8.
            StyleTooSmall
        """
        if image_u8.ndim != 3 or image_u8.shape[2] != 3 or image_u8.dtype != np.uint8:
            raise StyleUnreadable(
                f"The style image is {image_u8.dtype} of shape {image_u8.shape}; it must be uint8 "
                "of shape (height, width, 3). Convert it with PIL's image.convert('RGB')."
            )
        height, width = image_u8.shape[:2]
        if min(height, width) < SMALLEST_STYLE_PX:
            raise StyleTooSmall(
                f"The style image is {width} x {height} px; the texture of a stain needs at least "
                f"{SMALLEST_STYLE_PX} px a side. Send a larger crop."
            )
        vectors = [
            self.encoder.encode(image_to_pm1(image_u8[window]).to(self.device))
            for window in style_windows(height, width)
        ]
        return np.asarray(torch.cat(vectors).mean(0).cpu().numpy(), np.float32)

    @torch.inference_mode()
    def synthesize(
        self, mask_labels: Labels, style: StyleVector, *, seed: int
    ) -> NDArray[np.uint8]:
        """A tile (H, W, 3) uint8 with its nuclei where the instance mask (H, W) has them.

        Args:
            mask_labels: integers, 0 = stroma, 16 to 1024 px a side.
            style: (D,) from ``encode_style`` or ``styles``.
            seed: 0 to 2**64 - 1; the same inputs and seed give the same bytes.

        Raises:
            MaskTooSmall, MaskTooLarge, ParameterInvalid; MaskShape, MaskFloat, MaskNegative.
        """
        self._check(mask_labels, style, seed)
        height, width = mask_labels.shape
        layout = self._padded(layout_maps(mask_labels, self.generator.config.direction).stacked())
        noise = [
            self._noise(seed, stage, shape)
            for stage, shape in enumerate(self.generator.noise_shapes(*layout.shape[-2:]))
        ]
        style_tensor = torch.from_numpy(style.astype(np.float32))[None].to(self.device)
        image = self.generator(layout, style_tensor, noise)
        margin = self._margin
        return pm1_to_image(image[..., margin : margin + height, margin : margin + width])

    @property
    def _margin(self) -> int:
        """Pixels synthesized around the tile and cut off again.

        Padding inside the network leaves its mark on the outermost pixels, as a frame; two
        pixels of the coarsest scale take it away. Only a fully convolutional network can
        afford to draw beyond the tile.
        """
        config = self.generator.config
        return 2 * config.stride if config.start == "layout" else 0

    def _padded(self, layout: NDArray[np.float32]) -> Tensor:
        """(1, C, H', W'): with the margin, and sides rounded up to what the generator takes.

        The maps are continued, not the labels: a nucleus cut by the border keeps its centroid.
        """
        stride, margin = self.generator.config.stride, self._margin
        pad = []
        for side in layout.shape[-2:]:
            target = max(-(-(side + 2 * margin) // stride), 2) * stride
            pad.append((margin, target - margin - side))
        padded = np.pad(layout, [(0, 0), *pad], mode="edge")
        return channels_last(torch.from_numpy(padded)[None].to(self.device))

    def _noise(self, seed: int, stage: int, shape: tuple[int, int, int]) -> Tensor:
        planes, height, width = shape
        stack = np.stack(
            [
                noise_window(seed, 2 * stage + p, top=0, left=0, height=height, width=width)
                for p in range(planes)
            ]
        )
        return torch.from_numpy(stack)[None].to(self.device)

    def _check(self, mask_labels: Labels, style: StyleVector, seed: int) -> None:
        size = " x ".join(str(side) for side in reversed(mask_labels.shape))
        if mask_labels.ndim == 2 and min(mask_labels.shape) < SMALLEST_MASK_PX:
            raise MaskTooSmall(
                f"The instance mask is {size} px; the smallest tile is "
                f"{SMALLEST_MASK_PX} px a side. Pad it with zeros."
            )
        if max(mask_labels.shape) > LARGEST_MASK_PX:
            raise MaskTooLarge(
                f"The instance mask is {size} px; the largest tile is {LARGEST_MASK_PX} px a side. "
                "Cut it into smaller masks."
            )
        if style.shape != (self.card.style_dim,) or not np.isfinite(style).all():
            raise ParameterInvalid(
                f"The style vector has shape {style.shape}; this checkpoint takes "
                f"{self.card.style_dim} finite numbers. Encode the style with this checkpoint."
            )
        if not 0 <= seed < 2**64:
            raise ParameterInvalid(f"The seed is {seed}; it must be between 0 and 2**64 - 1.")


def style_windows(height: int, width: int) -> list[tuple[slice, slice]]:
    """Equal windows of at most 256 px that cover an image; sixteen spread over it if more."""
    rows, cols = -(-height // _STYLE_WINDOW_PX), -(-width // _STYLE_WINDOW_PX)
    tall, wide = height // rows, width // cols
    windows = [
        (slice(r * tall, (r + 1) * tall), slice(c * wide, (c + 1) * wide))
        for r in range(rows)
        for c in range(cols)
    ]
    spread = np.linspace(0, len(windows) - 1, min(len(windows), _STYLE_WINDOWS)).round()
    return [windows[int(index)] for index in spread]
