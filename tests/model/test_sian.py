"""The SIAN block against Eq. 2 written out branch by branch."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.config import PRESETS, NetworkConfig
from model.sian import Maps, Sian
from tests.networks import TINY

CONFIG = PRESETS["release"]


def random_maps(batch: int = 2, side: int = 12, dtype: torch.dtype = torch.float32) -> Maps:
    nuclei = (torch.rand(batch, 1, side, side) < 0.4).to(dtype)
    direction = torch.randint(0, 2, (batch, 2, side, side)) * 2.0 - 1
    return Maps(
        torch.cat([nuclei, 1 - nuclei], 1), direction * nuclei, torch.rand_like(nuclei) * nuclei
    )


def block(config: NetworkConfig, channels: int = 10) -> Sian:
    torch.manual_seed(3)
    sian = Sian(channels, config)
    for parameter in sian.parameters():  # away from the initial values, where biases are zero
        torch.nn.init.normal_(parameter, std=0.2)
    sian.normalise.running_mean = torch.randn(channels)
    sian.normalise.running_var = torch.rand(channels) + 0.5
    return sian.eval()


def two_branches(sian: Sian, h: Tensor, maps: Maps, style: Tensor, config: NetworkConfig) -> Tensor:
    """Sec. 2.2 and Eq. 2 as written: two branches, each with its own gamma and beta."""
    filters = config.branch_filters
    one = 1.0 if config.factors == "one_plus" else 0.0
    mode = {"zeros": "constant", "reflect": "reflect"}[config.padding]

    def conv3(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode=mode), weight, bias)

    gamma, beta = torch.zeros(()), torch.zeros(())
    channels = h.shape[1]
    branches = ((maps.direction, sian.direction), (maps.distance, sian.distance))
    for number, (instance, conv1x1) in enumerate(branches):
        part = slice(number * filters, (number + 1) * filters)
        semantics = conv3(maps.semantic, sian.semantics.weight[part], sian.semantics.bias[part])
        factor = one + F.linear(style, sian.style.weight[part], sian.style.bias[part])
        styled = semantics.relu() * factor[:, :, None, None]
        located = styled * (one + F.conv2d(instance, conv1x1.weight, conv1x1.bias))
        compensated = conv3(
            located, sian.compensation.weight[part], sian.compensation.bias[part]
        ).relu()
        # The branch's own gamma and beta convolutions; the shared bias counts once.
        bias = sian.gamma_beta.bias if number == 0 else None
        weight = sian.gamma_beta.weight[:, part]
        gamma = gamma + conv3(
            compensated, weight[:channels], None if bias is None else bias[:channels]
        )
        beta = beta + conv3(
            compensated, weight[channels:], None if bias is None else bias[channels:]
        )
    mean = sian.normalise.running_mean[None, :, None, None]
    deviation = (sian.normalise.running_var + sian.normalise.eps).sqrt()[None, :, None, None]
    plus = 1.0 if config.modulation == "one_plus" else 0.0
    return (gamma + plus) * (h - mean) / deviation + beta


@pytest.mark.parametrize("modulation", ["one_plus", "literal"])
@pytest.mark.parametrize("factors", ["one_plus", "literal"])
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_one_convolution_equals_the_sum_of_two_branches(
    modulation: str, factors: str, padding: str
) -> None:
    config = replace(CONFIG, modulation=modulation, factors=factors, padding=padding)
    # In double precision, where the order of summation does not show.
    sian = block(config).double()
    h, style = torch.randn(2, 10, 12, 12).double(), torch.randn(2, config.style_dim).double()
    maps = random_maps(dtype=torch.float64)
    expected = two_branches(sian, h, maps, style, config)
    torch.testing.assert_close(sian(h, maps, style), expected)


def test_every_input_reaches_the_output() -> None:
    sian = block(CONFIG)
    h, maps = torch.randn(2, 10, 12, 12), random_maps()
    style = torch.randn(2, CONFIG.style_dim)
    out = sian(h, maps, style)
    other = random_maps()
    for changed in (
        sian(h, maps, style + 1),
        sian(h, replace(maps, semantic=maps.semantic.flip(1)), style),
        sian(h, replace(maps, direction=-maps.direction), style),
        sian(h, replace(maps, distance=other.distance), style),
        sian(h + torch.randn_like(h), maps, style),
    ):
        assert not torch.allclose(changed, out, atol=1e-3)


def test_a_fresh_block_starts_near_plain_normalisation() -> None:
    """Factors near 1 and gamma, beta near 0: the product of three maps does not vanish."""
    torch.manual_seed(0)
    sian = Sian(16, CONFIG).train()
    h = torch.randn(4, 16, 12, 12) * 3 + 2
    maps, style = random_maps(4), torch.randn(4, CONFIG.style_dim)
    normalised = F.batch_norm(h, None, None, training=True)
    out = sian(h, maps, style)
    assert 0.001 < (out - normalised).abs().mean() < 0.5


def test_literal_factors_of_zero_style_silence_the_block() -> None:
    config = replace(CONFIG, factors="literal", modulation="literal")
    sian = block(config)
    for parameter in (sian.style.bias, sian.compensation.bias, sian.gamma_beta.bias):
        torch.nn.init.zeros_(parameter)
    out = sian(torch.randn(2, 10, 12, 12), random_maps(), torch.zeros(2, config.style_dim))
    assert not out.any()


def test_phases_that_are_left_out_have_no_weights_and_no_effect() -> None:
    h = torch.randn(1, 8, 16, 16)
    styles = torch.randn(2, 1, TINY.style_dim)
    maps = [
        Maps(torch.ones(1, 2, 16, 16), torch.full((1, 2, 16, 16), v), torch.full((1, 1, 16, 16), v))
        for v in (0.0, 1.0)
    ]
    inst, style = replace(TINY, stylization=False), replace(TINY, instantiation=False)
    for config, moved_by_style, moved_by_maps in (
        (TINY, True, True),
        (inst, False, True),
        (style, True, False),
    ):
        sian = block(config, channels=8).eval()
        with torch.no_grad():
            first = sian(h.clone(), maps[0], styles[0])
            assert moved_by_style != torch.equal(first, sian(h.clone(), maps[0], styles[1]))
            assert moved_by_maps != torch.equal(first, sian(h.clone(), maps[1], styles[0]))
    names = {name.split(".")[0] for name, _ in Sian(8, style).named_parameters()}
    assert names == {"semantics", "style", "compensation", "gamma_beta"}
    assert Sian(8, style).gamma_beta.in_channels == TINY.branch_filters
