"""Stand-ins for the released checkpoint and the network, where neither is the point."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.checkpoint import read_card, save_checkpoint
from model.styles import StyleBank
from tests.networks import TINY

ORGANS = ("colon", "kidney", "liver")


def small_checkpoint(folder: Path) -> Path:
    """A whole checkpoint of the real format: random weights, a few thousand parameters."""
    import torch

    from model.encoder import build_encoder
    from model.generator import Generator

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    styles = {
        organ: rng.normal(size=(count, TINY.style_dim)).astype(np.float32)
        for count, organ in enumerate(ORGANS, start=2)
    }
    card = {
        "name": "small",
        "licence": "CC0-1.0",
        "mpp": 0.25,
        "styles": {
            organ: [{"slide": f"{organ}-{k}"} for k in range(len(rows))]
            for organ, rows in styles.items()
        },
        "training": {"steps": 0},
        "code_version": "0",
    }
    path = folder / "small.safetensors"
    save_checkpoint(path, Generator(TINY), build_encoder(TINY), styles, card)
    return path


class FakeTile(NamedTuple):
    """For ``TileInput``."""

    labels: NDArray[np.integer]
    style: NDArray[np.float32]
    seed: int


class FakeSynthesizer:
    """Paints every nucleus dark and the stroma in a grey that follows the seed.

    before: called before each tile, with how many were made; may raise or wait.
    together: how many tiles of a batch of eight are painted at once.
    """

    def __init__(
        self,
        checkpoint: Path,
        before: Callable[[int], None] = lambda made: None,
        *,
        together: int = 1,
    ):
        self.card = read_card(checkpoint)
        self.styles = StyleBank.load(checkpoint)
        self.before = before
        self.together = together
        self.made = 0
        self.passes: list[list[int]] = []  # the seeds of each

    def encode_style(self, image_u8: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.encode(self.prepare_style(image_u8))

    def prepare_style(self, image_u8: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return image_u8

    def encode(self, style_input: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full(self.card.style_dim, style_input.mean(), np.float32)

    def synthesize(
        self, mask_labels: NDArray[np.integer], style: NDArray[np.float32], *, seed: int
    ) -> NDArray[np.uint8]:
        return self.paint([self.tile(self.layout(mask_labels), style, seed=seed)])[0]

    def layout(self, mask_labels: NDArray[np.integer]) -> NDArray[np.integer]:
        return mask_labels

    def tile(
        self, layout: NDArray[np.integer], style: NDArray[np.float32], *, seed: int
    ) -> FakeTile:
        return FakeTile(layout, style, seed)

    def padded_shape(self, size: tuple[int, int]) -> tuple[int, int]:
        return size

    def batch_size(self, shape: tuple[int, int]) -> int:
        return 8

    def at_once(self, shape: tuple[int, int]) -> int:
        return self.together

    def paint(
        self, tiles: Sequence[FakeTile], *, at_once: int | None = None
    ) -> list[NDArray[np.uint8]]:
        self.passes.append([tile.seed for tile in tiles])
        return [self._painted(tile) for tile in tiles]

    def paint_each(self, tiles: Iterable[FakeTile]) -> Iterator[NDArray[np.uint8]]:
        tiles = iter(tiles)
        for first in tiles:
            yield from self.paint([first, *islice(tiles, self.together - 1)])

    def _painted(self, tile: FakeTile) -> NDArray[np.uint8]:
        self.before(self.made)
        self.made += 1
        grey = np.where(tile.labels > 0, 40, 100 + tile.seed % 100).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)


def label_mask(side: int = 64) -> NDArray[np.int32]:
    """(side, side) with four square nuclei, ids 1, 2, 5 and 300."""
    mask = np.zeros((side, side), np.int32)
    half, width = side // 2, side // 4
    for index, nucleus in enumerate((1, 2, 5, 300)):
        top, left = divmod(index, 2)
        mask[top * half + 4 : top * half + width, left * half + 4 : left * half + width] = nucleus
    return mask


def png(array: NDArray[np.generic]) -> bytes:
    """Any 8-bit or 16-bit array as PNG."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def mask_png(side: int = 64) -> bytes:
    """``label_mask`` as 16-bit label PNG."""
    return png(label_mask(side).astype(np.uint16))


def style_png(side: int = 80, seed: int = 0) -> bytes:
    """A pink picture with some texture."""
    rng = np.random.default_rng(seed)
    tint = np.array([220, 150, 190])
    return png((tint + rng.integers(-30, 30, (side, side, 3))).clip(0, 255).astype(np.uint8))
