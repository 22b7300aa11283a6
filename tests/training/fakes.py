"""Stand-ins for networks of the trainer, where they are not the point."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.vgg import WIDTHS, Taps


class CheapFeatures(nn.Module):
    """For VGG19: colours at five scales, repeated to VGG19's widths; positive, as after ReLU."""

    def forward(self, image_pm1: Tensor) -> Taps:
        h = image_pm1.float() + 1.5
        taps = []
        for width in WIDTHS:
            taps.append(h.repeat(1, -(-width // 3), 1, 1)[:, :width])
            h = F.avg_pool2d(h, 2)
        return taps


_VGG_SHAPES = {
    0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256),
    14: (256, 256), 16: (256, 256), 19: (256, 512), 21: (512, 512), 23: (512, 512),
    25: (512, 512), 28: (512, 512),
}  # fmt: skip


def random_vgg() -> dict[str, Tensor]:
    """Weights of VGG19 up to relu5_1, random, with torchvision's names."""
    torch.manual_seed(0)
    state = {}
    for index, (c_in, c_out) in _VGG_SHAPES.items():
        state[f"features.{index}.weight"] = torch.randn(c_out, c_in, 3, 3) * (2 / (9 * c_in)) ** 0.5
        state[f"features.{index}.bias"] = torch.zeros(c_out)
    return state
