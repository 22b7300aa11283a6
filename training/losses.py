"""The losses of Eq. 1 and the colour term. All return scalars; all take float32 or cast to it.

Axes: B batch, C channels, H W height and width, D length of the style vector.
"""

from typing import Literal

import torch
from torch import Tensor

from model.colour import full_precision
from training.discriminator import Features
from training.vgg import Taps


def hinge_discriminator(real: list[Features], fake: list[Features]) -> Tensor:
    """mean max(0, 1 - D(real)) + mean max(0, 1 + D(fake)), averaged over the scales."""
    losses = [
        torch.relu(1 - r[-1].float()).mean() + torch.relu(1 + f[-1].float()).mean()
        for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(losses).mean()


def hinge_generator(fake: list[Features]) -> Tensor:
    """-mean D(fake), averaged over the scales."""
    return torch.stack([-f[-1].float().mean() for f in fake]).mean()


def feature_matching(real: list[Features], fake: list[Features]) -> Tensor:
    """L1 between the discriminator's features of real and fake: summed over the layers before
    the scores, averaged over the scales (pix2pixHD). ``real`` carries no gradient."""
    losses = [
        torch.stack(
            [
                (a.float() - b.detach().float()).abs().mean()
                for a, b in zip(f[:-1], r[:-1], strict=True)
            ]
        ).sum()
        for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(losses).mean()


PERCEPTUAL_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""SPADE's weights of relu1_1 to relu5_1."""


def perceptual(real: Taps, fake: Taps) -> Tensor:
    """Weighted L1 between VGG19 features (Johnson et al., 2016; weights of SPADE).

    Each layer is divided by its mean activation on the real images: activations differ by a
    factor of ten between layers, and one layer would otherwise be the whole loss. It also
    makes the loss the same for the Oxford and the torchvision weights.
    """
    losses = [
        weight * (f.float() - r.detach().float()).abs().mean() / mean_activation(r)
        for weight, r, f in zip(PERCEPTUAL_WEIGHTS, real, fake, strict=True)
    ]
    return torch.stack(losses).sum()


def mean_activation(tap: Tensor) -> Tensor:
    """The scale of a VGG19 layer: a scalar, without gradient."""
    return tap.detach().float().mean().clamp_min(1e-6)


def kl_divergence(
    mean: Tensor, log_variance: Tensor, reduction: Literal["batch_sum", "sample_mean"]
) -> Tensor:
    """KL(N(mean, var) || N(0, 1)) of (B, D): summed over the batch as in SPADE, or per sample."""
    total = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
    return total if reduction == "batch_sum" else total / mean.shape[0]


def style_regression(style_of_output: Tensor, style_used: Tensor) -> Tensor:
    """L1 between the mean style the encoder reads in the output and the one it read in the
    style crop, which stays put."""
    return (style_of_output - style_used.detach()).abs().mean()


def lab_moments(image_pm1: Tensor, style_pm1: Tensor) -> Tensor:
    """Mean absolute difference of the CIELAB means, plus that of the deviations; in Lab units.

    Both images B 3 H W in [-1, 1]; their sizes may differ.
    """
    output, style = rgb_to_lab(image_pm1).flatten(2), rgb_to_lab(style_pm1).flatten(2)
    means = (output.mean(2) - style.mean(2)).abs().mean()
    deviations = (_deviation(output) - _deviation(style)).abs().mean()
    return means + deviations


def _deviation(values: Tensor) -> Tensor:
    return (values.var(2, correction=0) + 1e-4).sqrt()


# sRGB primaries to XYZ, divided by the D65 white point (IEC 61966-2-1).
_RGB_TO_XYZ = (
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)


def rgb_to_lab(image_pm1: Tensor) -> Tensor:
    """sRGB (B 3 H W) in [-1, 1] -> CIELAB (D65), differentiable."""
    rgb = ((image_pm1.float() + 1) / 2).clamp(1e-4, 1)
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    matrix = torch.tensor(_RGB_TO_XYZ, dtype=linear.dtype, device=linear.device)
    with full_precision(linear):
        xyz = torch.einsum("ij,bjhw->bihw", matrix, linear)
    f = torch.where(xyz > 0.008856, xyz.clamp_min(0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)
