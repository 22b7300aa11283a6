"""How CUDA computes while networks are trained: as fast as it can."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def as_fast_as_possible(device: torch.device) -> Iterator[None]:
    """On CUDA: kernels chosen by a race, whether or not they add in one order; TF32 where fp32 is
    asked for. Afterwards as it was before.

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
    _set(False, False, True, "tf32", "tf32")
    try:
        yield
    finally:
        _set(*before)


def _set(
    deterministic: bool, cudnn_deterministic: bool, benchmark: bool, matmul: str, convolutions: str
) -> None:
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = cudnn_deterministic
    torch.backends.cudnn.benchmark = benchmark
    torch.backends.cuda.matmul.fp32_precision = matmul
    torch.backends.cudnn.conv.fp32_precision = convolutions  # type: ignore[attr-defined]
