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

    Its kernels share the numbers of the result among the threads, and add up each in one order.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not (_fp32_on_the_cpu(input) and _has_onednn()):
            return super().forward(input)
        tall, wide = (int(side) for side in self.padding)
        padding = [tall, wide]
        if self.padding_mode != "zeros":
            input = F.pad(input, (wide, wide, tall, tall), mode=self.padding_mode)
            padding = [0, 0]
        return torch.mkldnn_convolution(
            input, self.weight, self.bias, padding, self.stride, self.dilation, self.groups
        )


class Linear(nn.Linear):
    """``torch.nn.Linear`` on (B D), a row at a time."""

    def forward(self, input: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(input)
        if _fp32_on_the_cpu(input):
            return torch.cat([self._dot(row) for row in input.split(1)])
        return torch.cat([F.linear(row, self.weight, self.bias) for row in input.split(1)])

    def _dot(self, row: Tensor) -> Tensor:
        """(1 D) -> (1 C) without a matrix product, in the same order for every number."""
        sums = (self.weight * row).sum(1)[None]
        return sums if self.bias is None else sums + self.bias


def _fp32_on_the_cpu(input: Tensor) -> bool:
    """Whether only the result is wanted, in full precision, of a layer on the CPU."""
    return (
        input.device.type == "cpu"
        and input.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)
