"""The discriminators: sizes, scales, receptive field, norms."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from tests.training.fakes import CheapFeatures
from training.discriminator import FeatureDiscriminator, MultiScaleDiscriminator, Norm

NORMS: list[Norm] = ["spectral_instance", "spectral", "instance", "batch"]


def build(norm: Norm = "spectral", width: int = 64) -> MultiScaleDiscriminator:
    torch.manual_seed(0)
    return MultiScaleDiscriminator(5, norm=norm, width=width)


def patchgan(condition_channels: int, width: int = 64) -> MultiScaleDiscriminator:
    return MultiScaleDiscriminator(
        condition_channels, width=width, scales=1, norm="batch", padding=1
    )


def parameters(discriminator: nn.Module) -> int:
    return sum(parameter.numel() for parameter in discriminator.parameters())


@pytest.mark.parametrize("norm", NORMS)
def test_score_maps_at_256_are_those_of_spade_and_pix2pixhd(norm: Norm) -> None:
    with torch.device("meta"):
        outputs = build(norm)(torch.empty(1, 5, 256, 256), torch.empty(1, 3, 256, 256))
    assert [tuple(features[-1].shape) for features in outputs] == [
        (1, 1, 35, 35),
        (1, 1, 19, 19),
    ]
    assert all(len(features) == 5 for features in outputs)


def test_patchgan_has_the_published_size_and_scores() -> None:
    with torch.device("meta"):
        discriminator = patchgan(3)
        (features,) = discriminator(torch.empty(1, 3, 256, 256), torch.empty(1, 3, 256, 256))
        ours = parameters(patchgan(2))
    assert round(parameters(discriminator) / 1e6, 3) == 2.769  # as the official code logs
    assert parameters(discriminator) - ours == 64 * 4 * 4
    assert features[-1].shape == (1, 1, 30, 30)


@pytest.mark.parametrize("padding", [1, 2])
def test_a_score_sees_70_pixels(padding: int) -> None:
    torch.manual_seed(0)
    # Without norms of the features, which look at the whole map.
    discriminator = MultiScaleDiscriminator(1, width=4, scales=1, norm="spectral", padding=padding)
    image = torch.rand(1, 3, 128, 128, requires_grad=True)
    scores = discriminator.eval()(torch.rand(1, 1, 128, 128), image)[0][-1]
    scores[0, 0, 8, 8].backward()
    seen = image.grad.abs().amax((0, 1))  # type: ignore[union-attr]
    rows, columns = seen.amax(1).nonzero().flatten(), seen.amax(0).nonzero().flatten()
    assert (len(rows), len(columns)) == (70, 70)
    assert rows[-1] - rows[0] == 69


@pytest.mark.parametrize("norm", NORMS)
def test_norms_are_on_the_middle_layers(norm: Norm) -> None:
    discriminator = build(norm, width=8)
    kinds = {"spectral": None, "batch": nn.BatchNorm2d}.get(norm, nn.InstanceNorm2d)
    for scale in discriminator.scales:
        for index, stage in enumerate(scale.stages):  # type: ignore[arg-type]
            middle = 1 <= index <= 3
            parts = list(stage.modules())
            assert any(is_parametrized(p) for p in parts) == (
                middle and norm in ("spectral", "spectral_instance")
            )
            norms = {type(p) for p in parts} & {nn.BatchNorm2d, nn.InstanceNorm2d}
            assert norms == ({kinds} if middle and kinds else set())


def test_convolutions_have_spectral_norm_one() -> None:
    discriminator = build().train()
    for _ in range(30):  # the power iteration settles as it trains
        discriminator(torch.rand(1, 5, 64, 64), torch.rand(1, 3, 64, 64))
    discriminator.eval()
    for stage in discriminator.scales[0].stages[1:4]:  # type: ignore[index]
        largest = torch.linalg.matrix_norm(stage[0].weight.flatten(1), ord=2)
        assert largest.item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_weights_without_spectral_norm_start_as_in_pix2pix(norm: Norm) -> None:
    for part in build(norm).modules():
        if isinstance(part, nn.Conv2d):
            assert part.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert part.bias is None or (part.bias == 0).all()


@pytest.mark.parametrize("norm", NORMS)
def test_gradients_reach_every_parameter(norm: Norm) -> None:
    discriminator = build(norm, width=4)
    outputs = discriminator(torch.rand(2, 5, 64, 64), torch.rand(2, 3, 64, 64))
    torch.stack([features[-1].square().sum() for features in outputs]).sum().backward()
    for name, parameter in discriminator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_the_condition_counts() -> None:
    discriminator = build().eval()
    image, layout = torch.rand(1, 3, 64, 64), torch.rand(1, 5, 64, 64)
    plain, other = discriminator(layout, image), discriminator(layout.flip(-1), image)
    assert not torch.allclose(plain[0][-1], other[0][-1])


def test_feature_scores_have_one_head_a_layer_and_do_not_depend_on_its_scale() -> None:
    torch.manual_seed(0)
    discriminator = FeatureDiscriminator(5, width=8).eval()
    taps = CheapFeatures()(torch.rand(1, 3, 64, 64))
    layout, one = torch.rand(1, 5, 64, 64), torch.ones(())
    outputs = discriminator(layout, taps, [one] * 5)
    assert [tuple(o[-1].shape[-2:]) for o in outputs] == [(32, 32), (16, 16), (8, 8), (4, 4)]
    scaled = discriminator(layout, [7 * tap for tap in taps], [7 * one] * 5)
    for plain, other in zip(outputs, scaled, strict=True):
        torch.testing.assert_close(plain[-1], other[-1])
