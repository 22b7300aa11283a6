"""The perceptual loss on random VGG19 weights, and on the real ones."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model.errors import WeightsMissing
from training.perceptual import PerceptualLoss

WIDTHS = {
    0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256),
    14: (256, 256), 16: (256, 256), 19: (256, 512), 21: (512, 512), 23: (512, 512),
    25: (512, 512), 28: (512, 512),
}  # fmt: skip


def random_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    state = {}
    for index, (c_in, c_out) in WIDTHS.items():
        state[f"features.{index}.weight"] = torch.randn(c_out, c_in, 3, 3) * (2 / (9 * c_in)) ** 0.5
        state[f"features.{index}.bias"] = torch.zeros(c_out)
    return state


def test_equal_images_cost_nothing_and_the_gradient_is_one_sided() -> None:
    loss = PerceptualLoss(random_state(), oxford=True)
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    assert loss(image, image).item() == 0
    fake, real = torch.zeros(1, 3, 32, 32, requires_grad=True), image.requires_grad_()
    loss(fake, real).backward()
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0
    assert real.grad is None


def test_layers_are_divided_by_their_activation() -> None:
    """Scaling one layer's weights scales its activations, and must not change the loss."""
    state = random_state()
    image, other = (torch.rand(2, 3, 32, 32) * 2 - 1).split(1)
    plain = PerceptualLoss(state, oxford=True)(image, other)
    state["features.28.weight"] *= 50
    scaled = PerceptualLoss(state, oxford=True)(image, other)
    torch.testing.assert_close(plain, scaled, rtol=1e-4, atol=1e-5)


def test_missing_and_wrong_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="--vgg"):
        PerceptualLoss.load(tmp_path / "none.safetensors")
    state = random_state()
    del state["features.28.weight"]
    save_file(state, tmp_path / "short.safetensors")
    with pytest.raises(WeightsMissing, match=r"relu5_1"):
        PerceptualLoss.load(tmp_path / "short.safetensors")
    (tmp_path / "noise.safetensors").write_bytes(b"not weights")
    with pytest.raises(WeightsMissing):
        PerceptualLoss.load(tmp_path / "noise.safetensors")


def test_torchvision_files_load(tmp_path: Path) -> None:
    torch.save(random_state(), tmp_path / "vgg19.pth")
    loss = PerceptualLoss.load(tmp_path / "vgg19.pth")
    assert loss.deviation[0, 0, 0, 0].item() == pytest.approx(58.395)


def test_real_weights_put_unlike_textures_apart(test_data: Path) -> None:
    loss = PerceptualLoss.load(test_data / "weights" / "vgg19_to_relu5_1_fp16.safetensors")
    torch.manual_seed(0)
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    near, far = image + 0.02 * torch.randn_like(image), torch.rand_like(image) * 2 - 1
    with torch.no_grad():
        assert loss(near, image) < 0.3 * loss(far, image)
