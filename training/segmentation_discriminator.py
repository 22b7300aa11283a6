"""A discriminator that names what it sees (after OASIS, Sushko et al., 2021).

For every pixel: background, inside or boundary of a nucleus, or synthetic. It is never shown the
mask; to please it, the generator has to draw every nucleus so that it is recognised, with the
boundary where the mask has it. It reads VGG19's features, like ``FeatureDiscriminator``, for the
same reasons; OASIS has an encoder of its own there, mixes real and synthetic crops (LabelMix), and
no other discriminator.

Axes: B batch, H W side of the crop.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from training.segmentation.instances import CLASSES
from training.vgg import WIDTHS, Taps


class SegmentationDiscriminator(nn.Module):
    """From relu5_1 up to full resolution, joined by the finer layers on the way."""

    def __init__(self, *, width: int = 64) -> None:
        super().__init__()
        widths = [width // 2, width // 2, width, 2 * width, 2 * width]
        self.lateral = nn.ModuleList(
            spectral_norm(nn.Conv2d(c_in, c_out, 1))
            for c_in, c_out in zip(WIDTHS, widths, strict=True)
        )
        self.up = nn.ModuleList(
            spectral_norm(nn.Conv2d(coarse + fine, fine, 3, padding=1))
            for fine, coarse in pairwise(widths)
        )
        self.to_classes = nn.Conv2d(widths[0], CLASSES + 1, 3, padding=1)

    def forward(self, taps: Taps, scales: list[Tensor]) -> Tensor:
        """VGG19 taps and the scale of each -> logits (B, CLASSES + 1, H, W), the last for
        synthetic pixels."""
        joined = [
            F.leaky_relu(layer(tap / scale.to(tap.dtype)), 0.2)
            for layer, tap, scale in zip(self.lateral, taps, scales, strict=True)
        ]
        h = joined.pop()
        for layer, fine in zip(reversed(self.up), reversed(joined), strict=True):
            h = F.interpolate(h, scale_factor=2.0, mode="bilinear")
            h = F.leaky_relu(layer(torch.cat([h, fine], 1)), 0.2)
        logits: Tensor = self.to_classes(h)
        return logits
