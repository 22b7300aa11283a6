"""What all generators of the baselines have in common: sizes, ranges, gradients, repeatability."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from model.errors import CheckpointMismatch
from training.baselines.config import BaselineConfig
from training.baselines.pix2pix import UNet, UNetConfig
from training.baselines.pix2pixhd import GlobalConfig, GlobalGenerator
from training.baselines.sharp_gan import SharpGanConfig
from training.baselines.spade import SpadeConfig, SpadeGenerator

Case = tuple[Callable[..., nn.Module], BaselineConfig]

SMALL: list[Case] = [
    (UNet, UNetConfig(width=4, depth=5)),
    (GlobalGenerator, GlobalConfig(width=4, downsamplings=3, blocks=2)),
    (GlobalGenerator, SharpGanConfig(width=4, downsamplings=3, blocks=2)),
    (SpadeGenerator, SpadeConfig(width=2, hidden=4, style_features=6, start_side=2)),
]
FULL: list[Case] = [
    (UNet, UNetConfig()),
    (GlobalGenerator, GlobalConfig()),
    (GlobalGenerator, SharpGanConfig()),
    (SpadeGenerator, SpadeConfig()),
]
NAMES = ["pix2pix", "pix2pixhd", "sharp_gan", "spade"]
every_small = pytest.mark.parametrize(("make", "config"), SMALL, ids=NAMES)
every_full = pytest.mark.parametrize(("make", "config"), FULL, ids=NAMES)


def inputs(config: BaselineConfig, height: int = 64, width: int = 64) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    condition = torch.rand(2, config.condition_channels, height, width)
    return condition, torch.randn(2, config.style_dim)


@every_small
def test_a_tile_is_as_large_as_its_condition_and_within_the_range(
    make: Callable[..., nn.Module], config: BaselineConfig
) -> None:
    torch.manual_seed(0)
    generator = make(config)
    condition, style = inputs(config, 64, 96)
    image = generator(condition, style)
    assert image.shape == (2, 3, 64, 96)
    assert image.abs().max() <= 1
    assert image.std() > 0
    assert generator.noise_shapes(64, 96) == []  # type: ignore[operator]


@every_full
def test_the_published_size_takes_tiles_of_256(
    make: Callable[..., nn.Module], config: BaselineConfig
) -> None:
    with torch.device("meta"):
        generator, condition = make(config), torch.empty(1, config.condition_channels, 256, 256)
        assert generator(condition, torch.empty(1, config.style_dim)).shape == (1, 3, 256, 256)


@every_small
def test_gradients_reach_every_parameter(
    make: Callable[..., nn.Module], config: BaselineConfig
) -> None:
    torch.manual_seed(0)
    generator = make(config)
    generator(*inputs(config)).square().sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        # A norm takes the bias before it away, so only weights are sure to move.
        assert name.endswith("bias") or parameter.grad.abs().max() > 0, name


@every_small
def test_a_tile_depends_on_nothing_but_its_inputs_and_the_seed(
    make: Callable[..., nn.Module], config: BaselineConfig
) -> None:
    torch.manual_seed(0)
    generator = make(config)
    condition, style = inputs(config)
    with torch.no_grad():
        generator(condition, style)  # fills the statistics of batch norm
        generator.eval()
        torch.manual_seed(5)
        first = generator(condition[:1], style[:1])
        generator(condition[1:], style[1:])
        torch.manual_seed(5)
        again = generator(condition[:1], style[:1])
        torch.manual_seed(5)
        other = generator(condition[1:], style[:1])
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert (first - other).std() > 0.01 * first.std()


@every_full
def test_a_configuration_survives_its_card(
    make: Callable[..., nn.Module], config: BaselineConfig
) -> None:
    assert type(config).from_dict(config.to_dict()) == config
    assert config.stride == {UNet: 256, GlobalGenerator: 16, SpadeGenerator: 32}[make]  # type: ignore[index]


@pytest.mark.parametrize("values", [{}, {"width": 64}, {"width": 64, "depth": 8, "skips": 1}])
def test_a_card_of_another_version_is_refused(values: dict[str, int]) -> None:
    with pytest.raises(CheckpointMismatch, match=r"depth, width are expected"):
        UNetConfig.from_dict(values)
