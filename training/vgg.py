"""VGG19 features of images: for the perceptual loss and the feature discriminator."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.errors import WeightsMissing
from model.pixels import channels_last
from training.metrics.features import UNREADABLE, read_weights

# Convolutions of VGG19 up to relu5_1 in torchvision's numbering; "M" is a max pooling.
_PLAN = (0, 2, "M", 5, 7, "M", 10, 12, 14, 16, "M", 19, 21, 23, 25, "M", 28)
_TAPPED = (0, 5, 10, 19, 28)

Taps = list[Tensor]
"""Activations at relu1_1 to relu5_1, (B, WIDTHS[i], H / 2**i, W / 2**i)."""

WIDTHS = (64, 128, 256, 512, 512)

# The Oxford weights expect 0..255 minus this mean, torchvision's the ImageNet normalisation.
_OXFORD = ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0))
_TORCHVISION = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


class Vgg19(nn.Module):
    """The convolutions of VGG19 up to relu5_1, frozen."""

    def __init__(self, state: dict[str, Tensor], *, oxford: bool) -> None:
        super().__init__()
        self.convs = nn.ModuleDict()
        for index in (step for step in _PLAN if isinstance(step, int)):
            weight, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
            conv.weight.data.copy_(weight)
            conv.bias.data.copy_(bias)  # type: ignore[union-attr]
            self.convs[str(index)] = conv
        mean, deviation = _OXFORD if oxford else _TORCHVISION
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    @classmethod
    def load(cls, path: Path) -> "Vgg19":
        """From a file of VGG19 weights with torchvision's names: ``.safetensors`` (Oxford
        weights) or torchvision's own ``.pth`` (read without executing code).

        Raises:
            WeightsMissing: no such file, or not VGG19.
        """
        if not path.is_file():
            raise WeightsMissing(
                f"No VGG19 weights at {path}. Training needs them for its perceptual loss; "
                "docs/training.md says where to get them. Pass --vgg PATH."
            )
        oxford = path.suffix == ".safetensors"
        try:
            return cls(read_weights(path), oxford=oxford)
        except UNREADABLE as error:
            raise WeightsMissing(
                f"{path} does not hold VGG19's convolutions up to relu5_1 "
                f"(features.0 to features.28): {error!r}. docs/training.md says where to get them."
            ) from error

    def forward(self, image_pm1: Tensor) -> Taps:
        """(B 3 H W) in [-1, 1] -> the five tapped activations."""
        h = channels_last(((image_pm1.float() + 1) * 127.5 - self.mean) / self.deviation)
        taps = []
        for step in _PLAN:
            if isinstance(step, str):
                h = F.max_pool2d(h, 2)
                continue
            h = torch.relu(self.convs[str(step)](h))
            if step in _TAPPED:
                taps.append(h)
        return taps
