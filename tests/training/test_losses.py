"""Losses against closed forms and scikit-image's CIELAB."""

import math
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2lab
from torch import Tensor

from model.layout import normalised_distance
from training.conditions import instance_edges
from training.losses import (
    GanKind,
    adversarial_discriminator,
    adversarial_generator,
    feature_matching,
    kl_divergence,
    nucleus_contours,
    perceptual,
    reconstruction,
    rgb_to_lab,
    sharpness,
    stain_moments,
    style_regression,
)


def scores(*values: float) -> list[list[torch.Tensor]]:
    """One scale per value, with that constant as score map."""
    return [[torch.full((2, 1, 3, 3), value)] for value in values]


def of_discriminator(kind: GanKind, real: float, fake: float) -> float:
    return adversarial_discriminator(kind, scores(real), scores(fake)).item()


def of_generator(kind: GanKind, fake: float) -> float:
    return adversarial_generator(kind, scores(fake)).item()


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [(1.0, -1.0, 0.0), (0.0, 0.0, 2.0), (-1.0, 1.0, 4.0), (3.0, -2.0, 0.0), (0.5, 0.5, 2.0)],
)
def test_hinge(real: float, fake: float, expected: float) -> None:
    assert of_discriminator("hinge", real, fake) == pytest.approx(expected)
    assert of_generator("hinge", fake) == -fake


@pytest.mark.parametrize(("real", "fake"), [(0.0, 0.0), (2.0, -1.0), (-3.0, 0.5)])
def test_vanilla_is_the_cross_entropy_of_a_sigmoid(real: float, fake: float) -> None:
    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    expected = (-math.log(sigmoid(real)) - math.log(1 - sigmoid(fake))) / 2
    assert of_discriminator("vanilla", real, fake) == pytest.approx(expected)
    assert of_generator("vanilla", fake) == pytest.approx(-math.log(sigmoid(fake)))


def test_vanilla_is_finite_where_a_sigmoid_is_not() -> None:
    assert of_discriminator("vanilla", -1000.0, 1000.0) == 1000
    assert of_generator("vanilla", -1000.0) == 1000


@pytest.mark.parametrize(
    ("real", "fake", "expected"), [(1.0, 0.0, 0.0), (0.0, 1.0, 1.0), (3.0, -1.0, 2.5)]
)
def test_least_squares(real: float, fake: float, expected: float) -> None:
    assert of_discriminator("least_squares", real, fake) == pytest.approx(expected)
    assert of_generator("least_squares", fake) == pytest.approx((fake - 1) ** 2)


@pytest.mark.parametrize("kind", ["hinge", "vanilla", "least_squares"])
def test_adversarial_losses_are_the_mean_over_scales_and_read_the_scores_alone(
    kind: GanKind,
) -> None:
    real, fake = scores(0.3, -2.0), scores(-0.4, 1.5)
    two = [of_discriminator(kind, 0.3, -0.4), of_discriminator(kind, -2.0, 1.5)]
    assert adversarial_discriminator(kind, real, fake).item() == pytest.approx(sum(two) / 2)
    two = [of_generator(kind, -0.4), of_generator(kind, 1.5)]
    assert adversarial_generator(kind, fake).item() == pytest.approx(sum(two) / 2)
    layered = [[torch.full((1, 4, 2, 2), 1e6), *scale] for scale in fake]
    assert adversarial_generator(kind, layered).item() == pytest.approx(sum(two) / 2)


@pytest.mark.parametrize("kind", ["hinge", "vanilla", "least_squares"])
def test_adversarial_losses_of_a_map_are_the_mean_of_its_positions(kind: GanKind) -> None:
    real, fake = [torch.tensor([0.2, -0.7])], [torch.tensor([0.9, -0.1])]
    each = of_discriminator(kind, 0.2, 0.9) + of_discriminator(kind, -0.7, -0.1)
    assert adversarial_discriminator(kind, [real], [fake]).item() == pytest.approx(each / 2)
    each = of_generator(kind, 0.9) + of_generator(kind, -0.1)
    assert adversarial_generator(kind, [fake]).item() == pytest.approx(each / 2)


def test_reconstruction_is_the_mean_absolute_difference() -> None:
    real, fake = torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    fake[0, 0] = 0.5
    fake[1, 2, 0, 0] = -1
    assert reconstruction(fake, real).item() == pytest.approx((4 * 0.5 + 1) / 24)


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


def test_perceptual_weighs_five_layers_each_over_its_mean_activation() -> None:
    activations = (1.0, 2.0, 4.0, 8.0, 16.0)
    real = [torch.full((2, 3, 4, 4), value) for value in activations]
    for layer, weight in enumerate((1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)):
        fake = [tap.clone() for tap in real]
        fake[layer][1] -= 3 * activations[layer]  # in one of two images
        assert perceptual(real, fake).item() == pytest.approx(weight * 3 / 2)
    fake = [tap + 0.5 for tap in real]
    expected = 0.5 / 32 + 0.5 / 2 / 16 + 0.5 / 4 / 8 + 0.5 / 8 / 4 + 0.5 / 16
    assert perceptual(real, fake).item() == pytest.approx(expected)
    assert perceptual(real, real).item() == 0


