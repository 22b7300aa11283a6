"""The discriminator of SPADE: sizes, scales, receptive field."""

import pytest
import torch

from tests.training.fakes import CheapFeatures
from training.discriminator import FeatureDiscriminator, MultiScaleDiscriminator


def build(norm: str = "none") -> MultiScaleDiscriminator:
    torch.manual_seed(0)
    return MultiScaleDiscriminator(5, norm=norm)  # type: ignore[arg-type]


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_score_maps_at_256_are_those_of_spade(norm: str) -> None:
    outputs = build(norm)(torch.rand(1, 5, 256, 256), torch.rand(1, 3, 256, 256))
    assert [tuple(features[-1].shape) for features in outputs] == [
        (1, 1, 35, 35),
        (1, 1, 19, 19),
    ]
    assert all(len(features) == 5 for features in outputs)


def test_convolutions_have_spectral_norm_one() -> None:
    discriminator = build().train()
    for _ in range(30):  # the power iteration settles as it trains
        discriminator(torch.rand(1, 5, 64, 64), torch.rand(1, 3, 64, 64))
    discriminator.eval()
    for stage in discriminator.scales[0].stages[1:4]:  # type: ignore[union-attr,index]
        largest = torch.linalg.matrix_norm(stage[0].weight.flatten(1), ord=2)
        assert largest.item() == pytest.approx(1, abs=0.05)


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
