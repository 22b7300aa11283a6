"""Spectral normalisation of a generator or encoder during training, folded away on export."""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from model.pixels import Module
from model.sian import Sian
from training.baselines.spade import Spade

_GAIN = 0.02


def add_spectral_norm(module: Module, *, trained: bool = False) -> Module:
    """Normalise the feature convolutions, as SPADE does: not those of the normalisation
    layers, nor the last one to RGB. Their weights are drawn anew, small; those that are
    ``trained`` are only scaled to the size of such, at which Adam moves them as fast."""
    inside = {
        part
        for norm in module.modules()
        if isinstance(norm, Sian | Spade)
        for part in norm.modules()
    }
    for name, part in list(module.named_modules()):
        if isinstance(part, nn.Conv2d) and part not in inside and name not in ("to_image", "start"):
            if trained:
                _scale_to_first(part.weight)
            else:
                nn.init.xavier_normal_(part.weight, gain=_GAIN)
            spectral_norm(part)
    return module


@torch.no_grad()
def _scale_to_first(weight: Tensor) -> None:
    """Scale to the root mean square that the weights of a new network have: once normalised, they
    are the same."""
    inputs, outputs = weight[0].numel(), weight[:, 0].numel()
    first = _GAIN * math.sqrt(2 / (inputs + outputs))
    weight.mul_(first / weight.square().mean().sqrt().clamp_min(1e-12))


def remove_spectral_norm(module: Module) -> Module:
    """Keep the weights as last normalised and drop the machinery; in evaluation mode."""
    module.eval()
    for part in module.modules():
        if parametrize.is_parametrized(part, "weight"):
            parametrize.remove_parametrizations(part, "weight")
    return module
