"""VGG19 features and the perceptual loss, on random weights and on the real ones."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model.errors import WeightsMissing
from tests.training.fakes import random_vgg
from training.losses import perceptual
from training.vgg import Vgg19


def test_taps_have_the_published_widths_and_strides() -> None:
    taps = Vgg19(random_vgg(), oxford=True)(torch.zeros(2, 3, 64, 32))
    assert [tuple(tap.shape) for tap in taps] == [
        (2, 64, 64, 32), (2, 128, 32, 16), (2, 256, 16, 8), (2, 512, 8, 4), (2, 512, 4, 2),
    ]  # fmt: skip


def test_equal_images_cost_nothing_and_the_gradient_is_one_sided() -> None:
    vgg = Vgg19(random_vgg(), oxford=True)
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    assert perceptual(vgg(image), vgg(image)).item() == 0
    fake, real = torch.zeros(1, 3, 32, 32, requires_grad=True), image.requires_grad_()
    perceptual(vgg(real), vgg(fake)).backward()
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0
    assert real.grad is None


def test_layers_are_divided_by_their_activation() -> None:
    """Scaling one layer's weights scales its activations, and must not change the loss."""
    state = random_vgg()
    image, other = (torch.rand(2, 3, 32, 32) * 2 - 1).split(1)
    plain = Vgg19(state, oxford=True)
    expected = perceptual(plain(image), plain(other))
    state["features.28.weight"] *= 50
    scaled = Vgg19(state, oxford=True)
    torch.testing.assert_close(perceptual(scaled(image), scaled(other)), expected)


def test_missing_and_wrong_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="--vgg"):
        Vgg19.load(tmp_path / "none.safetensors")
    state = random_vgg()
    del state["features.28.weight"]
    save_file(state, tmp_path / "short.safetensors")
    with pytest.raises(WeightsMissing, match=r"relu5_1"):
        Vgg19.load(tmp_path / "short.safetensors")
    for name in ("noise.safetensors", "noise.pth"):
        for content in (b"", b"<html>not found</html>"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(WeightsMissing, match=r"docs/training\.md"):
                Vgg19.load(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsMissing, match="relu5_1"):
        Vgg19.load(tmp_path / "list.pth")


def test_torchvision_files_load(tmp_path: Path) -> None:
    torch.save(random_vgg(), tmp_path / "vgg19.pth")
    vgg = Vgg19.load(tmp_path / "vgg19.pth")
    assert vgg.deviation[0, 0, 0, 0].item() == pytest.approx(58.395)


def test_real_weights_put_unlike_textures_apart(test_data: Path) -> None:
    vgg = Vgg19.load(test_data / "weights" / "vgg19_to_relu5_1_fp16.safetensors")
    torch.manual_seed(0)
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    near, far = image + 0.02 * torch.randn_like(image), torch.rand_like(image) * 2 - 1
    with torch.no_grad():
        taps = vgg(image)
        assert perceptual(taps, vgg(near)) < 0.3 * perceptual(taps, vgg(far))
