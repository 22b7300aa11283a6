"""EfficientNet-Lite0 against a second reading of its description, and against known features."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from model.errors import WeightsMissing
from training.data.monuseg import read_dataset
from training.metrics.efficientnet import EfficientNetLite0

WEIGHTS = "efficientnet-lite0-57934424.pth"
# Table 1 of arXiv 1905.11946: repeats, kernel, stride of the first, expansion, filters.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def convolution(
    c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1, *, linear: bool = False
) -> nn.Sequential:
    """TensorFlow's SAME padding for even sizes, convolution, batch norm, ReLU6."""
    total = kernel - stride
    pad = nn.ZeroPad2d((total // 2, total - total // 2, total // 2, total - total // 2))
    conv = nn.Conv2d(c_in, c_out, kernel, stride, groups=groups, bias=False)
    end = nn.Identity() if linear else nn.ReLU6()
    return nn.Sequential(pad, conv, nn.BatchNorm2d(c_out, eps=1e-3), end)


class Block(nn.Module):
    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = c_in * expansion
        self.parts = nn.ModuleDict()
        if expansion > 1:
            self.parts["_expand_conv"] = convolution(c_in, inner, 1)
        self.parts["_depthwise_conv"] = convolution(inner, inner, kernel, stride, groups=inner)
        self.parts["_project_conv"] = convolution(inner, c_out, 1, linear=True)
        self.skips = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for part in self.parts.values():
            y = part(y)
        return x + y if self.skips else y


class Reference(nn.Module):
    """With random weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, 32, 3, 2)
        self.blocks = nn.Sequential()
        width = 32
        for repeats, kernel, stride, expansion, filters in STAGES:
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                self.blocks.append(Block(width, filters, kernel, step, expansion))
                width = filters
        self.head = convolution(width, 1280, 1)
        draw = torch.Generator().manual_seed(0)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                fan_in = part.weight[0].numel()
                part.weight.data = torch.randn(part.weight.shape, generator=draw) / fan_in**0.5
            elif isinstance(part, nn.BatchNorm2d):
                for tensor, low, high in (
                    (part.weight.data, 0.9, 1.4),
                    (part.bias.data, -0.2, 0.8),
                    (part.running_mean, -0.2, 0.2),
                    (part.running_var, 0.5, 1.2),
                ):
                    assert tensor is not None
                    tensor.copy_(low + (high - low) * torch.rand(len(tensor), generator=draw))
        self.eval()

    @torch.inference_mode()
    def forward(self, pixels: Tensor) -> NDArray[np.float64]:
        """(B, 3, 224, 224) in 0..255 -> (B, 1280)."""
        x = self.head(self.blocks(self.stem((pixels - 127) / 128)))
        return np.asarray(x.mean((2, 3)).numpy(), np.float64)

    def state(self) -> dict[str, Tensor]:
        """With the package's names."""
        named = [("_conv_stem", "_bn0", self.stem), ("_conv_head", "_bn1", self.head)]
        norms = {"_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"}
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            for conv, part in block.parts.items():
                prefix = f"_blocks.{index}."
                named.append((prefix + conv, prefix + norms[conv], part))  # type: ignore[arg-type]
        state = {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
        for conv, norm, part in named:
            state[f"{conv}.weight"] = part[1].weight.detach()
            state |= {f"{norm}.{name}": value for name, value in part[2].state_dict().items()}
        return state


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference()


def pictures(count: int, side: int) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, side // 8, side // 8, 3), dtype=np.uint8)
    return list(coarse.repeat(8, axis=1).repeat(8, axis=2))


def test_the_network_is_the_published_one(reference: Reference) -> None:
    images = pictures(3, 224)
    expected = reference(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float())
    counted: list[int] = []
    network = EfficientNetLite0(reference.state())
    features = network.features(images, batch_size=2, advance=counted.append)
    assert counted == [2, 1]
    assert list(features) == [1280]
    rows = features[1280]
    assert rows.dtype == np.float64
    assert rows.std() > 0.05
    assert np.abs(rows[0] - rows[1]).mean() > 0.01
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-4)


def test_images_are_scaled_with_anti_aliasing(reference: Reference) -> None:
    # Pillow's bilinear filter widens with the scale, as torch's does with antialias.
    images = pictures(2, 256)
    scaled = np.stack(
        [
            [
                np.asarray(Image.fromarray(channel).resize((224, 224), Image.Resampling.BILINEAR))
                for channel in image.transpose(2, 0, 1).astype(np.float32)
            ]
            for image in images
        ]
    )
    features = EfficientNetLite0(reference.state()).features(images)[1280]
    np.testing.assert_allclose(features, reference(torch.from_numpy(scaled)), atol=1e-3)


def test_no_images(reference: Reference) -> None:
    assert EfficientNetLite0(reference.state()).features([])[1280].shape == (0, 1280)


def test_both_kinds_of_file(reference: Reference, tmp_path: Path) -> None:
    state = {name: tensor.contiguous() for name, tensor in reference.state().items()}
    torch.save(state, tmp_path / "weights.pth")
    save_file(state, tmp_path / "weights.safetensors")
    loaded = [
        EfficientNetLite0.load(tmp_path / f"weights.{kind}") for kind in ("pth", "safetensors")
    ]
    assert loaded[0].fingerprint == loaded[1].fingerprint
    state["_conv_stem.weight"] = state["_conv_stem.weight"] + 0.01
    assert EfficientNetLite0(state).fingerprint != loaded[0].fingerprint


def test_files_that_are_not_the_weights(reference: Reference, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"nothing\.pth"):
        EfficientNetLite0.load(tmp_path / "nothing.pth")
    (tmp_path / "broken.pth").write_bytes(b"<html>404</html>")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    state = reference.state()
    del state["_blocks.7._bn0.running_var"]
    torch.save(state, tmp_path / "no-norm.pth")
    for name in ("broken.pth", "list.pth", "no-norm.pth"):
        with pytest.raises(WeightsMissing, match="cannot be read"):
            EfficientNetLite0.load(tmp_path / name)


@pytest.mark.parametrize("layer", ["_blocks.16._expand_conv", "_blocks.0._se_reduce"])
def test_larger_relatives_of_the_network_are_refused(reference: Reference, layer: str) -> None:
    state = reference.state() | {f"{layer}.weight": torch.zeros(8, 8, 1, 1)}
    with pytest.raises(WeightsMissing, match=layer):
        EfficientNetLite0(state)
    del state[f"{layer}.weight"], state["_conv_head.weight"]
    with pytest.raises(WeightsMissing, match="_conv_head"):
        EfficientNetLite0(state)


def test_the_features_of_tiles(test_data: Path, monuseg: Path) -> None:
    path = test_data / "weights" / WEIGHTS
    if not path.is_file():
        pytest.skip(f"needs weights/{WEIGHTS} in the folder SIAN_TEST_DATA")
    slides = [slide for slide in read_dataset(monuseg) if slide.split == "test"]
    tiles = [slide.image()[:256, :256] for slide in slides[:5]]
    features = EfficientNetLite0.load(path).features(tiles)[1280]
    # In efficientnet-lite-pytorch 0.1.0, resized and normalised as stated.
    assert features.mean() == pytest.approx(0.15203568, rel=1e-4)
