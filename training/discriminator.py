"""The discriminators: patches (pix2pix, pix2pixHD, SPADE), and features of VGG19.

Axes: B batch, C condition channels, H W tile size.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

from training.baselines.initialise import initialise_normal
from training.vgg import WIDTHS, Taps

Features = list[Tensor]
"""Outputs of every layer of one scale, the last one being the patch scores."""

Norm = Literal["spectral_instance", "spectral", "instance", "batch"]
"""Normalisation of the layers between the first and the scores: of the weights (``spectral``),
of the features (``instance``, ``batch``), or both."""


class PatchDiscriminator(nn.Module):
    """Five 4 x 4 convolutions, the last of which gives the scores. The first three halve the side.

    The scores see patches of 70 px. At 256 px they form a 35 x 35 map with the padding of
    SPADE and pix2pixHD, 2, and a 30 x 30 map with that of pix2pix, 1.
    """

    def __init__(self, channels: int, width: int, norm: Norm, padding: int) -> None:
        super().__init__()
        stages: list[nn.Module] = [
            nn.Sequential(nn.Conv2d(channels, width, 4, 2, padding), nn.LeakyReLU(0.2))
        ]
        for index in range(1, 4):
            c_in = min(width * 2 ** (index - 1), 512)
            c_out = min(width * 2**index, 512)
            stride = 1 if index == 3 else 2
            # A norm of the features would take a bias away again.
            conv = nn.Conv2d(c_in, c_out, 4, stride, padding, bias=norm == "spectral")
            stages.append(nn.Sequential(*_normalised(conv, norm), nn.LeakyReLU(0.2)))
        stages.append(nn.Conv2d(c_out, 1, 4, 1, padding))
        self.stages = nn.ModuleList(stages)

    def forward(self, h: Tensor) -> Features:
        features = []
        for stage in self.stages:
            h = stage(h)
            features.append(h)
        return features


def _normalised(conv: nn.Conv2d, norm: Norm) -> list[nn.Module]:
    """The convolution, and what follows it before its activation."""
    match norm:
        case "spectral":
            return [spectral_norm(conv)]
        case "spectral_instance":
            return [spectral_norm(conv), nn.InstanceNorm2d(conv.out_channels)]
        case "instance":
            return [conv, nn.InstanceNorm2d(conv.out_channels)]
        case "batch":
            return [conv, nn.BatchNorm2d(conv.out_channels)]


class MultiScaleDiscriminator(nn.Module):
    """The same patch discriminator at full resolution, at half, and so on.

    As published, with 64 filters:

        SPADE      ``norm="spectral_instance"``
        pix2pixHD  ``norm="instance"``
        pix2pix    ``norm="batch", scales=1, padding=1``
    """

    def __init__(
        self,
        condition_channels: int,
        *,
        width: int = 64,
        scales: int = 2,
        norm: Norm = "spectral_instance",
        padding: int = 2,
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            PatchDiscriminator(condition_channels + 3, width, norm, padding) for _ in range(scales)
        )
        self._initialise(norm)

    def _initialise(self, norm: Norm) -> None:
        if norm in ("instance", "batch"):
            initialise_normal(self)
            return
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and not is_parametrized(module):
                # The others' scale is set by their spectral norm.
                gain = 0.02 if norm == "spectral_instance" else 1.0
                nn.init.xavier_normal_(module.weight, gain=gain)

    def forward(self, condition: Tensor, image_pm1: Tensor) -> list[Features]:
        """condition (B C H W) and image (B 3 H W) -> the features of each scale."""
        h = torch.cat([condition, image_pm1.to(condition.dtype)], 1)
        outputs = []
        for index, scale in enumerate(self.scales):
            if index:
                h = F.avg_pool2d(h, 3, 2, 1, count_include_pad=False)
            outputs.append(scale(h))
        return outputs


class FeatureDiscriminator(nn.Module):
    """Judges VGG19 features instead of pixels (after Projected GANs, Sauer et al., 2021).

    What makes a texture look real is already laid out in the features of a trained network; a
    small head on each of several layers learns to tell real from synthetic in a fraction of the
    steps that a discriminator on pixels needs. The features are those the perceptual loss
    computes anyway.
    """

    TAPS = (1, 2, 3, 4)
    """Layers with a head: relu2_1 to relu5_1."""

    def __init__(self, condition_channels: int, *, width: int = 64) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                spectral_norm(nn.Conv2d(WIDTHS[tap] + condition_channels, 2 * width, 3, padding=1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(2 * width, 2 * width, 3, padding=1)),
                nn.LeakyReLU(0.2),
                nn.Conv2d(2 * width, 1, 3, padding=1),
            )
            for tap in self.TAPS
        )

    def forward(self, condition: Tensor, taps: Taps, scales: list[Tensor]) -> list[Features]:
        """condition (B C H W), VGG19 taps and the scale of each -> the scores of each head."""
        outputs = []
        for tap, head in zip(self.TAPS, self.heads, strict=True):
            h = taps[tap] / scales[tap].to(taps[tap].dtype)
            layout = F.avg_pool2d(condition, condition.shape[-1] // h.shape[-1])
            outputs.append([head(torch.cat([h, layout.to(h.dtype)], 1))])
        return outputs
