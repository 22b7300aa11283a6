"""SegNet (Badrinarayanan, Kendall and Cipolla, IEEE TPAMI 2017)."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.segmentation.instances import CLASSES

STRIDE = 32
"""Height and width of an image must be multiples of it: five poolings."""

# Of the thirteen convolutions of VGG16, stage by stage: how many, and widths over the first's.
_COUNTS = (2, 2, 3, 3, 3)
_FACTORS = (1, 2, 4, 8, 8)


class SegNet(nn.Module):
    """An encoder of VGG16's convolutions, and their mirror image as decoder.

    The decoder puts each value back where the encoder's pooling found its maximum, so that edges
    stay where they were. Every convolution but the last is followed by batch norm and ReLU.

    width: filters of the first stage; 64 in the paper.
    classes: channels of the output.
    """

    def __init__(self, width: int = 64, classes: int = CLASSES) -> None:
        super().__init__()
        widths = [width * factor for factor in _FACTORS]
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        before = 3
        for here, count in zip(widths, _COUNTS, strict=True):
            self.encoder.append(_stage([before, *[here] * count]))
            # The mirror image of the first convolution, from the image, is the classifier.
            back = [] if before == 3 else [before]
            self.decoder.insert(0, _stage([*[here] * count, *back]))
            before = here
        self.classifier = nn.Conv2d(width, classes, 3, padding=1)
        self.apply(_initialise)

    def forward(self, image_pm1: Tensor) -> Tensor:
        """(B 3 H W) in [-1, 1] -> scores of the classes (B C H W), before the softmax.

        H and W are multiples of ``STRIDE``.
        """
        h, corners = image_pm1, []
        for stage in self.encoder:
            h, corner = max_pool(stage(h))
            corners.append(corner)
        for stage in self.decoder:
            h = stage(max_unpool(h, corners.pop()))
        scores: Tensor = self.classifier(h)
        return scores


def max_pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """The maximum of each 2 x 2 window, (B C H/2 W/2), and the corner (0..3, row by row) of the
    window where it was, uint8 of the same shape. H and W are even."""
    pooled, places = F.max_pool2d(x, 2, return_indices=True)
    height, width = x.shape[-2:]
    rows = torch.arange(0, height, 2, device=x.device)
    columns = torch.arange(0, width, 2, device=x.device)
    offsets = places - (rows[:, None] * width + columns)  # 0, 1, width, width + 1
    return pooled, ((offsets >= width) * 2 + (offsets & 1)).to(torch.uint8)


def max_unpool(x: Tensor, corner: Tensor) -> Tensor:
    """Each value at its corner of a 2 x 2 window, 0 elsewhere: (B C H W) -> (B C 2H 2W).

    The same as torch's ``max_unpool2d``, which PyTorch refuses to compute once deterministic
    algorithms were asked for, and which has no channels-last form on GPUs.
    """
    height, width = x.shape[-2:]
    corners = torch.arange(4, dtype=torch.uint8, device=x.device).view(2, 2)
    here = F.interpolate(corner, scale_factor=2.0, mode="nearest") == corners.repeat(height, width)
    return F.interpolate(x, scale_factor=2.0, mode="nearest") * here


def _stage(widths: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _initialise(module: nn.Module) -> None:
    """He et al. 2015: keeps the variance of activations through ReLUs."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
