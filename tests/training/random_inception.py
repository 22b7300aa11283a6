"""FID's Inception-v3 with random weights, written down again from its published structure.

Plain convolutions with batch norm behind them and every size spelt out, to hold
``training.metrics.inception`` against.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

ASYMMETRIC = {(1, 7): (0, 3), (7, 1): (3, 0), (1, 3): (0, 1), (3, 1): (1, 0)}


class RandomInception:
    """Called on an image; ``state`` has pytorch-fid's names and is drawn by the first call."""

    def __init__(self) -> None:
        self.state: dict[str, Tensor] = {"fc.weight": torch.zeros(1008, 2048)}
        self._draw = torch.Generator().manual_seed(0)

    def __call__(self, image_pm1: Tensor) -> dict[int, Tensor]:
        """(B, 3, 299, 299) in [-1, 1] -> spatial means (B, D) by D."""
        x = self.conv(image_pm1, "Conv2d_1a_3x3", 32, 3, stride=2)
        x = self.conv(x, "Conv2d_2a_3x3", 32, 3)
        x = self.conv(x, "Conv2d_2b_3x3", 64, 3, padding=1)
        x = F.max_pool2d(x, 3, 2)
        x = self.conv(x, "Conv2d_3b_1x1", 80, 1)
        x = self.conv(x, "Conv2d_4a_3x3", 192, 3)
        x = F.max_pool2d(x, 3, 2)
        for name, pool in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = self.block_5(x, name, pool)
        x = self.block_6a(x, "Mixed_6a")
        for name, inner in (
            ("Mixed_6b", 128),
            ("Mixed_6c", 160),
            ("Mixed_6d", 160),
            ("Mixed_6e", 192),
        ):
            x = self.block_6(x, name, inner)
        features = {768: x.mean((2, 3))}
        x = self.block_7a(x, "Mixed_7a")
        features[1280] = x.mean((2, 3))
        pooled = F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False)
        x = self.block_7(x, pooled, "Mixed_7b")
        pooled = F.max_pool2d(x, 3, 1, padding=1)
        x = self.block_7(x, pooled, "Mixed_7c")
        features[2048] = x.mean((2, 3))
        return features

    def conv(
        self,
        x: Tensor,
        name: str,
        filters: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> Tensor:
        if f"{name}.conv.weight" not in self.state:
            kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
            self._add(name, (filters, x.shape[1], *kernel))
        x = F.conv2d(x, self.state[f"{name}.conv.weight"], stride=stride, padding=padding)
        parts = ("running_mean", "running_var", "weight", "bias")
        norm = [self.state[f"{name}.bn.{part}"] for part in parts]
        return F.relu(F.batch_norm(x, *norm, eps=0.001))

    def _add(self, name: str, shape: tuple[int, ...]) -> None:
        fan_in = shape[1] * shape[2] * shape[3]
        weight = torch.randn(shape, generator=self._draw) * (2 / fan_in) ** 0.5
        self.state[f"{name}.conv.weight"] = weight
        for part, low, high in (
            ("weight", 0.8, 1.2),
            ("bias", -0.1, 0.3),
            ("running_mean", -0.2, 0.2),
            ("running_var", 0.5, 1.5),
        ):
            drawn = torch.rand(shape[0], generator=self._draw)
            self.state[f"{name}.bn.{part}"] = low + (high - low) * drawn

    def asymmetric(self, x: Tensor, name: str, filters: int, kernel: tuple[int, int]) -> Tensor:
        return self.conv(x, name, filters, kernel, padding=ASYMMETRIC[kernel])

    def block_5(self, x: Tensor, block: str, pool: int) -> Tensor:
        five = self.conv(x, f"{block}.branch5x5_1", 48, 1)
        double = self.conv(x, f"{block}.branch3x3dbl_1", 64, 1)
        double = self.conv(double, f"{block}.branch3x3dbl_2", 96, 3, padding=1)
        pooled = F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False)
        parts = [
            self.conv(x, f"{block}.branch1x1", 64, 1),
            self.conv(five, f"{block}.branch5x5_2", 64, 5, padding=2),
            self.conv(double, f"{block}.branch3x3dbl_3", 96, 3, padding=1),
            self.conv(pooled, f"{block}.branch_pool", pool, 1),
        ]
        return torch.cat(parts, 1)

    def block_6a(self, x: Tensor, block: str) -> Tensor:
        double = self.conv(x, f"{block}.branch3x3dbl_1", 64, 1)
        double = self.conv(double, f"{block}.branch3x3dbl_2", 96, 3, padding=1)
        parts = [
            self.conv(x, f"{block}.branch3x3", 384, 3, stride=2),
            self.conv(double, f"{block}.branch3x3dbl_3", 96, 3, stride=2),
            F.max_pool2d(x, 3, 2),
        ]
        return torch.cat(parts, 1)

    def block_6(self, x: Tensor, block: str, inner: int) -> Tensor:
        seven = self.conv(x, f"{block}.branch7x7_1", inner, 1)
        seven = self.asymmetric(seven, f"{block}.branch7x7_2", inner, (1, 7))
        seven = self.asymmetric(seven, f"{block}.branch7x7_3", 192, (7, 1))
        double = self.conv(x, f"{block}.branch7x7dbl_1", inner, 1)
        for index, filters, kernel in (
            (2, inner, (7, 1)),
            (3, inner, (1, 7)),
            (4, inner, (7, 1)),
            (5, 192, (1, 7)),
        ):
            double = self.asymmetric(double, f"{block}.branch7x7dbl_{index}", filters, kernel)
        pooled = F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False)
        parts = [
            self.conv(x, f"{block}.branch1x1", 192, 1),
            seven,
            double,
            self.conv(pooled, f"{block}.branch_pool", 192, 1),
        ]
        return torch.cat(parts, 1)

    def block_7a(self, x: Tensor, block: str) -> Tensor:
        three = self.conv(x, f"{block}.branch3x3_1", 192, 1)
        seven = self.conv(x, f"{block}.branch7x7x3_1", 192, 1)
        seven = self.asymmetric(seven, f"{block}.branch7x7x3_2", 192, (1, 7))
        seven = self.asymmetric(seven, f"{block}.branch7x7x3_3", 192, (7, 1))
        parts = [
            self.conv(three, f"{block}.branch3x3_2", 320, 3, stride=2),
            self.conv(seven, f"{block}.branch7x7x3_4", 192, 3, stride=2),
            F.max_pool2d(x, 3, 2),
        ]
        return torch.cat(parts, 1)

    def block_7(self, x: Tensor, pooled: Tensor, block: str) -> Tensor:
        three = self.conv(x, f"{block}.branch3x3_1", 384, 1)
        double = self.conv(x, f"{block}.branch3x3dbl_1", 448, 1)
        double = self.conv(double, f"{block}.branch3x3dbl_2", 384, 3, padding=1)
        parts = [
            self.conv(x, f"{block}.branch1x1", 320, 1),
            self.asymmetric(three, f"{block}.branch3x3_2a", 384, (1, 3)),
            self.asymmetric(three, f"{block}.branch3x3_2b", 384, (3, 1)),
            self.asymmetric(double, f"{block}.branch3x3dbl_3a", 384, (1, 3)),
            self.asymmetric(double, f"{block}.branch3x3dbl_3b", 384, (3, 1)),
            self.conv(pooled, f"{block}.branch_pool", 192, 1),
        ]
        return torch.cat(parts, 1)
