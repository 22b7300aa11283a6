"""Placement, stain and texture of H&E tiles, each as one number."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from skimage.color import rgb2hed, rgb2lab

_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, of gamma-coded RGB


def haematoxylin(image_u8: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Haematoxylin optical density (H, W) of an RGB tile (H, W, 3).

    The first channel of the stain separation of Ruifrok and Johnston (2001) with their vectors
    for haematoxylin, eosin and DAB, as in scikit-image's ``rgb2hed``; 0 where there is none.
    """
    return np.asarray(rgb2hed(image_u8)[..., 0], dtype=np.float64)


def auc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """The probability that a random value of ``inside`` exceeds one of ``outside``.

    The area under the ROC curve, from the Mann-Whitney rank sum; ties count one half, exactly.
    NaN when either is empty.
    """
    if inside.size == 0 or outside.size == 0:
        return float("nan")
    ranks = rankdata(np.concatenate([inside.ravel(), outside.ravel()]))
    above = ranks[: inside.size].sum() - inside.size * (inside.size + 1) / 2
    return float(above / (inside.size * outside.size))


def haematoxylin_auc(image_u8: NDArray[np.uint8], mask_labels: NDArray[np.integer]) -> float:
    """How well haematoxylin separates the mask's nuclei from the rest of the tile, 0..1.

    1 when every pixel inside a nucleus is stained more than every pixel outside, .5 when the
    tile ignores the mask. NaN for a mask without nuclei or without background.
    """
    density = haematoxylin(image_u8)
    nuclei = mask_labels > 0
    return auc(density[nuclei], density[~nuclei])


def mean_lab(image_u8: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The mean over the tile of its CIE L*a*b* colours (D65): (3,)."""
    return np.asarray(rgb2lab(image_u8).mean(axis=(0, 1)), dtype=np.float64)


def lab_distance(lab_a: NDArray[np.float64], lab_b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Delta E (CIE 1976) between L*a*b* colours (..., 3): (...); about 2 is just noticeable."""
    return np.asarray(np.linalg.norm(lab_a - lab_b, axis=-1), dtype=np.float64)


def luminance(image_u8: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(H, W) in [0, 1] of an image (H, W, 3)."""
    return np.asarray(image_u8 @ _LUMINANCE / 255, dtype=np.float64)


def gradient_energy(image_u8: NDArray[np.uint8]) -> float:
    """Mean squared gradient of the luminance in [0, 1] per pixel: how much texture there is.

    Forward differences, not Sobel: Sobel smooths across the gradient and would hide both the
    grain of chromatin and pixel noise.
    """
    light = luminance(image_u8)
    across = np.square(np.diff(light, axis=1)).mean()
    down = np.square(np.diff(light, axis=0)).mean()
    return float(across + down)
