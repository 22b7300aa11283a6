"""The discriminator that names pixels, and what is minimised of it."""

import math

import pytest
import torch
import torch.nn.functional as F

from tests.training.fakes import CheapFeatures
from training.losses import segmentation_discriminator, segmentation_generator
from training.segmentation.instances import CLASSES
from training.segmentation_discriminator import SegmentationDiscriminator

SYNTHETIC = CLASSES  # the last
ONE = [torch.ones(())] * 5


def test_a_logit_for_every_class_of_every_pixel() -> None:
    torch.manual_seed(0)
    discriminator = SegmentationDiscriminator(width=8).eval()
    taps = CheapFeatures()(torch.rand(2, 3, 64, 48))
    logits = discriminator(taps, ONE)
    assert logits.shape == (2, CLASSES + 1, 64, 48)
    scaled = discriminator([7 * tap for tap in taps], [7 * one for one in ONE])
    torch.testing.assert_close(scaled, logits)


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    discriminator = SegmentationDiscriminator(width=8)
    discriminator(CheapFeatures()(torch.rand(2, 3, 32, 32)), ONE).square().sum().backward()
    for name, parameter in discriminator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_it_learns_to_name_pixels_and_to_tell_synthetic_ones() -> None:
    torch.manual_seed(0)
    discriminator, features = SegmentationDiscriminator(width=8), CheapFeatures()
    classes = (torch.arange(32)[:, None] // 11).expand(2, 32, 32).contiguous()
    real = features((classes[:, None] - 1.0).expand(2, 3, 32, 32))
    fake = features(torch.rand(2, 3, 32, 32) - 0.5)
    optimiser = torch.optim.Adam(discriminator.parameters(), 1e-2)
    for _ in range(150):
        of_real, of_fake = discriminator(real, ONE), discriminator(fake, ONE)
        loss = segmentation_discriminator(of_real, of_fake, classes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (of_real.argmax(1) == classes).float().mean() > 0.9
    assert (of_fake.argmax(1) == SYNTHETIC).float().mean() > 0.9


def test_a_network_that_cannot_tell_costs_the_logarithm_of_the_number_of_classes() -> None:
    classes = torch.randint(0, 3, (2, 9, 7), generator=torch.Generator().manual_seed(0))
    logits = torch.zeros(2, 4, 9, 7)
    assert segmentation_generator(logits, classes).item() == pytest.approx(math.log(4))
    both = segmentation_discriminator(logits, logits, classes)
    assert both.item() == pytest.approx(2 * math.log(4))


def test_a_class_counts_alike_however_few_pixels_it_has() -> None:
    classes = torch.zeros(1, 10, 10, dtype=torch.long)
    classes[0, 0, 0] = 2  # class 1 has none
    logits = torch.randn(1, 4, 10, 10, generator=torch.Generator().manual_seed(0))
    each = F.cross_entropy(logits, classes, reduction="none")[0]
    many, one = each.flatten()[1:].mean(), each[0, 0]
    expected = (many + one).item() / 2
    assert segmentation_generator(logits, classes).item() == pytest.approx(expected, rel=1e-5)


def test_the_generator_is_pleased_by_the_right_names_and_the_discriminator_by_synthetic() -> None:
    classes = torch.randint(0, 3, (1, 8, 8), generator=torch.Generator().manual_seed(0))
    right = 20.0 * F.one_hot(classes, 4).permute(0, 3, 1, 2)
    synthetic = 20.0 * F.one_hot(torch.full_like(classes, SYNTHETIC), 4).permute(0, 3, 1, 2)
    assert segmentation_generator(right, classes).item() == pytest.approx(0, abs=1e-6)
    assert segmentation_generator(synthetic, classes).item() == pytest.approx(20, rel=1e-3)
    pleased = segmentation_discriminator(right, synthetic, classes)
    fooled = segmentation_discriminator(right, right, classes)
    assert pleased.item() == pytest.approx(0, abs=1e-6)
    assert fooled.item() == pytest.approx(20, rel=1e-3)
