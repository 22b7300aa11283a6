"""Averaged weights, and batch norm statistics to go with them."""

import copy
from collections.abc import Callable, Iterable
from typing import Generic

import torch
from torch import Tensor, nn

from model.pixels import Module


class Ema(Generic[Module]):
    """Exponential moving average of a module's parameters; its buffers are copied.

    At step n its decay is min(decay, (1 + n) / (10 + n)), so that the initial weights are soon
    forgotten and early exports show what the network can do.
    """

    def __init__(self, module: Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(module).requires_grad_(False)

    @torch.no_grad()
    def update(self, module: Module, step: int) -> None:
        """Average in what ``module`` became by step number ``step``, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        ours: list[Tensor] = list(self.module.parameters())
        theirs: list[Tensor] = list(module.parameters())
        if ours:
            torch._foreach_lerp_(ours, theirs, 1 - decay)
        for mine, other in zip(self.module.buffers(), module.buffers(), strict=True):
            mine.copy_(other)


@torch.no_grad()
def reestimate_batch_norm(
    module: nn.Module, batches: Iterable[object], forward: Callable[[object], object]
) -> None:
    """Replace the running statistics of every batch norm by the mean over ``batches``.

    Averaged weights never saw the statistics they run with; one pass over real layouts at the
    size that will be served puts that right. ``forward`` runs the module on one batch.
    """
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    training = module.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
    module.train()
    for batch in batches:
        forward(batch)
    module.train(training)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
