"""uint8 pictures <-> float tensors in [-1, 1]: one function each way. Tensors and networks are
kept channels last, the memory order in which convolutions are fastest on CPU and GPU alike.
"""

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def image_to_pm1(image_u8: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 in [-1, 1]."""
    copy = np.array(image_u8, order="C")  # the original may be read-only or a flipped view
    tensor = torch.from_numpy(copy).permute(2, 0, 1)[None]
    return u8_to_pm1(tensor)


def u8_to_pm1(tensor_u8: Tensor) -> Tensor:
    """(B, 3, H, W) uint8 -> float32 in [-1, 1], channels last."""
    return channels_last(tensor_u8.float() / 127.5 - 1)


def pm1_to_images(tensor: Tensor) -> NDArray[np.uint8]:
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) uint8, rounded to nearest."""
    scaled = ((tensor.float() + 1) * 127.5).round().clamp(0, 255)
    return np.ascontiguousarray(scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())


def pm1_to_image(tensor: Tensor) -> NDArray[np.uint8]:
    """(1, 3, H, W) in [-1, 1] -> (H, W, 3) uint8, rounded to nearest."""
    (image_u8,) = pm1_to_images(tensor)
    return np.asarray(image_u8, np.uint8)


def place(module: Module, device: str | torch.device) -> Module:
    """The module on a device, channels last."""
    module.to(device)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


def channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)
