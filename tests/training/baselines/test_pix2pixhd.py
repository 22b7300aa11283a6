"""The global generator against its published size; instance norm; which Sharp-GAN shares it."""

import torch

from training.baselines.pix2pixhd import GlobalConfig, GlobalGenerator, ResidualBlock
from training.baselines.sharp_gan import SharpGanConfig


def parameters(config: GlobalConfig | SharpGanConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in GlobalGenerator(config).parameters())


def test_it_has_the_published_parameters() -> None:
    assert round(parameters(GlobalConfig()) / 1e6, 1) == 182.4
    # Sharp-GAN's condition has two channels less, each with 64 kernels of 7 x 7.
    assert parameters(GlobalConfig()) - parameters(SharpGanConfig()) == 2 * 64 * 7 * 7


def test_layers_by_hand() -> None:
    config = GlobalConfig(width=2, downsamplings=1, blocks=1)
    first, last = 3 * 2 * 49 + 2, 2 * 3 * 49 + 3
    down, up = 2 * 4 * 9 + 4, 4 * 2 * 9 + 2
    block = 2 * (4 * 4 * 9 + 4)
    assert parameters(config) == first + down + block + up + last


def test_a_residual_block_adds_its_normalised_branch() -> None:
    torch.manual_seed(0)
    block, h = ResidualBlock(4), torch.randn(2, 4, 8, 8)
    branch = (block(h) - h).detach()
    torch.testing.assert_close(branch.mean((2, 3)), torch.zeros(2, 4), atol=1e-5, rtol=0)
    spread = branch.std((2, 3), correction=0)
    torch.testing.assert_close(spread, torch.ones(2, 4), atol=1e-2, rtol=0)


def test_a_tile_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    torch.manual_seed(0)
    generator = GlobalGenerator(GlobalConfig(width=4, downsamplings=2, blocks=1)).eval()
    condition, style = torch.rand(2, 3, 16, 16), torch.empty(2, 0)
    with torch.no_grad():
        both, alone = generator(condition, style), generator(condition[:1], style[:1])
    torch.testing.assert_close(both[:1], alone, atol=1e-5, rtol=0)
