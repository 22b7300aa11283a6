"""Losses against closed forms and scikit-image's CIELAB."""

import math

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from training.losses import (
    feature_matching,
    hinge_discriminator,
    hinge_generator,
    kl_divergence,
    lab_moments,
    rgb_to_lab,
    style_regression,
)


def scores(*values: float) -> list[list[torch.Tensor]]:
    """One scale per value, with that constant as score map."""
    return [[torch.full((2, 1, 3, 3), value)] for value in values]


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [(1.0, -1.0, 0.0), (0.0, 0.0, 2.0), (-1.0, 1.0, 4.0), (3.0, -2.0, 0.0), (0.5, 0.5, 2.0)],
)
def test_hinge_discriminator(real: float, fake: float, expected: float) -> None:
    assert hinge_discriminator(scores(real), scores(fake)).item() == pytest.approx(expected)


def test_hinge_is_the_mean_over_scales() -> None:
    real, fake = scores(1.0, -1.0), scores(-1.0, 1.0)
    assert hinge_discriminator(real, fake).item() == pytest.approx((0 + 4) / 2)
    assert hinge_generator(scores(1.0, -3.0)).item() == pytest.approx(1.0)


def test_feature_matching_sums_layers_averages_scales_and_leaves_the_scores_out() -> None:
    def scale(a: float, b: float) -> list[torch.Tensor]:
        return [torch.full((1, 2, 2, 2), a), torch.full((1, 4, 1, 1), b), torch.full((1, 1), 100.0)]

    real = [scale(0, 0), scale(0, 0)]
    fake = [scale(1, 2), scale(3, -4)]
    assert feature_matching(real, fake).item() == pytest.approx(((1 + 2) + (3 + 4)) / 2)


def test_feature_matching_does_not_pull_the_real_features() -> None:
    real = [[torch.ones(1, requires_grad=True), torch.ones(1)]]
    fake = [[torch.zeros(1, requires_grad=True), torch.zeros(1)]]
    feature_matching(real, fake).backward()
    assert real[0][0].grad is None
    assert fake[0][0].grad is not None


def test_kl_divergence_of_gaussians() -> None:
    mean, log_variance = torch.full((4, 3), 2.0), torch.full((4, 3), math.log(0.25))
    # KL(N(m, s^2) || N(0, 1)) = (s^2 + m^2 - 1 - ln s^2) / 2
    each = (0.25 + 4 - 1 - math.log(0.25)) / 2
    assert kl_divergence(mean, log_variance, "batch_sum").item() == pytest.approx(12 * each)
    assert kl_divergence(mean, log_variance, "sample_mean").item() == pytest.approx(3 * each)
    zero = torch.zeros(4, 3)
    assert kl_divergence(zero, zero, "batch_sum").item() == 0


def test_style_regression_moves_the_answer_and_not_the_style() -> None:
    answer, asked = torch.zeros(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    loss = style_regression(answer, asked)
    loss.backward()
    assert loss.item() == 1
    assert asked.grad is None
    assert answer.grad is not None


def test_lab_agrees_with_scikit_image() -> None:
    image = np.random.default_rng(0).integers(3, 256, (32, 32, 3)).astype(np.uint8)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1
    ours = rgb_to_lab(tensor)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours, rgb2lab(image), atol=0.05)


def test_lab_is_not_rounded_by_half_precision_around_it() -> None:
    image = torch.rand(1, 3, 16, 16) * 2 - 1
    with torch.autocast("cpu", torch.bfloat16):
        inside = rgb_to_lab(image)
    torch.testing.assert_close(inside, rgb_to_lab(image), rtol=0, atol=0)


def test_lab_moments_of_uniform_images_is_their_lab_distance() -> None:
    grey, white = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 4, 4)
    lightness = rgb_to_lab(white)[0, 0, 0, 0] - rgb_to_lab(grey)[0, 0, 0, 0]
    assert lab_moments(grey, white).item() == pytest.approx(lightness.item() / 3, rel=1e-3)
    assert lab_moments(grey, grey[..., :4]).item() == pytest.approx(0, abs=1e-5)


def test_lab_has_gradients_at_black_and_white() -> None:
    image = torch.tensor([-1.0, 1.0]).repeat(1, 3, 1, 1).requires_grad_()
    rgb_to_lab(image).sum().backward()
    assert torch.isfinite(image.grad).all()  # type: ignore[arg-type]
