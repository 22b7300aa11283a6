"""What the networks whose features are compared have in common."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from model.device import compute_reproducibly
from training.metrics.frechet import Features

Weights = dict[str, Tensor]

UNREADABLE = (
    OSError,
    EOFError,
    AttributeError,
    KeyError,
    RuntimeError,
    TypeError,
    ValueError,
    UnpicklingError,
    SafetensorError,
)
"""What reading weights raises, or taking those of another network for one's own."""

_BATCH_NORM_EPS = 1e-3


class FeatureNetwork(Protocol):
    """A network with fixed weights that describes an image by rows of features."""

    @property
    def fingerprint(self) -> str:
        """Names the network and its weights in caches of its features."""

    def features(
        self,
        images_u8: Iterable[NDArray[np.uint8]],
        *,
        batch_size: int = ...,
        advance: Callable[[int], object] = ...,
    ) -> dict[int, Features]:
        """One row of features per image: {D: (N, D) float64} for each D the network offers.

        Images are RGB uint8 (H, W, 3), all of one size. ``advance`` is told after each batch how
        many images it had.
        """


def read_weights(path: Path) -> Weights:
    """The tensors in a .safetensors file, or in a .pth one without running any code it may hold.

    Raises one of ``UNREADABLE``.
    """
    if path.suffix == ".safetensors":
        return load_file(path)
    weights: Weights = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def fold(state: Weights, conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight (O, I, kH, kW) and bias (O,) of a convolution with the batch norm behind it folded in.

    ``conv`` and ``norm`` are the layers' names in ``state``; epsilon is TensorFlow's, 1e-3.
    """
    gain, shift, mean, variance = (
        state[f"{norm}.{part}"].double()
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gain / torch.sqrt(variance + _BATCH_NORM_EPS)
    weight = (state[f"{conv}.weight"].double() * scale[:, None, None, None]).float()
    return weight, (shift - mean * scale).float()


def for_inference(weights: Weights, device: torch.device | str = "cpu") -> Weights:
    """On the device, in float32, convolutions in the memory format that is fastest."""
    return {
        name: tensor.to(device, torch.float32).contiguous(memory_format=torch.channels_last)
        if tensor.ndim == 4
        else tensor.to(device, torch.float32)
        for name, tensor in weights.items()
    }


def sha256_of(weights: Weights) -> str:
    """Over names and values, as hexadecimal digits."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].cpu().numpy().tobytes())
    return digest.hexdigest()


@torch.inference_mode()
def in_batches(
    forward: Callable[[Tensor], dict[int, Tensor]],
    images_u8: Iterable[NDArray[np.uint8]],
    dims: Sequence[int],
    *,
    batch_size: int,
    advance: Callable[[int], object],
    device: torch.device,
) -> dict[int, Features]:
    """The rows that ``forward`` gives, {D: (B, D)} for pixels (B, 3, H, W) float32 in 0..255.

    ``dims`` names each D, for sets without images.
    """
    compute_reproducibly(str(device))  # and as exactly as on a CPU
    images = list(images_u8)
    rows: dict[int, list[Features]] = {size: [np.empty((0, size))] for size in dims}
    for start in range(0, len(images), batch_size):
        batch_u8 = torch.from_numpy(np.stack(images[start : start + batch_size])).to(device)
        found = forward(batch_u8.permute(0, 3, 1, 2).to(torch.float32))
        for size, part in found.items():
            rows[size].append(part.to("cpu", torch.float64).numpy())
        advance(len(batch_u8))
    return {size: np.concatenate(parts) for size, parts in rows.items()}
