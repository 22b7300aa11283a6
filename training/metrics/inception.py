"""Features of the Inception-v3 that Frechet Inception Distance was defined with.

The network of 2015-12-05 (Szegedy et al., arXiv 1512.00567, in the variant that pytorch-fid
converted from TensorFlow), without its classifier. Batch norm is folded into the convolutions. It
differs from torchvision's model in its weights, in its average pooling, which does not count the
padding, and in its last block, which has a max pooling instead.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from model.errors import WeightsMissing
from training.metrics.features import (
    UNREADABLE,
    Weights,
    fold,
    for_inference,
    in_batches,
    read_weights,
    sha256_of,
)
from training.metrics.frechet import Features

INPUT_SIZE_PX = 299
FEATURES = {"Mixed_6e": 768, "Mixed_7a": 1280, "Mixed_7c": 2048}
"""Block -> number of features: its channels' spatial means. 2048 is the published FID's pool3."""

_LAST_NEEDED = "Mixed_7a.branch7x7x3_4.conv.weight"
_LAST = "Mixed_7c.branch_pool.conv.weight"


class Inception:
    """The network with its weights; evaluates, never trains.

    ``weights`` maps "<block>.<branch>.conv.weight" (O, I, kH, kW) and ".conv.bias" (O,) to
    float32 tensors with batch norm folded in. They may end with Mixed_7a; the last two blocks
    only serve the 2048 features.
    """

    def __init__(self, weights: Weights, *, device: torch.device | str = "cpu") -> None:
        if _LAST_NEEDED not in weights:
            raise WeightsMissing(
                f"The Inception weights lack {_LAST_NEEDED}. Pass the FID Inception-v3 of "
                "2015-12-05 (pt_inception-2015-12-05-6726825d.pth, or its layers up to Mixed_7a "
                "as safetensors); torchvision's Inception-v3 is another network."
            )
        self._weights, self._device = for_inference(weights, device), torch.device(device)
        self._whole = _LAST in weights

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the weights; names the network in caches of its features."""
        return sha256_of(self._weights)

    @classmethod
    def load(cls, path: Path, *, device: torch.device | str = "cpu") -> "Inception":
        """Reads folded weights (.safetensors) or pytorch-fid's official file (.pth).

        The .pth is read without running any code it may hold. Raises WeightsMissing.
        """
        try:
            weights = read_weights(path)
            folded = weights if path.suffix == ".safetensors" else fold_batch_norm(weights)
            return cls(folded, device=device)
        except UNREADABLE as error:
            raise WeightsMissing(
                f"The Inception weights cannot be read from {path} ({error}). Download "
                "pt_inception-2015-12-05-6726825d.pth from the pytorch-fid releases and pass it."
            ) from error

    def features(
        self,
        images_u8: Iterable[NDArray[np.uint8]],
        *,
        batch_size: int = 4,
        advance: Callable[[int], object] = lambda images: None,
    ) -> dict[int, Features]:
        """One row of features per image: {768: (N, 768), 1280: (N, 1280)}, float64, and
        2048: (N, 2048) where the weights are whole.

        Images are RGB uint8 (H, W, 3), all of one size. As in pytorch-fid they are scaled to
        299 x 299 by bilinear interpolation (align_corners=False, no anti-aliasing) and to
        [-1, 1], and a feature is the spatial mean of a channel. ``advance`` is told after each
        batch how many images it had. Batches of 4 are fastest on few CPU cores, where larger
        ones fall out of the caches.
        """
        dims = [FEATURES[block] for block, _ in self._blocks() if block in FEATURES]
        return in_batches(
            self._pools,
            images_u8,
            dims,
            batch_size=batch_size,
            advance=advance,
            device=self._device,
        )

    def _pools(self, pixels: torch.Tensor) -> dict[int, torch.Tensor]:
        return {
            FEATURES[block]: x.mean(dim=(2, 3))
            for block, x in self._forward(pixels / 255)
            if block in FEATURES
        }

    def _forward(self, image_01: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Each mixed block's name and activations (B, C, h, w), for RGB (B, 3, H, W) in [0, 1]."""
        size = (INPUT_SIZE_PX, INPUT_SIZE_PX)
        x = F.interpolate(image_01, size=size, mode="bilinear", align_corners=False)
        x = (2 * x - 1).contiguous(memory_format=torch.channels_last)
        x = self._conv(x, "Conv2d_1a_3x3", stride=2, padding=0)
        x = self._conv(x, "Conv2d_2a_3x3", padding=0)
        x = self._conv(x, "Conv2d_2b_3x3")
        x = F.max_pool2d(x, 3, 2)
        x = self._conv(x, "Conv2d_3b_1x1")
        x = self._conv(x, "Conv2d_4a_3x3", padding=0)
        x = F.max_pool2d(x, 3, 2)
        for block, step in self._blocks():
            x = step(x, block)
            yield block, x

    def _blocks(self) -> Sequence[tuple[str, Callable[[torch.Tensor, str], torch.Tensor]]]:
        blocks = [
            ("Mixed_5b", self._mixed_5),
            ("Mixed_5c", self._mixed_5),
            ("Mixed_5d", self._mixed_5),
            ("Mixed_6a", self._mixed_6a),
            ("Mixed_6b", self._mixed_6),
            ("Mixed_6c", self._mixed_6),
            ("Mixed_6d", self._mixed_6),
            ("Mixed_6e", self._mixed_6),
            ("Mixed_7a", self._mixed_7a),
            ("Mixed_7b", self._mixed_7b),
            ("Mixed_7c", self._mixed_7c),
        ]
        return blocks if self._whole else blocks[:-2]

    def _conv(
        self, x: torch.Tensor, name: str, stride: int = 1, padding: int | None = None
    ) -> torch.Tensor:
        """Convolution and ReLU; without ``padding`` the size stays (kernels are odd)."""
        weight = self._weights[f"{name}.conv.weight"]
        pads = (weight.shape[2] // 2, weight.shape[3] // 2) if padding is None else padding
        return F.relu_(
            F.conv2d(x, weight, self._weights[f"{name}.conv.bias"], stride=stride, padding=pads)
        )

    def _chain(self, x: torch.Tensor, prefix: str, last_stride: int, count: int) -> torch.Tensor:
        """Convolutions ``prefix``_1 .. _``count``; with stride 2 the last one is unpadded."""
        for index in range(1, count):
            x = self._conv(x, f"{prefix}_{index}")
        name = f"{prefix}_{count}"
        return self._conv(x, name) if last_stride == 1 else self._conv(x, name, 2, padding=0)

    def _fork(self, x: torch.Tensor, prefix: str) -> torch.Tensor:
        return torch.cat([self._conv(x, f"{prefix}a"), self._conv(x, f"{prefix}b")], dim=1)

    def _pooled(self, x: torch.Tensor, block: str) -> torch.Tensor:
        pooled = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        return self._conv(pooled, f"{block}.branch_pool")

    def _mixed_5(self, x: torch.Tensor, block: str) -> torch.Tensor:
        branches = [
            self._conv(x, f"{block}.branch1x1"),
            self._chain(x, f"{block}.branch5x5", 1, 2),
            self._chain(x, f"{block}.branch3x3dbl", 1, 3),
            self._pooled(x, block),
        ]
        return torch.cat(branches, dim=1)

    def _mixed_6a(self, x: torch.Tensor, block: str) -> torch.Tensor:
        branches = [
            self._conv(x, f"{block}.branch3x3", 2, padding=0),
            self._chain(x, f"{block}.branch3x3dbl", 2, 3),
            F.max_pool2d(x, 3, 2),
        ]
        return torch.cat(branches, dim=1)

    def _mixed_6(self, x: torch.Tensor, block: str) -> torch.Tensor:
        branches = [
            self._conv(x, f"{block}.branch1x1"),
            self._chain(x, f"{block}.branch7x7", 1, 3),
            self._chain(x, f"{block}.branch7x7dbl", 1, 5),
            self._pooled(x, block),
        ]
        return torch.cat(branches, dim=1)

    def _mixed_7a(self, x: torch.Tensor, block: str) -> torch.Tensor:
        branches = [
            self._chain(x, f"{block}.branch3x3", 2, 2),
            self._chain(x, f"{block}.branch7x7x3", 2, 4),
            F.max_pool2d(x, 3, 2),
        ]
        return torch.cat(branches, dim=1)

    def _mixed_7b(self, x: torch.Tensor, block: str) -> torch.Tensor:
        return torch.cat([*self._wide(x, block), self._pooled(x, block)], dim=1)

    def _mixed_7c(self, x: torch.Tensor, block: str) -> torch.Tensor:
        # The published network pools the maximum here, most likely by mistake; every published
        # distance has it.
        pooled = self._conv(F.max_pool2d(x, 3, stride=1, padding=1), f"{block}.branch_pool")
        return torch.cat([*self._wide(x, block), pooled], dim=1)

    def _wide(self, x: torch.Tensor, block: str) -> list[torch.Tensor]:
        inner = self._conv(x, f"{block}.branch3x3_1")
        double = self._chain(x, f"{block}.branch3x3dbl", 1, 2)
        return [
            self._conv(x, f"{block}.branch1x1"),
            self._fork(inner, f"{block}.branch3x3_2"),
            self._fork(double, f"{block}.branch3x3dbl_3"),
        ]


def fold_batch_norm(state: Weights) -> Weights:
    """Convolutions with the batch norm behind each folded in.

    ``state`` has pytorch-fid's names: "<layer>.conv.weight" and "<layer>.bn.{weight, bias,
    running_mean, running_var}". Other entries (the classifier) are left out.
    """
    folded = {}
    for name in state:
        if name.endswith(".conv.weight"):
            layer = name.removesuffix(".conv.weight")
            weight, bias = fold(state, f"{layer}.conv", f"{layer}.bn")
            folded[name], folded[f"{layer}.conv.bias"] = weight, bias
    return folded