def test_perceptual_does_not_pull_the_real_features() -> None:
    real = [torch.ones(1, 1, 1, 1, requires_grad=True) for _ in range(5)]
    fake = [torch.zeros(1, 1, 1, 1, requires_grad=True) for _ in range(5)]
    perceptual(real, fake).backward()
    assert all(tap.grad is None for tap in real)
    weights = [-tap.grad.item() for tap in fake]  # type: ignore[union-attr]
    assert weights == [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1]


def test_kl_divergence_of_gaussians() -> None:
    mean, log_variance = torch.full((4, 3), 2.0), torch.full((4, 3), math.log(0.25))
    # KL(N(m, s^2) || N(0, 1)) = (s^2 + m^2 - 1 - ln s^2) / 2
    each = (0.25 + 4 - 1 - math.log(0.25)) / 2
    assert kl_divergence(mean, log_variance, "batch_sum").item() == pytest.approx(12 * each)
    assert kl_divergence(mean, log_variance, "sample_mean").item() == pytest.approx(3 * each)
    zero = torch.zeros(4, 3)
    assert kl_divergence(zero, zero, "batch_sum").item() == 0


@pytest.mark.parametrize("reduction", ["batch_sum", "sample_mean"])
def test_kl_divergence_of_a_split_batch_is_the_mean_of_its_shares(
    reduction: Literal["batch_sum", "sample_mean"],
) -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.randn(6, 3), torch.randn(6, 3)
    whole = kl_divergence(mean, log_variance, reduction)
    shares = [
        kl_divergence(mean[k : k + 2], log_variance[k : k + 2], reduction, processes=3)
        for k in (0, 2, 4)
    ]
    torch.testing.assert_close(torch.stack(shares).mean(), whole)


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


def lab_of(rgb: list[float]) -> NDArray[np.float64]:
    """CIELAB of a colour in [-1, 1], by scikit-image."""
    return np.asarray(rgb2lab((np.array(rgb) + 1) / 2))


def painted(foreground: Tensor, nuclei: list[float], stroma: list[float]) -> Tensor:
    """(B 3 H W): nuclei and stroma in one colour each."""
    inside = foreground[:, None]
    return torch.where(
        inside, torch.tensor(nuclei).view(1, 3, 1, 1), torch.tensor(stroma).view(1, 3, 1, 1)
    )


def left(columns: int, side: int) -> Tensor:
    """The first columns of a square are nuclei."""
    return (torch.arange(side) < columns).expand(1, side, side)


BLUE, PINK, PALE = [-0.4, -0.6, 0.2], [0.8, 0.4, 0.6], [0.6, 0.3, 0.7]


def test_stain_is_compared_whatever_the_number_of_nuclei() -> None:
    crowded, sparse = left(30, 32), left(8, 24)
    distance = stain_moments(
        painted(crowded, BLUE, PINK), crowded, painted(sparse, BLUE, PINK), sparse
    )
    assert distance.item() == pytest.approx(0, abs=1e-4)


def test_stain_moments_of_uniform_colours_is_their_lab_distance() -> None:
    here, there = left(16, 32), left(8, 24)
    distance = stain_moments(painted(here, BLUE, PINK), here, painted(there, PINK, PALE), there)
    nuclei = np.abs(lab_of(BLUE) - lab_of(PINK)).mean()
    stroma = np.abs(lab_of(PINK) - lab_of(PALE)).mean()
    assert distance.item() == pytest.approx((nuclei + stroma) / 2, rel=1e-3)


def test_stain_moments_compares_deviations_too() -> None:
    here = left(16, 32)
    plain = painted(here, BLUE, PINK)
    checked = plain.clone()
    checked[:, :, ::2, 16:] = torch.tensor(PALE).view(1, 3, 1, 1)
    colours = np.stack([lab_of(PINK), lab_of(PALE)])
    expected = np.abs(colours.mean(0) - lab_of(PINK)).mean() + colours.std(0).mean()
    distance = stain_moments(checked, here, plain, here)
    assert distance.item() == pytest.approx(expected / 2, rel=0.01)


def test_nuclei_that_one_crop_lacks_are_not_compared() -> None:
    none, some = left(0, 32), left(16, 32)
    few = left(3, 32)  # 96 px
    for lacking in (none, few):
        distance = stain_moments(
            painted(lacking, BLUE, PINK), lacking, painted(some, PALE, PINK), some
        )
        assert distance.item() == pytest.approx(0, abs=1e-4)
    everywhere = left(32, 32)
    assert (
        stain_moments(painted(none, BLUE, PINK), none, painted(everywhere, BLUE, PINK), everywhere)
        == 0
    )


def test_stain_moments_of_a_batch_is_the_mean_of_its_crops() -> None:
    """Also where one of them has no nuclei: processes that share a batch average their losses."""
    torch.manual_seed(0)
    image, style = torch.rand(2, 2, 3, 32, 32) * 2 - 1
    foreground, there = torch.cat([left(0, 32), left(16, 32)]), torch.cat([left(8, 32)] * 2)
    crops = [slice(0, 1), slice(1, 2)]
    each = [stain_moments(image[k], foreground[k], style[k], there[k]) for k in crops]
    whole = stain_moments(image, foreground, style, there)
    torch.testing.assert_close(whole, torch.stack(each).mean())


