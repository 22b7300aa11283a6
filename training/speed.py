"""How devices compute while networks are trained: as fast as they can."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import torch

Precision = Literal["auto", "bf16", "fp32"]


@contextmanager
def as_fast_as_possible(device: torch.device) -> Iterator[None]:
    """On CUDA: kernels chosen by a race, whether or not they add in one order; TF32 in convolutions
    that fp32 is asked for, but not in matrix products, those of colours among them. Afterwards as
    it was before.

    ``Synthesizer.load`` asks for the same bytes every time, for the rest of the process. Training
    needs kernels that have no such variant, the gradient of reflection padding for one.
    """
    if device.type != "cuda":
        yield
        return
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = (
        torch.are_deterministic_algorithms_enabled(),
        cudnn.deterministic,
        cudnn.benchmark,
        matmul.fp32_precision,
        cudnn.conv.fp32_precision,  # type: ignore[attr-defined]
    )
    _set(False, False, True, "ieee", "tf32")
    try:
        yield
    finally:
        _set(*before)


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """A context in which convolutions are computed in this precision; ``auto``: in the faster one
    of this device."""
    is_half = settled(precision, device) == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=is_half)


def settled(precision: Precision, device: torch.device) -> Literal["bf16", "fp32"]:
    """What ``auto`` is on this device, and any other precision as it is."""
    if precision != "auto":
        return precision
    return "bf16" if has_fast_bf16(device) else "fp32"


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for it. Without, PyTorch imitates them, several times
    slower than it computes in fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # There is no public question for the CPU.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _set(
    deterministic: bool, cudnn_deterministic: bool, benchmark: bool, matmul: str, convolutions: str
) -> None:
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = cudnn_deterministic
    torch.backends.cudnn.benchmark = benchmark
    torch.backends.cuda.matmul.fp32_precision = matmul
    torch.backends.cudnn.conv.fp32_precision = convolutions  # type: ignore[attr-defined]
