"""One training step of a SegNet."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.pixels import place, u8_to_pm1
from training.distributed import Process, average_gradients, broadcast, synchronise_batch_norm
from training.segmentation.config import SegNetConfig
from training.segmentation.instances import UNTOLD
from training.segmentation.segnet import SegNet
from training.speed import autocast


class SegNetStepper:
    """The network, its optimiser, and the step that moves it."""

    def __init__(self, config: SegNetConfig, process: Process) -> None:
        self.config, self.process = config, process
        torch.manual_seed(config.seed)
        self.net = synchronise_batch_norm(place(SegNet(config.width), process.device), process)
        broadcast(self.net, process)
        self.optimiser = torch.optim.Adam(
            self.net.parameters(), fused=process.device.type == "cuda"
        )
        self._class_weights = torch.tensor(config.class_weights, device=process.device)

    def __call__(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """Move the network by step number ``step``; returns ``loss``, detached.

        batch: ``image`` (B 3 H W) uint8 and ``classes`` (B H W) uint8.
        """
        device = self.process.device
        image_pm1 = u8_to_pm1(batch["image"].to(device, non_blocking=True))
        classes = batch["classes"].to(device, non_blocking=True).long()
        with autocast(self.config.precision, device):
            scores = self.net(image_pm1)
        loss = cross_entropy(scores.float(), classes, self._class_weights)
        self._set_rate(step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(self.net.parameters(), self.process)
        self.optimiser.step()
        return {"loss": loss.detach()}

    def parts(self) -> dict[str, nn.Module]:
        """Everything with a state dict that a resumed run needs."""
        return {"net": self.net}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"optimiser": self.optimiser}

    def _set_rate(self, step: int) -> None:
        share = (1 + math.cos(math.pi * step / self.config.steps)) / 2
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * share


def cross_entropy(scores: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Mean of -log p(class) over the pixels, each with the weight of its true class; those that are
    ``UNTOLD`` take no part.

    scores (B C H W), classes (B H W) int64, weights (C). The mean is taken here because PyTorch
    refuses to take it on a GPU once deterministic algorithms were asked for.
    """
    losses = F.cross_entropy(scores, classes, weights, reduction="none", ignore_index=UNTOLD)
    told = classes != UNTOLD
    return losses.sum() / (weights[classes.where(told, 0)] * told).sum()
