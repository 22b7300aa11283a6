"""The losses of Eq. 1, the colour term, and those of the baselines. All return scalars; all take
float32 or cast to it.

Axes: B batch, C channels, H W height and width, D length of the style vector.
"""

from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from model.colour import full_precision
from training.discriminator import Features
from training.vgg import Taps

GanKind = Literal["hinge", "vanilla", "least_squares"]
"""The adversarial loss: of SPADE, of pix2pix, of pix2pixHD."""


def adversarial_generator(kind: GanKind, fake: list[Features]) -> Tensor:
    """What the generator minimises, with x = D(fake), averaged over positions and scales.

    hinge: -x. vanilla: -log sigmoid(x). least_squares: (x - 1)^2.
    """
    return torch.stack([_of_generator(kind, f[-1].float()).mean() for f in fake]).mean()


def _of_generator(kind: GanKind, fake: Tensor) -> Tensor:
    match kind:
        case "hinge":
            return -fake
        case "vanilla":
            return F.softplus(-fake)
        case "least_squares":
            return (fake - 1).square()


def adversarial_discriminator(kind: GanKind, real: list[Features], fake: list[Features]) -> Tensor:
    """What the discriminator minimises, with r = D(real), x = D(fake), averaged over positions
    and scales.

    hinge: max(0, 1 - r) + max(0, 1 + x).
    vanilla: half of -log sigmoid(r) - log(1 - sigmoid(x)). The half is pix2pix', and makes the
        discriminator the slower of the two.
    least_squares: half of (r - 1)^2 + x^2.
    """
    losses = [
        _of_discriminator(kind, r[-1].float(), f[-1].float())
        for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(losses).mean()


def _of_discriminator(kind: GanKind, real: Tensor, fake: Tensor) -> Tensor:
    match kind:
        case "hinge":
            return torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()
        case "vanilla":
            return (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2
        case "least_squares":
            return ((real - 1).square().mean() + fake.square().mean()) / 2


def segmentation_generator(of_fake: Tensor, classes: Tensor) -> Tensor:
    """What the generator minimises of a discriminator that names pixels: the cross-entropy of the
    synthetic crop with the classes of its mask (OASIS).

    of_fake: logits (B, N + 1, H, W), the last for synthetic pixels. classes: (B, H, W), 0 to N - 1.
    """
    return _balanced_cross_entropy(of_fake, classes)


def segmentation_discriminator(of_real: Tensor, of_fake: Tensor, classes: Tensor) -> Tensor:
    """What that discriminator minimises: the cross-entropy of the real crop with the classes of
    its mask, plus that of the synthetic crop with the class of synthetic pixels (OASIS)."""
    of_synthetic = -F.log_softmax(of_fake.float(), 1)[:, -1].mean()
    return _balanced_cross_entropy(of_real, classes) + of_synthetic


def _balanced_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Every class of the batch counts alike, however few pixels it has."""
    each = F.cross_entropy(logits.float(), classes, reduction="none")
    # bincount would wait for a GPU.
    counts = torch.stack([(classes == index).sum() for index in range(logits.shape[1])])
    share = 1 / (counts.clamp_min(1) * (counts > 0).sum())
    return (share[classes] * each).sum()


def reconstruction(fake_pm1: Tensor, real_pm1: Tensor) -> Tensor:
    """Mean absolute difference of two images (B 3 H W) in [-1, 1] (pix2pix)."""
    return (fake_pm1.float() - real_pm1.float()).abs().mean()


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
    mean: Tensor,
    log_variance: Tensor,
    reduction: Literal["batch_sum", "sample_mean"],
    *,
    processes: int = 1,
) -> Tensor:
    """KL(N(mean, var) || N(0, 1)) of (B, D): summed over the batch as in SPADE, or per sample.

    processes: over which the batch is split. Their mean is then what one process finds in the
    whole batch, for the sum as well.
    """
    total = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
    return processes * total if reduction == "batch_sum" else total / mean.shape[0]


def style_regression(style_of_output: Tensor, style_used: Tensor) -> Tensor:
    """L1 between the mean style the encoder reads in the output and the one it read in the
    style crop, which stays put."""
    return (style_of_output - style_used.detach()).abs().mean()


FEWEST_PIXELS = 100
"""Nuclei, or stroma, of fewer pixels in a crop say too little about its stain: two small nuclei."""


def stain_moments(
    image_pm1: Tensor, foreground: Tensor, style_pm1: Tensor, style_foreground: Tensor
) -> Tensor:
    """How far nuclei are from the style's nuclei, and stroma from its stroma, in Lab units.

    The mean absolute difference of their CIELAB means, plus that of the deviations. Nuclei and
    stroma by themselves: the means of a whole crop depend on how many nuclei it has, and to meet
    them a generator would pale the nuclei of a crowded mask and darken the stroma of a sparse one.
    In each crop both count alike, and neither where it or its style crop has fewer than
    ``FEWEST_PIXELS`` of it.

    Args:
        image_pm1, style_pm1: B 3 H W in [-1, 1]; their sizes may differ.
        foreground, style_foreground: bool, B H W; their pixels of nuclei.
    """
    image, style = rgb_to_lab(image_pm1), rgb_to_lab(style_pm1)
    distances, told = [], []
    for here, there in ((foreground, style_foreground), (~foreground, ~style_foreground)):
        distances.append((_moments(image, here) - _moments(style, there)).abs().mean(2).sum(1))
        told.append(torch.minimum(here.sum((1, 2)), there.sum((1, 2))) >= FEWEST_PIXELS)
    weights = torch.stack(told).to(image.dtype)
    # Crop by crop, so that a batch split over processes has the same mean.
    of_crops = (torch.stack(distances) * weights).sum(0) / weights.sum(0).clamp_min(1)
    return of_crops.mean()


def _moments(values: Tensor, where: Tensor) -> Tensor:
    """Means and deviations (B 2 C) of values (B C H W) at some of the pixels (B H W)."""
    weight = where[:, None].to(values.dtype)
    weight = weight / weight.sum((2, 3), keepdim=True).clamp_min(1)
    mean = (weight * values).sum((2, 3), keepdim=True)
    variance = (weight * (values - mean).square()).sum((2, 3))
    return torch.stack([mean[..., 0, 0], (variance + 1e-4).sqrt()], 1)


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
    with full_precision(linear):
        xyz = torch.einsum("ij,bjhw->bihw", _rgb_to_xyz(linear.device), linear)
    f = torch.where(xyz > 0.008856, xyz.clamp_min(0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


@cache
def _rgb_to_xyz(device: torch.device) -> Tensor:
    """Copied to the device once: a GPU waits for every copy."""
    return torch.tensor(_RGB_TO_XYZ, device=device)


def sharpness(fake_pm1: Tensor, real_pm1: Tensor, distance: Tensor) -> Tensor:
    """By how much the contrast at the contours of the nuclei stays behind the real crop's.

    An approximation of the sharpness loss of Sharp-GAN (Butte et al., 2022), of which only the
    purpose is public: to enhance the contrast of the contour pixels. Here the contrast c of a
    pixel is the Sobel gradient, in units of the image per pixel, as root mean square over
    R, G, B, and the loss is the mean of max(0, c(real) - c(fake)) over the contours. A contour
    sharper than the real one costs nothing.

    Args:
        fake_pm1, real_pm1: (B 3 H W) in [-1, 1].
        distance: (B 1 H W), the normalised distance map both were made for.

    Raises:
        ValueError: the distance map has more than one channel.
    """
    if distance.shape[1] != 1:
        raise ValueError(f"a distance map has 1 channel, this one {distance.shape[1]}")
    behind = torch.relu(_contrast(real_pm1.detach()) - _contrast(fake_pm1))
    contours = nucleus_contours(distance)
    return (behind * contours).sum() / contours.sum().clamp_min(1)


def nucleus_contours(distance: Tensor) -> Tensor:
    """1 on the contours of nuclei, else 0; all (B 1 H W).

    distance: from the edge of the own nucleus, positive inside and 0 outside. A pixel is on a
    contour if it touches the stroma, or if none of its 8 neighbours is lower: every step from
    the inside of a nucleus to its edge goes down, so that such a pixel is on an edge that two
    nuclei share. (It is the one of the nucleus with the lower edge.)
    """
    lowest_around = -F.max_pool2d(-distance, 3, 1, 1)
    contours = (distance > 0) & ((lowest_around == 0) | (distance == lowest_around))
    return contours.float()


def _contrast(image_pm1: Tensor) -> Tensor:
    """Sobel gradient of (B 3 H W), as root mean square over the channels: (B 1 H W)."""
    h = F.pad(image_pm1.float(), (1, 1, 1, 1), mode="replicate")
    rows = (h[..., :-2, :] + 2 * h[..., 1:-1, :] + h[..., 2:, :]) / 4
    columns = (h[..., :-2] + 2 * h[..., 1:-1] + h[..., 2:]) / 4
    across = (rows[..., 2:] - rows[..., :-2]) / 2
    down = (columns[..., 2:, :] - columns[..., :-2, :]) / 2
    squares = across.square() + down.square()
    return (squares.mean(1, keepdim=True) + 1e-6).sqrt()
