"""SPADE: the equation of a block by hand, the published size, the style, spectral norm."""

from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from training.baselines.spade import Spade, SpadeConfig, SpadeGenerator, SpadeResBlk
from training.conditions import Condition
from training.spectral import add_spectral_norm, remove_spectral_norm

TINY = SpadeConfig(width=2, hidden=4, style_features=6, start_side=2)


class OneChannel(SpadeConfig):
    condition: ClassVar[Condition] = "distance"


def constant_spade(gamma: float, beta: float) -> Spade:
    """gamma times the nuclei, beta times the stroma, as modulation."""
    spade = Spade(1, SpadeConfig(hidden=2))
    with torch.no_grad():
        for parameter in spade.parameters():
            parameter.zero_()
        for channel in (0, 1):  # hidden = the semantic map
            spade.shared.weight[channel, channel, 1, 1] = 1
        spade.gamma.weight[0, 0, 1, 1] = gamma
        spade.beta.weight[0, 1, 1, 1] = beta
    return spade


def test_a_feature_map_is_normalised_over_the_batch_then_scaled_and_shifted_by_the_map() -> None:
    h = torch.tensor([[[[1.0, 5.0]]], [[[3.0, 7.0]]]])  # mean 4, variance 5
    nuclei = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]])
    semantic = torch.cat([nuclei, 1 - nuclei], 1)
    got = constant_spade(gamma=0.5, beta=10.0)(h, semantic)
    z = (np.array([1, 5, 3, 7]) - 4) / np.sqrt(5 + 1e-5)
    # nuclei: z (1 + 0.5); stroma: z + 10
    expected = [1.5 * z[0], z[1] + 10, z[2] + 10, 1.5 * z[3]]
    np.testing.assert_allclose(got.detach().flatten().numpy(), expected, rtol=1e-5)


def test_evaluation_normalises_with_the_stored_statistics() -> None:
    spade = constant_spade(gamma=0.0, beta=0.0).eval()
    spade.normalise.running_mean.fill_(2.0)  # type: ignore[union-attr]
    spade.normalise.running_var.fill_(9.0)  # type: ignore[union-attr]
    got = spade(torch.full((1, 1, 2, 2), 8.0), torch.zeros(1, 2, 2, 2))
    torch.testing.assert_close(got, torch.full((1, 1, 2, 2), 2.0), rtol=1e-5, atol=0)


def spade_equation(spade: Spade, h: Tensor, semantic: Tensor) -> Tensor:
    mean, variance = h.mean((0, 2, 3), keepdim=True), h.var((0, 2, 3), correction=0, keepdim=True)
    features = spade.shared(semantic).clamp_min(0)
    gamma, beta = spade.gamma(features), spade.beta(features)
    return torch.as_tensor(gamma.add(1) * (h - mean) / (variance + 1e-5).sqrt() + beta)


@pytest.mark.parametrize(("c_in", "c_out"), [(6, 4), (4, 6), (5, 5)])
def test_a_block_is_two_branches_that_add_up(c_in: int, c_out: int) -> None:
    torch.manual_seed(0)
    block = SpadeResBlk(c_in, c_out, TINY)
    h, semantic = torch.randn(2, c_in, 8, 8), torch.rand(2, 2, 8, 8)
    x = block.conv_0(F.leaky_relu(spade_equation(block.spade_0, h, semantic), 0.2))
    assert x.shape[1] == min(c_in, c_out)
    x = block.conv_1(F.leaky_relu(spade_equation(block.spade_1, x, semantic), 0.2))
    skip = h
    if c_in != c_out:
        assert block.spade_skip is not None
        skip = F.conv2d(spade_equation(block.spade_skip, h, semantic), block.conv_skip.weight)
    torch.testing.assert_close(block(h, semantic), x + skip, atol=1e-5, rtol=1e-5)


def test_it_has_the_parameters_of_the_official_generator() -> None:
    def parameters(config: SpadeConfig) -> int:
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in SpadeGenerator(config).parameters())

    # 108.9 M, the linear layer for a 256-d style included, with a map of two channels; each
    # channel has 128 kernels of 3 x 3 in each of the 18 SPADE layers.
    assert round(parameters(SpadeConfig()) / 1e6, 1) == 108.9
    assert parameters(SpadeConfig()) - parameters(OneChannel()) == 18 * 128 * 9


def test_features_grow_from_a_thirty_second_to_the_tile() -> None:
    generator = SpadeGenerator(TINY)
    sides: list[int] = []
    for block in generator.blocks:
        block.register_forward_hook(lambda _, inputs, out: sides.append(out.shape[-1]))
    generator(torch.rand(2, 2, 128, 128), torch.randn(2, 6))
    assert sides == [4, 8, 8, 16, 32, 64, 128]


@pytest.mark.parametrize("size", [(64, 64), (32, 96), (128, 64)])
def test_the_start_is_stretched_to_any_multiple_of_the_stride(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    generator = SpadeGenerator(TINY).eval()
    style = torch.randn(1, 6)
    seen: list[Tensor] = []
    generator.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    assert generator(torch.rand(1, 2, *size), style).shape == (1, 3, *size)
    start = generator.start(style).reshape(1, 32, 2, 2)
    rows = torch.arange(size[0] // 32) * 2 // (size[0] // 32)
    columns = torch.arange(size[1] // 32) * 2 // (size[1] // 32)
    torch.testing.assert_close(seen[0], start[:, :, rows][..., columns])


def test_the_style_shows() -> None:
    torch.manual_seed(0)
    generator = SpadeGenerator(TINY)
    condition = torch.rand(1, 2, 64, 64).expand(2, -1, -1, -1)
    one, other = generator(condition, torch.randn(2, 6))
    assert (one - other).std() > 0.01 * one.std()


def test_spectral_norm_is_on_the_feature_convolutions_alone_and_folds_away() -> None:
    torch.manual_seed(0)
    generator = add_spectral_norm(SpadeGenerator(TINY))
    normed = {name for name, part in generator.named_modules() if is_parametrized(part)}
    expected = {f"blocks.{block}.conv_{index}" for block in range(7) for index in (0, 1)}
    expected |= {f"blocks.{block}.conv_skip" for block in (3, 4, 5, 6)}
    assert normed == expected
    condition, style = torch.rand(2, 2, 64, 64), torch.randn(2, 6)
    for _ in range(10):
        generator(condition, style)
    before = generator.eval()(condition, style)
    plain = remove_spectral_norm(generator)
    torch.testing.assert_close(plain(condition, style), before)
    assert plain.state_dict().keys() == SpadeGenerator(TINY).state_dict().keys()
    for name in expected:
        conv = plain.get_submodule(name)
        assert isinstance(conv, nn.Conv2d)
        largest = torch.linalg.matrix_norm(conv.weight.flatten(1), ord=2)
        assert largest.item() == pytest.approx(1, abs=0.05)
