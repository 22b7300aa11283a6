"""Layers whose last bit depends neither on the number of threads nor on the rest of the batch.

A tile must be the same whether it is painted on all cores, on one of them beside others, or in a
batch. Torch promises none of it. On the CPU it has two algorithms for a convolution, its own and
oneDNN's, and takes its own for some shapes: small ones, and kernels of 1 x 1 where there is a
single thread. A matrix product adds up in another order on another number of threads, and in
another row of a batch. Where gradients are wanted nobody asks for the same bytes, and the layers
are torch's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Conv2d(nn.Conv2d):
    """``torch.nn.Conv2d``; on the CPU oneDNN's whatever the shape, where torch has it.

    On processors with AVX, its kernels for the shapes of the networks share the numbers of the
    result among the threads, and add up each in one order (measured).
    """

    def forward(self, input: Tensor) -> Tensor:
        if isinstance(self.padding, str) or not (_only_the_result(input) and _has_onednn()):
            return super().forward(input)
        padding = list(self.padding)
        if self.padding_mode != "zeros":
            tall, wide = padding
            input = F.pad(input, (wide, wide, tall, tall), mode=self.padding_mode)
            padding = [0, 0]
        return torch.mkldnn_convolution(
            input, self.weight, self.bias, padding, self.stride, self.dilation, self.groups
        )


class Linear(nn.Linear):
    """``torch.nn.Linear`` on (B D), a row at a time where only the result is wanted."""

    def forward(self, input: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(input)
        layer = self._sums if _only_the_result(input) else super().forward
        return torch.cat([layer(row) for row in input.split(1)])

    def _sums(self, row: Tensor) -> Tensor:
        """(1 D) -> (1 C) without a matrix product."""
        sums = (row[:, None] * self.weight).sum(2)
        return sums if self.bias is None else sums + self.bias


def _only_the_result(input: Tensor) -> bool:
    """Whether no gradient is wanted of a layer that the CPU computes in full precision."""
    return (
        input.device.type == "cpu"
        and input.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)
