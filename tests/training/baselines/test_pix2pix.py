"""The U-Net against its published size; its dropout at synthesis."""

from typing import ClassVar

import torch
from torch import nn

from training.baselines.pix2pix import Dropout, UNet, UNetConfig
from training.conditions import Condition


class ThreeChannels(UNetConfig):
    condition: ClassVar[Condition] = "semantic_edges"


def parameters(config: UNetConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in UNet(config).parameters())


def test_it_has_the_parameters_of_unet_256() -> None:
    # The official code logs 54.414 M for three channels; each channel has 64 kernels of 4 x 4.
    assert round(parameters(ThreeChannels()) / 1e6, 3) == 54.414
    assert parameters(ThreeChannels()) - parameters(UNetConfig()) == 64 * 4 * 4


def test_the_coarsest_map_is_a_pixel_without_batch_norm() -> None:
    with torch.device("meta"):
        unet = UNet(UNetConfig())
        h = torch.empty(1, 2, 256, 256)
        for block in unet.encoder:
            h = block(h)
    assert h.shape == (1, 512, 1, 1)
    norms = [any(isinstance(part, nn.BatchNorm2d) for part in b.modules()) for b in unet.encoder]
    assert norms == [False, True, True, True, True, True, True, False]


def test_the_three_innermost_decoder_blocks_have_dropout() -> None:
    unet = UNet(UNetConfig(width=1))
    has = [any(isinstance(part, Dropout) for part in block.modules()) for block in unet.decoder]
    assert has == [True, True, True, False, False, False, False]


def test_weights_start_as_published() -> None:
    torch.manual_seed(0)
    unet = UNet(UNetConfig(width=16))
    for part in unet.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d) and part.weight.numel() > 5000:
            assert abs(part.weight.mean()) < 0.001
            assert abs(part.weight.std() - 0.02) < 0.001
        if isinstance(part, nn.BatchNorm2d):
            assert abs(part.weight.mean() - 1) < 0.02
            assert (part.bias == 0).all()


def test_dropout_stays_on_in_evaluation_and_follows_the_seed() -> None:
    torch.manual_seed(0)
    unet = UNet(UNetConfig(width=8, depth=5))
    condition, style = torch.rand(2, 2, 32, 32), torch.empty(2, 0)
    with torch.no_grad():
        for _ in range(3):
            unet(condition, style)
        unet.eval()
        tiles = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            tiles.append(unet(condition, style))
    assert torch.equal(tiles[0], tiles[1])
    assert (tiles[0] - tiles[2]).std() > 0.01 * tiles[0].std()


def test_evaluation_normalises_with_the_stored_statistics() -> None:
    torch.manual_seed(0)
    block = UNet(UNetConfig(width=4, depth=3)).encoder[1]
    tile, brighter = torch.rand(1, 4, 8, 8), torch.rand(1, 4, 8, 8) + 5
    beside = torch.cat([tile, brighter])
    assert not torch.allclose(block(beside)[:1], block(tile))
    block.eval()
    before = {name: buffer.clone() for name, buffer in block.named_buffers()}
    torch.testing.assert_close(block(beside)[:1], block(tile))
    assert all(torch.equal(before[name], buffer) for name, buffer in block.named_buffers())


def test_dropout_keeps_half_and_the_mean() -> None:
    torch.manual_seed(0)
    kept = Dropout().eval()(torch.ones(100_000))
    assert set(kept.tolist()) == {0.0, 2.0}
    assert abs(kept.mean() - 1) < 0.02


def test_fine_detail_reaches_the_tile_past_the_bottleneck() -> None:
    torch.manual_seed(0)
    unet = UNet(UNetConfig(width=8, depth=4)).eval()
    condition = torch.rand(1, 2, 32, 32)
    moved = condition.clone()
    moved[..., 0, 0] += 1
    with torch.no_grad():
        torch.manual_seed(3)
        tile = unet(condition, torch.empty(1, 0))
        torch.manual_seed(3)
        change = (unet(moved, torch.empty(1, 0)) - tile).abs().amax(1)[0]
    assert change[0, 0] > 10 * change[16:, 16:].max()
