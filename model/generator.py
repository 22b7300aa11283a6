"""The generator: seven SIAN residual blocks from a coarse start to a tile (Sec. 2.1, Fig. 2).

Axes: B batch, C channels, H W height and width of the tile, h w of a coarser scale, D length
of the style vector.
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.colour import apply_palette
from model.config import NetworkConfig
from model.layers import Conv2d, Linear
from model.layout import DIRECTION_CHANNELS
from model.sian import Maps, Sian, plus

_NOISE_SCALE = 0.1  # at the start of training; then learned, one per channel

# The stages at full resolution run in bands of rows when only the result is wanted: their
# feature maps are most of the memory of a tile. A pixel depends on eight rows around it there
# (six 3 x 3 convolutions in a row, and the upsampling), so bands with this margin join without
# a trace.
_BAND_ROWS = 256
_BAND_MARGIN = 8


class SianResBlk(nn.Module):
    """SIAN-ReLU-conv-SIAN-ReLU-conv, with SIAN-ReLU-conv as the skip connection."""

    def __init__(self, in_channels: int, out_channels: int, config: NetworkConfig) -> None:
        super().__init__()
        middle = min(in_channels, out_channels)
        pad = config.padding
        self.sian_0 = Sian(in_channels, config)
        self.conv_0 = Conv2d(in_channels, middle, 3, padding=1, padding_mode=pad)
        self.sian_1 = Sian(middle, config)
        self.conv_1 = Conv2d(middle, out_channels, 3, padding=1, padding_mode=pad)
        self.sian_skip: Sian | None = None
        if config.skip == "always" or in_channels != out_channels:
            self.sian_skip = Sian(in_channels, config)
            self.conv_skip = Conv2d(in_channels, out_channels, 1, bias=False)
        self.noise_scale: nn.Parameter | None = None
        if config.noise:
            self.noise_scale = nn.Parameter(torch.full((in_channels + middle, 1, 1), _NOISE_SCALE))
            self._noise_split = (in_channels, middle)

    def forward(self, h: Tensor, maps: Maps, style: Tensor, noise: Tensor | None) -> Tensor:
        """h (B C h w), noise (B 2 h w) or None -> (B C' h w)."""
        skip = h
        if self.sian_skip is not None:
            skip = self.conv_skip(torch.relu_(self.sian_skip(h, maps, style)))
        if self.noise_scale is not None and noise is not None:
            scale_0, scale_1 = self.noise_scale.split(self._noise_split)
            h = torch.addcmul(h, scale_0, noise[:, 0:1])
        h = self.conv_0(torch.relu_(self.sian_0(h, maps, style)))
        if self.noise_scale is not None and noise is not None:
            h = plus(h, scale_1 * noise[:, 1:2])
        h = self.conv_1(torch.relu_(self.sian_1(h, maps, style)))
        return plus(h, skip)


class Generator(nn.Module):
    """Layout maps and a style vector to an image, in one pass.

    H and W must be multiples of ``config.stride`` and at least twice it.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.widths[0]
        self.start: nn.Module
        if config.start == "style":
            self.start = Linear(config.style_dim, channels * config.start_side**2)
        else:
            inputs = config.condition_channels + config.noise + config.nucleus_noise
            self.start = Conv2d(inputs, channels, 3, padding=1, padding_mode=config.padding)
        self.blocks = nn.ModuleList(
            SianResBlk(c_in, c_out, config)
            for c_in, c_out in itertools.pairwise((channels, *config.widths))
        )
        self.to_image = Conv2d(config.widths[-1], 3, 3, padding=1, padding_mode=config.padding)

    def noise_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """(planes, h, w) of the noise each stage takes for a tile of this size, coarse to fine:
        the start first, then the blocks. Empty if the network uses no noise."""
        if not self.config.noise:
            return []
        shapes = []
        if self.config.start == "layout":
            shapes.append((1, height // self.config.stride, width // self.config.stride))
        for factor in self._factors():
            shapes.append((2, height // factor, width // factor))
        return shapes

    def forward(self, layout: Tensor, style: Tensor, noise: Sequence[Tensor] = ()) -> Tensor:
        """Synthesize.

        Args:
            layout: (B, 2 + P + 1, H, W) semantic, direction and distance maps.
            style: (B, D) style vectors.
            noise: standard normal, one (B, planes, h, w) per entry of ``noise_shapes``; last, with
                ``nucleus_noise``, (B, 1, H, W) of one value a nucleus, 0 in the stroma.

        Returns:
            (B, 3, H, W) image in [-1, 1].
        """
        planes = list(noise)
        if self.config.nucleus_noise:
            layout = torch.cat([layout, planes.pop()], 1)
        pyramid = self._pyramid(layout)
        factors = self._factors()
        h = self._start(layout, style, planes)
        for block, here, after in zip(self.blocks[:-1], factors[:-1], factors[1:], strict=True):
            h = block(h, pyramid[here], style, planes.pop(0) if planes else None)
            if after < here and after > 1:
                h = self._upsampled(h)
        return self._finish(h, pyramid[1], style, planes.pop(0) if planes else None)

    def _finish(self, h: Tensor, maps: Maps, style: Tensor, noise: Tensor | None) -> Tensor:
        """The last upsampling, block and convolution: (B C H/2 W/2) -> image (B 3 H W)."""
        height = maps.semantic.shape[-2]
        if torch.is_grad_enabled() or self.training or height <= _BAND_ROWS:
            return self._paint(self._upsampled(h), maps, style, noise)
        bands = []
        for top in range(0, height, _BAND_ROWS):
            bottom = min(top + _BAND_ROWS, height)
            first, last = max(top - _BAND_MARGIN, 0), min(bottom + _BAND_MARGIN, height)
            band = self._paint(
                self._upsampled(h[..., first // 2 : last // 2, :]),
                maps.rows(first, last),
                style,
                None if noise is None else noise[..., first:last, :],
            )
            bands.append(band[..., top - first : bottom - first, :])
        return torch.cat(bands, dim=2)

    def _paint(self, h: Tensor, maps: Maps, style: Tensor, noise: Tensor | None) -> Tensor:
        image = self.to_image(F.leaky_relu_(self.blocks[-1](h, maps, style, noise), 0.2))
        if self.config.colour_head:
            return apply_palette(image, style)
        return torch.tanh(image)

    def _upsampled(self, h: Tensor) -> Tensor:
        if self.config.upsampling == "nearest":
            return F.interpolate(h, scale_factor=2, mode="nearest")
        return F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)

    def _start(self, layout: Tensor, style: Tensor, planes: list[Tensor]) -> Tensor:
        stride = self.config.stride
        if self.config.start == "layout":
            read = self.config.condition_channels + self.config.nucleus_noise
            coarse = F.avg_pool2d(layout[:, :read], stride)
            if self.config.noise:
                coarse = torch.cat([coarse, planes.pop(0)], 1)
            return torch.as_tensor(self.start(coarse))
        size = (layout.shape[-2] // stride, layout.shape[-1] // stride)
        square = (self.config.start_side, self.config.start_side)
        h = self.start(style).unflatten(1, (-1, *square))
        return h if size == square else F.interpolate(h, size=size, mode="nearest")

    def _factors(self) -> list[int]:
        """Tile pixels per feature pixel in each block."""
        factor = self.config.stride
        factors = []
        for number in range(1, len(self.config.widths) + 1):
            factors.append(factor)
            if number in self.config.upsample_after:
                factor //= 2
        return factors

    def _pyramid(self, layout: Tensor) -> dict[int, Maps]:
        """The layout maps at every scale the blocks work at, computed once per tile."""
        split = (2, DIRECTION_CHANNELS[self.config.direction], 1 + self.config.nucleus_noise)
        pyramid = {}
        for factor in set(self._factors()):
            semantic, direction, distance = layout.split(split, dim=1)
            if factor > 1:
                semantic = _coarser(semantic, factor, self.config.coarse_semantic)
                direction = _coarser(direction, factor, self.config.coarse_instance)
                distance = _coarser(distance, factor, self.config.coarse_instance)
            pyramid[factor] = Maps(semantic, direction, distance)
        return pyramid


def _coarser(maps: Tensor, factor: int, how: str) -> Tensor:
    if how == "average":
        return F.avg_pool2d(maps, factor)
    return F.interpolate(maps, scale_factor=1 / factor, mode="nearest")
