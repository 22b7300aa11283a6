"""The public door: (instance mask, style) -> tile.

A tile is made in two steps. ``prepare`` computes what needs no network, in any thread;
``paint`` takes the results of several through the network, on the device.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model import device as devices
from model.checkpoint import Card, load_networks
from model.device import Precision
from model.encoder import StyleEncoder
from model.errors import StyleTooSmall, StyleUnreadable
from model.generator import Generator
from model.images import SMALLEST_STYLE_PX
from model.mask import LARGEST_MASK_PX, Labels
from model.mirror import mirrored, mirrored_maps
from model.pixels import channels_last, image_to_pm1, pm1_to_images
from model.side_by_side import SideBySide
from model.styles import StyleBank, StyleVector
from model.tile import (
    PaddedLayout,
    TileInput,
    padded_layout,
    padded_shape,
    tile_input,
)
from model.tiling import TiledLayout, Window, core, windows

# Style images are read in windows about as large as those of training; the style of a larger
# image is the mean over its windows.
_STYLE_WINDOW_PX = 256
_STYLE_WINDOWS = 16

# A batch is full at max_batch tiles of 512 px and their margin; of larger ones it takes fewer,
# so that the memory a batch needs has a bound.
_FULL_TILE_PX = 576 * 576


@dataclass(frozen=True)
class StyleInput:
    """The windows of a style image that are read: (h, w, 3) uint8 each, all of one shape."""

    windows: tuple[NDArray[np.uint8], ...]


class Synthesizer:
    """A loaded checkpoint.

    >>> synthesizer = Synthesizer.load(Path("checkpoints/sian-release.safetensors"))
    >>> tile = synthesizer.synthesize(mask, synthesizer.styles.pick("kidney", seed=1), seed=1)

    ``encode``, ``paint`` and what is made of them run the network, and belong in one thread.
    Everything else may be called from any number of threads.

    Args:
        max_batch: tiles in a full batch, see ``batch_size``.
        precision: of the convolutions. Colours are computed in full precision always.
        pad_batches: fill batches up to ``batch_size``, by default on every device but the CPU.
            A GPU adds in another order for another batch size; so the bytes of a tile
            don't depend on how many were painted with it. The CPU gains nothing from batches
            and paints tiles side by side.
    """

    def __init__(
        self,
        generator: Generator,
        encoder: StyleEncoder,
        card: Card,
        styles: StyleBank,
        *,
        max_batch: int = 8,
        precision: Precision = "fp32",
        pad_batches: bool | None = None,
    ) -> None:
        self.generator, self.encoder = generator, encoder
        self.card, self.styles = card, styles
        self.device = next(generator.parameters()).device
        self.max_batch = max_batch
        self.precision = precision
        self.pad_batches = self.device.type != "cpu" if pad_batches is None else pad_batches
        self._side_by_side = SideBySide()

    @classmethod
    def load(
        cls,
        checkpoint: Path,
        *,
        device: str = "cpu",
        precision: Precision | None = None,
        max_batch: int = 8,
    ) -> "Synthesizer":
        """Load and verify a checkpoint.

        Args:
            device: cpu, mps, cuda or cuda:N.
            precision: on CUDA, bf16 unless given. CPU and MPS compute in fp32.
            max_batch: tiles in a full batch.

        Raises:
            CheckpointError: the one that applies.
            SettingsInvalid: there is no such device, or it cannot compute in this precision.
        """
        precision = (precision or "bf16") if device.startswith("cuda") else "fp32"
        devices.check_device(device, precision)
        devices.compute_reproducibly(device)
        generator, encoder, card = load_networks(checkpoint, device)
        styles = StyleBank.load(checkpoint)
        return cls(generator, encoder, card, styles, max_batch=max_batch, precision=precision)

    def encode_style(self, image_u8: NDArray[np.uint8]) -> StyleVector:
        """Style vector (D,) float32 of a reference image (H, W, 3) uint8, 64 px a side or more.

        The image is taken to have the checkpoint's resolution (``card.mpp``).

        Raises:
            StyleUnreadable: not (H, W, 3) uint8.
            StyleTooSmall
        """
        return self.encode(self.prepare_style(image_u8))

    def prepare_style(self, image_u8: NDArray[np.uint8]) -> StyleInput:
        """The first, networkless step of ``encode_style``; raises what it raises."""
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
        return StyleInput(tuple(image_u8[w].copy() for w in style_windows(height, width)))

    @torch.inference_mode()
    def encode(self, style_input: StyleInput) -> StyleVector:
        """The second step of ``encode_style``: style vector (D,) float32."""
        vectors = [
            self.encoder.encode(image_to_pm1(window).to(self.device))
            for window in style_input.windows
        ]
        return np.asarray(torch.cat(vectors).mean(0).cpu().numpy(), np.float32)

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
        return self.paint([self.prepare(mask_labels, style, seed=seed)])[0]

    def prepare(self, mask_labels: Labels, style: StyleVector, *, seed: int) -> TileInput:
        """The first, networkless step of ``synthesize``; raises what it raises."""
        return self.tile(self.layout(mask_labels), style, seed=seed)

    def layout(self, mask_labels: Labels) -> PaddedLayout:
        """The part of ``prepare`` that all tiles of one mask share."""
        return padded_layout(mask_labels, self.generator.config)

    def tile(
        self,
        layout: PaddedLayout,
        style: StyleVector,
        *,
        seed: int,
        origin: tuple[int, int] = (0, 0),
    ) -> TileInput:
        """The part of ``prepare`` that is a tile's own.

        origin: (top, left) of a window of a larger tile, see ``model.tiling``.
        """
        return tile_input(
            layout,
            style,
            seed=seed,
            config=self.generator.config,
            noise_shapes=self.generator.noise_shapes(*layout.shape),
            origin=origin,
        )

    def windows(self, size: tuple[int, int]) -> list[Window]:
        """The windows of a mask of ``size`` (H, W) that is too large for one pass, or one."""
        return windows(size, self.generator.config)

    def tiled_layout(self, mask_labels: Labels) -> TiledLayout:
        """The layout of a large mask, from which ``window`` makes a window's. Raises what it
        raises."""
        return TiledLayout(mask_labels, self.generator.config)

    def window(
        self, layout: TiledLayout, window: Window, style: StyleVector, *, seed: int
    ) -> TileInput:
        """A window of a large tile, ready for ``paint``; what ``core`` cuts out is kept."""
        return self.tile(layout.window(window), style, seed=seed, origin=(window.top, window.left))

    def core(self, window: Window, image_u8: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What is kept of a painted window."""
        return core(window, image_u8, self.generator.config)

    def synthesize_large(
        self, mask_labels: Labels, style: StyleVector, *, seed: int
    ) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
        """As ``synthesize`` for masks up to 8192 px a side: parts of the tile, row by row, each
        with the window whose ``rows`` and ``cols`` say where it belongs.

        Memory does not grow with the number of windows, but for the mask's own.

        Raises:
            As ``synthesize``, before the first part.
        """
        layout = self.tiled_layout(mask_labels)
        places = self.windows(layout.size)
        inputs = (self.window(layout, place, style, seed=seed) for place in places)
        for place, image_u8 in zip(places, self.paint_each(inputs), strict=True):
            yield place, self.core(place, image_u8)

    def padded_shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """``TileInput.shape`` of the tiles of a mask of ``size`` (H, W)."""
        return padded_shape(size, self.generator.config)

    def batch_size(self, shape: tuple[int, int]) -> int:
        """How many tiles of a padded shape make a full batch: ``max_batch``, fewer of large
        ones, one at least."""
        return max(1, min(self.max_batch, self.max_batch * _FULL_TILE_PX // (shape[0] * shape[1])))

    def at_once(self, shape: tuple[int, int]) -> int:
        """How many of them are painted together: a batch, or on the CPU one for each core, as
        long as they take no more memory than a tile of the largest size."""
        if self.pad_batches:
            return self.batch_size(shape)
        largest = self.padded_shape((LARGEST_MASK_PX, LARGEST_MASK_PX))
        in_memory = math.prod(largest) // math.prod(shape)
        return max(1, min(self.max_batch, in_memory, torch.get_num_threads()))

    def paint(
        self, tiles: Sequence[TileInput], *, at_once: int | None = None
    ) -> list[NDArray[np.uint8]]:
        """The second step of ``synthesize``, for tiles that have one shape: an image each.

        Args:
            at_once: for a device that has too little memory for ``at_once(shape)``. On a GPU,
                batches of another size may change the last bit of a colour.
        """
        if len({tile.shape for tile in tiles}) > 1:
            raise ValueError("the tiles of a batch must have one padded shape")
        images: list[NDArray[np.uint8]] = []
        step = (at_once or self.at_once(tiles[0].shape)) if tiles else 1
        for first in range(0, len(tiles), step):
            together = tiles[first : first + step]
            if self.pad_batches:
                images += self._pass(together, size=step)
            else:
                images += self._side_by_side.map(self._alone, together)
        return images

    def paint_each(self, tiles: Iterable[TileInput]) -> Iterator[NDArray[np.uint8]]:
        """As ``paint`` for any number of tiles: those that are painted together are taken, and
        their images given, before the next are taken."""
        tiles = iter(tiles)
        for first in tiles:
            yield from self.paint([first, *islice(tiles, self.at_once(first.shape) - 1)])

    def _alone(self, tile: TileInput) -> NDArray[np.uint8]:
        return self._pass([tile], size=1)[0]

    @torch.inference_mode()
    def _pass(self, tiles: Sequence[TileInput], size: int) -> list[NDArray[np.uint8]]:
        """Up to ``size`` tiles through the network, as a batch of exactly that size."""

        def batch(arrays: Sequence[NDArray[Any]]) -> Tensor:
            real = torch.from_numpy(np.stack(arrays)).to(self.device)
            filling = real[-1:].expand(size - len(arrays), *real.shape[1:])
            return torch.cat([real, filling]) if len(filling) else real

        direction = self.generator.config.direction
        maps = [mirrored_maps(tile.layout.maps, tile.mirror, direction) for tile in tiles]
        layout = channels_last(batch(maps))
        style = batch([tile.style for tile in tiles])
        stages = zip(*(_mirrored_noise(tile) for tile in tiles), strict=True)
        noise = [batch(planes) for planes in stages]
        with devices.computing_in(self.precision, self.device):
            painted = self.generator(layout, style, noise)
        images = pm1_to_images(painted[: len(tiles)])
        return [_cropped(image, tile) for image, tile in zip(images, tiles, strict=True)]


def _mirrored_noise(tile: TileInput) -> list[NDArray[np.float32]]:
    return [mirrored(planes, tile.mirror, axes=(1, 2)) for planes in tile.noise]


def _cropped(image_u8: NDArray[np.uint8], tile: TileInput) -> NDArray[np.uint8]:
    """The tile, as in the mask, without its margin."""
    image_u8 = mirrored(image_u8, tile.mirror, axes=(0, 1))
    margin, (height, width) = tile.layout.margin, tile.layout.size
    return image_u8[margin : margin + height, margin : margin + width].copy()


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
