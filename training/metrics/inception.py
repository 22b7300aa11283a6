"""Features of the Inception-v3 that Frechet Inception Distance was defined with.

The network of 2015-12-05 (Szegedy et al., arXiv 1512.00567, in the variant that pytorch-fid
converted from TensorFlow), as far as Mixed_7a: its later blocks only serve the 2048-feature
distance. Batch norm is folded into the convolutions. It differs from torchvision's model in
its weights and in its average pooling, which does not count the padding.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from model.errors import WeightsMissing

INPUT_SIZE_PX = 299
FEATURES = {768: "Mixed_6e", 1280: "Mixed_7a"}
"""Feature dimension -> the block whose spatial mean it is (pytorch-fid's ``--dims``)."""

_BATCH_NORM_EPS = 1e-3
_UNREADABLE = (
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    TypeError,
    ValueError,
    UnpicklingError,
    SafetensorError,
)
_LAST_CONV = "Mixed_7a.branch7x7x3_4.conv.weight"


class Inception:
    """The network with its weights; evaluates, never trains.

    ``weights`` maps "<block>.<branch>.conv.weight" (O, I, kH, kW) and ".conv.bias" (O,) to
    float32 tensors with batch norm folded in.
    """

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        if _LAST_CONV not in weights:
            raise WeightsMissing(
                f"The Inception weights lack {_LAST_CONV}. Pass the FID Inception-v3 of "
                "2015-12-05 (pt_inception-2015-12-05-6726825d.pth, or its layers up to Mixed_7a "
                "as safetensors); torchvision's Inception-v3 is another network."
            )
        self._weights = {
            name: tensor.to(torch.float32).contiguous(memory_format=torch.channels_last)
            if tensor.ndim == 4
            else tensor.to(torch.float32)
            for name, tensor in weights.items()
        }

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the weights; names the network in caches of its features."""
        digest = hashlib.sha256()
        for name in sorted(self._weights):
            digest.update(name.encode())
            digest.update(self._weights[name].numpy().tobytes())
        return digest.hexdigest()

    @classmethod
    def load(cls, path: Path) -> "Inception":
        """Reads folded weights (.safetensors) or pytorch-fid's official file (.pth).

        The .pth is read without running any code it may hold. Raises WeightsMissing.
        """
        try:
            if path.suffix == ".safetensors":
                return cls(load_file(path))
            return cls(fold_batch_norm(torch.load(path, map_location="cpu", weights_only=True)))
        except _UNREADABLE as error:
            raise WeightsMissing(
                f"The Inception weights cannot be read from {path} ({error}). Download "
                "pt_inception-2015-12-05-6726825d.pth from the pytorch-fid releases and pass it."
            ) from error

    @torch.inference_mode()
    def features(
        self,
        images_u8: Iterable[NDArray[np.uint8]],
        *,
        batch_size: int = 4,
        advance: Callable[[int], object] = lambda images: None,
    ) -> dict[int, NDArray[np.float64]]:
        """One row of features per image: {768: (N, 768), 1280: (N, 1280)}, float64.

        Images are RGB uint8 (H, W, 3), all of one size. As in pytorch-fid they are scaled to
        299 x 299 by bilinear interpolation (align_corners=False, no anti-aliasing) and to
        [-1, 1], and a feature is the spatial mean of a channel. ``advance`` is told after each
        batch how many images it had. Batches of 4 are fastest on few CPU cores, where larger
        ones fall out of the caches.
        """
        images = list(images_u8)
        rows: dict[int, list[NDArray[np.float64]]] = {dims: [] for dims in FEATURES}
        for start in range(0, len(images), batch_size):
            batch_u8 = torch.from_numpy(np.stack(images[start : start + batch_size]))
            image_01 = batch_u8.permute(0, 3, 1, 2).to(torch.float32) / 255
            for name, x in self._forward(image_01):
                for dims, block in FEATURES.items():
                    if name == block:
                        rows[dims].append(x.mean(dim=(2, 3)).to(torch.float64).numpy())
            advance(len(batch_u8))
        return {
            dims: np.concatenate(parts) if parts else np.empty((0, dims))
            for dims, parts in rows.items()
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

    def _blocks(self) -> list[tuple[str, Callable[[torch.Tensor, str], torch.Tensor]]]:
        return [
            ("Mixed_5b", self._mixed_5),
            ("Mixed_5c", self._mixed_5),
            ("Mixed_5d", self._mixed_5),
            ("Mixed_6a", self._mixed_6a),
            ("Mixed_6b", self._mixed_6),
            ("Mixed_6c", self._mixed_6),
            ("Mixed_6d", self._mixed_6),
            ("Mixed_6e", self._mixed_6),
            ("Mixed_7a", self._mixed_7a),
        ]

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


def fold_batch_norm(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Convolutions with the batch norm behind each folded in.

    ``state`` has pytorch-fid's names: "<layer>.conv.weight" and "<layer>.bn.{weight, bias,
    running_mean, running_var}". Other entries (the classifier) are left out.
    """
    folded = {}
    for name, weight in state.items():
        if not name.endswith(".conv.weight"):
            continue
        layer = name.removesuffix(".conv.weight")
        norm = {
            part: state[f"{layer}.bn.{part}"].double()
            for part in ("weight", "bias", "running_mean", "running_var")
        }
        scale = norm["weight"] / torch.sqrt(norm["running_var"] + _BATCH_NORM_EPS)
        folded[name] = (weight.double() * scale[:, None, None, None]).float()
        folded[f"{layer}.conv.bias"] = (norm["bias"] - norm["running_mean"] * scale).float()
    return folded
