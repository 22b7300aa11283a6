"""Structural similarity of two images of the same thing."""

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity as ssim


def structural_similarity(image_a_u8: NDArray[np.uint8], image_b_u8: NDArray[np.uint8]) -> float:
    """SSIM of Wang et al. (2004) of two RGB images (H, W, 3) in 0..255; -1..1, 1 when equal.

    With the settings published there: a Gaussian window of 11 x 11 px with sigma 1.5, K1 = .01,
    K2 = .03, covariances divided by the sum of the weights (biased), and the mean over the places
    where the window lies inside the image. The paper measures luminance; here R, G and B are
    measured alone and averaged. Images are compared at their own size. Raises ValueError for
    images of different shapes or with a side below 11 px.
    """
    return float(
        ssim(
            image_a_u8,
            image_b_u8,
            channel_axis=-1,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            K1=0.01,
            K2=0.03,
            use_sample_covariance=False,
        )
    )
