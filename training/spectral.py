"""Spectral normalisation of a generator or encoder during training, folded away on export."""

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from model.pixels import Module
from model.sian import Sian
from training.baselines.spade import Spade


def add_spectral_norm(module: Module) -> Module:
    """Normalise the feature convolutions, as SPADE does: not those of the normalisation
    layers, nor the last one to RGB."""
    inside = {
        part
        for norm in module.modules()
        if isinstance(norm, Sian | Spade)
        for part in norm.modules()
    }
    for name, part in list(module.named_modules()):
        if isinstance(part, nn.Conv2d) and part not in inside and name not in ("to_image", "start"):
            nn.init.xavier_normal_(part.weight, gain=0.02)
            spectral_norm(part)
    return module


def remove_spectral_norm(module: Module) -> Module:
    """Keep the weights as last normalised and drop the machinery; in evaluation mode."""
    module.eval()
    for part in module.modules():
        if parametrize.is_parametrized(part, "weight"):
            parametrize.remove_parametrizations(part, "weight")
    return module
