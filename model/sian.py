"""The SIAN block: style-guided instance-adaptive normalization (Sec. 2.2, Fig. 3, Eq. 2).

Axes: B batch, C channels of the feature map, F filters of one branch, H W height and width,
D length of the style vector.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.config import NetworkConfig
from model.layers import Conv2d, Linear
from model.layout import DIRECTION_CHANNELS


@dataclass(frozen=True)
class Maps:
    """Layout maps at one scale: semantic (B 2 H W), direction (B 2|16 H W), distance (B 1 H W), or
    (B 2 H W) with the noise of each nucleus beside it."""

    semantic: Tensor
    direction: Tensor
    distance: Tensor

    def rows(self, first: int, last: int) -> "Maps":
        """The band of rows from ``first`` up to ``last``."""
        parts = (self.semantic, self.direction, self.distance)
        return Maps(*(part[..., first:last, :] for part in parts))


class Sian(nn.Module):
    """Normalise a feature map and modulate it by semantics, style and instances.

    Two branches, one for the direction map and one for the distance map, run side by side as
    the two halves of 2F channels. Their modulation parameters add up in Eq. 2; since the sum
    of two convolutions is one convolution over the concatenated inputs, gamma and beta come
    out of a single one. Without instantiation nothing would tell the branches apart: there is
    one, and F stands where the methods say 2F.
    """

    def __init__(self, channels: int, config: NetworkConfig) -> None:
        super().__init__()
        branches = 2 if config.instantiation else 1
        filters = config.branch_filters
        features = branches * filters
        pad = config.padding
        self.factor_bias = 1.0 if config.factors == "one_plus" else 0.0
        self.gamma_bias = 1.0 if config.modulation == "one_plus" else 0.0
        self.normalise = nn.BatchNorm2d(channels, affine=False)
        self.semantics = Conv2d(2, features, 3, padding=1, padding_mode=pad)
        self.style: Linear | None = None
        if config.stylization:
            self.style = Linear(config.style_dim, features)
        self.direction: Conv2d | None = None
        self.distance: Conv2d | None = None
        if config.instantiation:
            self.direction = Conv2d(DIRECTION_CHANNELS[config.direction], filters, 1)
            self.distance = Conv2d(1 + config.nucleus_noise, filters, 1)
        # One 3 x 3 convolution per branch, as groups.
        self.compensation = Conv2d(
            features, features, 3, padding=1, padding_mode=pad, groups=branches
        )
        self.gamma_beta = Conv2d(features, 2 * channels, 3, padding=1, padding_mode=pad)
        self._initialise()

    def _initialise(self) -> None:
        for conv in (self.semantics, self.compensation):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        # A product of three learned maps would start near zero; with factor_bias 1 each
        # factor starts near one and the semantic path carries the first steps.
        for factor in (self.style, self.direction, self.distance):
            if factor is not None:
                nn.init.normal_(factor.weight, std=0.05)
        nn.init.xavier_normal_(self.gamma_beta.weight, gain=0.1)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, h: Tensor, maps: Maps, style: Tensor) -> Tensor:
        """h (B C H W), maps at the same H W, style (B D) -> (B C H W)."""
        semantics = self.semantization(maps)
        styled = self.stylization(semantics, style)
        instances = self.instantiation(styled, maps)
        return self.modulation(h, instances)

    def semantization(self, maps: Maps) -> Tensor:
        """Nuclei and stroma as features, for every branch: (B 2F H W)."""
        return torch.relu_(self.semantics(maps.semantic))

    def stylization(self, semantics: Tensor, style: Tensor) -> Tensor:
        """Times the style vector, reshaped to one factor per filter: (B 2F H W)."""
        if self.style is None:
            return semantics
        factor = self.factor_bias + self.style(style)
        return times(semantics, factor[:, :, None, None])

    def instantiation(self, styled: Tensor, maps: Maps) -> Tensor:
        """Times the direction map in one branch and the distance map in the other: (B 2F H W)."""
        if self.direction is not None and self.distance is not None:
            instance = torch.cat([self.direction(maps.direction), self.distance(maps.distance)], 1)
            styled = times(styled, plus(instance, self.factor_bias))
        return torch.relu_(self.compensation(styled))

    def modulation(self, h: Tensor, instances: Tensor) -> Tensor:
        """Eq. 2: gamma * (h - mu) / sigma + beta, both summed over the branches."""
        gamma, beta = self.gamma_beta(instances).chunk(2, dim=1)
        return plus(times(self.normalise(h), plus(gamma, self.gamma_bias)), beta)


# At full resolution every feature map is tens of megabytes. Where no gradient is wanted the
# old values are of no use, and working in place halves the memory a tile takes.
def times(fresh: Tensor, factor: Tensor) -> Tensor:
    """fresh * factor; ``fresh`` belongs to the caller and is not used again."""
    return fresh * factor if torch.is_grad_enabled() else fresh.mul_(factor)


def plus(fresh: Tensor, term: Tensor | float) -> Tensor:
    """fresh + term; ``fresh`` belongs to the caller and is not used again."""
    return fresh + term if torch.is_grad_enabled() else fresh.add_(term)
