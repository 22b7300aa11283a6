"""Colour statistics and the head that paints with them."""

import pytest
import torch

from model.colour import apply_palette, colour_statistics, soft_clamp


def gaussian_image(mean: list[float], root: torch.Tensor, side: int = 96) -> torch.Tensor:
    torch.manual_seed(1)
    z = torch.randn(3, side * side)
    z = torch.linalg.solve(torch.linalg.cholesky(z.cov(correction=0)), z - z.mean(1, keepdim=True))
    return (root @ z + torch.tensor(mean)[:, None]).view(1, 3, side, side)


ROOT = torch.tensor([[0.20, 0.05, 0.02], [0.05, 0.15, 0.01], [0.02, 0.01, 0.10]])


def test_statistics_of_an_image_with_known_mean_and_covariance() -> None:
    statistics = colour_statistics(gaussian_image([0.1, -0.2, 0.3], ROOT))
    torch.testing.assert_close(statistics[0, :3], torch.tensor([0.1, -0.2, 0.3]), atol=1e-4, rtol=0)
    expected = torch.tensor([0.20, 0.15, 0.10, 0.05, 0.02, 0.01])
    torch.testing.assert_close(statistics[0, 3:], expected, atol=1e-3, rtol=0)


def test_painting_whitened_colours_gives_the_style_its_mean_and_covariance() -> None:
    style = colour_statistics(gaussian_image([0.1, -0.2, 0.3], ROOT))
    z = gaussian_image([0.0, 0.0, 0.0], torch.eye(3))
    torch.testing.assert_close(colour_statistics(apply_palette(z, style)), style, atol=2e-3, rtol=0)


def test_half_precision_around_it_changes_nothing() -> None:
    image = gaussian_image([0.1, -0.2, 0.3], ROOT)
    style = colour_statistics(image)
    painted = apply_palette(image, style)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(colour_statistics(image), style, rtol=0, atol=0)
        torch.testing.assert_close(apply_palette(image, style), painted, rtol=0, atol=0)


def test_a_uniform_image_has_finite_statistics() -> None:
    statistics = colour_statistics(torch.full((1, 3, 8, 8), 0.5))
    assert torch.isfinite(statistics).all()


@pytest.mark.parametrize("value", [-3.0, -0.95, -0.9, -0.2, 0.0, 0.5, 0.9, 0.91, 2.0])
def test_soft_clamp_is_the_identity_inside_and_stays_within_one(value: float) -> None:
    out = soft_clamp(torch.tensor([value]))
    if abs(value) <= 0.9:
        assert out.item() == pytest.approx(value)
    assert abs(out.item()) <= 1


def test_soft_clamp_keeps_order_and_slope_at_the_knee() -> None:
    x = torch.linspace(-1.2, 1.2, 2401, dtype=torch.float64, requires_grad=True)
    out = soft_clamp(x)
    assert (out.diff() > 0).all()
    (slope,) = torch.autograd.grad(out.sum(), x)
    assert slope.max() <= 1 + 1e-9
    assert slope.min() > 0
    assert slope.diff().abs().max() < 0.02  # no kink
