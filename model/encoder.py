"""Style encoders: a reference image -> a Gaussian over style vectors.

Axes: B batch, H W height and width of the reference image, D length of the style vector.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.colour import colour_statistics
from model.config import NetworkConfig
from model.layers import Conv2d, Linear
from model.pixels import channels_last


class StyleEncoder(nn.Module):
    """Common to both encoders: what the outside needs.

    ``forward`` returns the mean and log variance of the learned part (B, style_features) and
    the explicit part (B, D - style_features; empty for ``spade``): all float32, also where
    autocast has the layers compute in half precision, since the losses of the style take small
    differences of them.
    """

    def encode(self, image_pm1: Tensor) -> Tensor:
        """(B 3 H W) in [-1, 1] -> the mean style vector (B D)."""
        mean, _, explicit = self(image_pm1)
        return torch.cat([mean, explicit], 1)

    def sample(self, image_pm1: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A drawn style vector (B D), with the mean and log variance it was drawn from.

        noise: (B, style_features) standard normal.
        """
        mean, log_variance, explicit = self(image_pm1)
        drawn = mean + noise * torch.exp(0.5 * log_variance)
        return torch.cat([drawn, explicit], 1), mean, log_variance


class SpadeEncoder(StyleEncoder):
    """The encoder of SPADE (Park et al., 2019), which the paper follows: six stride-2
    convolutions with instance normalisation on a 256 x 256 resize, then two linear layers."""

    SIZE = 256

    def __init__(self, style_features: int) -> None:
        super().__init__()
        widths = (3, 64, 128, 256, 512, 512, 512)
        self.convs = nn.ModuleList(
            Conv2d(c_in, c_out, 3, stride=2, padding=1)
            for c_in, c_out in itertools.pairwise(widths)
        )
        self.mean = Linear(512 * 16, style_features)
        self.log_variance = Linear(512 * 16, style_features)

    def forward(self, image_pm1: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self._resized(image_pm1)
        for index, conv in enumerate(self.convs):
            if index:
                h = F.leaky_relu(h, 0.2)
            h = F.instance_norm(conv(h))
        h = F.leaky_relu(h, 0.2).flatten(1)
        mean, log_variance = self.mean(h).float(), self.log_variance(h).float()
        return mean, log_variance, mean.new_empty(h.shape[0], 0)

    def _resized(self, image_pm1: Tensor) -> Tensor:
        size = (self.SIZE, self.SIZE)
        if image_pm1.shape[-2:] == size:
            return image_pm1
        # Of three channels torch has a kernel for one thread and another for several, which
        # round otherwise; of four it has one.
        h = channels_last(F.pad(image_pm1, (0, 0, 0, 0, 0, 1)))
        return F.interpolate(h, size, mode="bilinear", align_corners=False)[:, :3].contiguous()


class ColourEncoder(StyleEncoder):
    """Keeps the stain: no normalisation, pooled mean and deviation of every layer, and the
    colour statistics of the image carried in the style vector as they are.

    Fully convolutional: the image is read at its own scale, at least 64 px a side.
    """

    WIDTHS = (32, 64, 96, 128)
    HIDDEN = 256

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        widths = (3, *self.WIDTHS)
        self.convs = nn.ModuleList(
            Conv2d(c_in, c_out, 3, stride=2, padding=1, padding_mode=config.padding)
            for c_in, c_out in itertools.pairwise(widths)
        )
        self.hidden = Linear(
            2 * sum(self.WIDTHS) + config.style_dim - config.style_features, self.HIDDEN
        )
        self.mean = Linear(self.HIDDEN, config.style_features)
        self.log_variance = Linear(self.HIDDEN, config.style_features)
        for name, parameter in self.convs.named_parameters():
            if name.endswith("weight"):
                nn.init.kaiming_normal_(parameter, a=0.2)
            else:
                nn.init.zeros_(parameter)

    def forward(self, image_pm1: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        explicit = colour_statistics(image_pm1)
        moments = [explicit]
        h = image_pm1
        for conv in self.convs:
            h = F.leaky_relu(conv(h), 0.2)
            variance, mean = torch.var_mean(h.float(), dim=(2, 3), correction=0)
            moments += [mean, (variance + 1e-4).sqrt()]
        hidden = F.leaky_relu(self.hidden(torch.cat(moments, 1)), 0.2)
        return self.mean(hidden).float(), self.log_variance(hidden).float(), explicit


def build_encoder(config: NetworkConfig) -> StyleEncoder:
    if config.encoder == "spade":
        return SpadeEncoder(config.style_features)
    return ColourEncoder(config)
