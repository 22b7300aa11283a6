"""The explicit colour part of a style vector, and the head that paints with it.

A stain is, to first order, where the colours of an image lie and along which axes they vary:
the mean and the covariance of its RGB values. The colour-keeping encoder carries both in the
style vector as they are, and the generator's last layer predicts colours in those axes
(z of about zero mean and unit covariance): image = mean + root * z. Two images that differ
by an affine change of colour therefore differ only in these nine numbers, so a stain never
seen in training needs nothing from the learned part.
"""

import torch
from torch import Tensor

from model.config import COLOUR_STATISTICS

_VARIANCE_FLOOR = 1e-4
_KNEE = 0.9


@torch.no_grad()
def colour_statistics(image_pm1: Tensor) -> Tensor:
    """(B 3 H W) in [-1, 1] -> (B 9): RGB mean (3), symmetric root of the covariance (6).

    The root is the symmetric positive one (ZCA), so its convex combinations are again
    roots of covariances and styles can be mixed entry by entry. No gradient: that of an
    eigenvector is unbounded where two colours vary alike.
    """
    pixels = image_pm1.float().flatten(2)
    mean = pixels.mean(2)
    centred = pixels - mean[:, :, None]
    with full_precision(image_pm1):
        # Not as a matrix product, which adds up in another order on another number of threads.
        covariance = (centred[:, :, None] * centred[:, None]).mean(3)
        # Of what is not finite it would raise; the mean is not finite then, and tells.
        values, vectors = torch.linalg.eigh(covariance.nan_to_num(0, 0, 0))
        spread = values.clamp_min(_VARIANCE_FLOOR).sqrt()
        root = vectors * spread[:, None, :] @ vectors.transpose(1, 2)
    (rr, rg, rb), (_, gg, gb), (_, _, bb) = (row.unbind(1) for row in root.unbind(1))
    return torch.cat([mean, torch.stack([rr, gg, bb, rg, rb, gb], 1)], 1)


def apply_palette(z: Tensor, style: Tensor) -> Tensor:
    """Colours z (B 3 H W) in the style's axes -> image (B 3 H W) in [-1, 1].

    The last nine entries of ``style`` (B D) are its colour statistics.
    """
    z, statistics = z.float(), style[:, -COLOUR_STATISTICS:].float()
    mean = statistics[:, :3]
    # Index arrays would be copied to a GPU, which waits for them.
    rr, gg, bb, rg, rb, gb = statistics[:, 3:].unbind(1)
    root = torch.stack([rr, rg, rb, rg, gg, gb, rb, gb, bb], 1).unflatten(1, (3, 3))
    with full_precision(z):
        image = torch.einsum("bij,bjhw->bihw", root, z) + mean[:, :, None, None]
    return soft_clamp(image)


def full_precision(tensor: Tensor) -> torch.autocast:
    """A context in which products of colours are not rounded to the half precision of a
    surrounding autocast: its 8 bits are coarser than the difference between two stains."""
    return torch.autocast(tensor.device.type, enabled=False)


def soft_clamp(image: Tensor) -> Tensor:
    """The identity up to 0.9, then bent smoothly to stay within (-1, 1).

    A plain tanh would shift every colour; a hard clamp has no gradient where it acts.
    """
    excess = (image.abs() - _KNEE).clamp_min(0) / (1 - _KNEE)
    bent = image.sign() * (_KNEE + (1 - _KNEE) * torch.tanh(excess))
    return torch.where(image.abs() > _KNEE, bent, image)