def test_stain_moments_has_finite_gradients() -> None:
    image = torch.zeros(2, 3, 32, 32).requires_grad_()
    foreground = torch.cat([left(0, 32), left(16, 32)])
    stain_moments(image, foreground, torch.ones(2, 3, 32, 32), foreground).backward()
    assert image.grad is not None
    assert torch.isfinite(image.grad).all()
    assert image.grad.any()


def test_lab_has_gradients_at_black_and_white() -> None:
    image = torch.tensor([-1.0, 1.0]).repeat(1, 3, 1, 1).requires_grad_()
    rgb_to_lab(image).sum().backward()
    assert torch.isfinite(image.grad).all()  # type: ignore[arg-type]


def distance_map(labels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(normalised_distance(labels))[None, None]


def touching_discs() -> np.ndarray:
    """A large nucleus, two small ones that touch it and each other, and one cut by the border."""
    rows, columns = np.mgrid[:48, :64]
    labels = np.zeros((48, 64), np.int32)
    for number, (row, column, radius) in enumerate([(22, 20, 14), (18, 38, 7), (29, 38, 6)], 1):
        disc = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
        labels[disc & (labels == 0)] = number
    labels[40:, 50:] = 4
    return labels


def test_contours_are_the_edges_of_instances_also_where_nuclei_touch() -> None:
    labels = touching_discs()
    contours = nucleus_contours(distance_map(labels))[0, 0].numpy() > 0
    edges = instance_edges(labels) > 0
    all_around = np.ones((3, 3), bool)
    # Every edge has a contour next to it, and every contour is on an edge (or touches one by a
    # corner); none is in the stroma.
    assert ndimage.binary_dilation(contours, all_around)[edges].all()
    assert ndimage.binary_dilation(edges, all_around)[contours].all()
    assert not contours[labels == 0].any()
    shared = (labels[:, :-1] != labels[:, 1:]) & (labels[:, :-1] > 0) & (labels[:, 1:] > 0)
    assert shared.sum() > 5
    assert (contours[:, :-1] | contours[:, 1:])[shared].all()


def step_image(height: float, labels: np.ndarray) -> torch.Tensor:
    """0 in the stroma, ``height`` in the nuclei, in all channels."""
    nuclei = torch.from_numpy(labels > 0).float()
    return (height * nuclei).expand(1, 3, -1, -1)


def test_sharpness_of_a_straight_edge_is_half_the_missing_step() -> None:
    labels = np.zeros((16, 16), np.int32)
    labels[:, 8:] = 1
    distance = distance_map(labels)
    # Across a step of s between two pixels the Sobel gradient of either pixel is s / 2.
    fake, real = step_image(0.2, labels), step_image(-0.8, labels)
    assert sharpness(fake, real, distance).item() == pytest.approx(0.4 - 0.1, rel=1e-3)
    one_channel = real.clone()
    one_channel[:, 1:] = 0
    loss = sharpness(torch.zeros_like(real), one_channel, distance)
    assert loss.item() == pytest.approx(0.4 / math.sqrt(3), rel=1e-2)


def test_a_sharper_contour_costs_nothing_and_the_inside_does_not_count() -> None:
    labels = touching_discs()
    distance = distance_map(labels)
    real = step_image(0.5, labels)
    assert sharpness(step_image(1.0, labels), real, distance).item() == 0
    assert sharpness(step_image(0.1, labels), real, distance).item() > 0.05
    textured = real.clone()
    textured[..., 20:24, 18:22] += 0.3  # deep in the large nucleus
    assert sharpness(real, textured, distance).item() == 0


def test_blur_costs_sharpness() -> None:
    labels = touching_discs()
    real = step_image(0.8, labels)
    blurred = [torch.nn.functional.avg_pool2d(real, size, 1, size // 2) for size in (3, 5, 7)]
    losses = [sharpness(image, real, distance_map(labels)).item() for image in blurred]
    assert 0 < losses[0] < losses[1] < losses[2]


def test_sharpness_without_nuclei_is_zero_and_has_a_gradient() -> None:
    fake = torch.rand(1, 3, 8, 8, requires_grad=True)
    loss = sharpness(fake, torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(fake.grad).all()  # type: ignore[arg-type]


def test_sharpness_pulls_the_flat_output_and_not_the_real_crop() -> None:
    labels = touching_discs()
    fake = (0.1 * torch.rand(1, 3, 48, 64)).requires_grad_()
    real = step_image(0.8, labels).clone().requires_grad_()
    sharpness(fake, real, distance_map(labels)).backward()
    assert real.grad is None
    assert fake.grad.abs().max() > 0  # type: ignore[union-attr]


def test_sharpness_takes_a_distance_map_alone() -> None:
    image = torch.zeros(1, 3, 8, 8)
    with pytest.raises(ValueError, match="1 channel"):
        sharpness(image, image, torch.zeros(1, 2, 8, 8))
