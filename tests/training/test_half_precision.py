"""What stays in float32 where autocast has the layers compute in bf16."""

import pytest
import torch

from model.config import PRESETS
from model.encoder import StyleEncoder, build_encoder
from training.losses import kl_divergence, style_regression


@pytest.mark.parametrize("preset", ["paper", "release"])
def test_the_style_is_float32_where_layers_compute_in_bf16(preset: str) -> None:
    """In bf16, 1 + log variance and the exponential of it lose what the divergence is made of."""
    torch.manual_seed(0)
    encoder = build_encoder(PRESETS[preset]).eval()
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    in_full, _ = divergence_and_regression(encoder, image)
    with torch.autocast("cpu", torch.bfloat16):
        parts = encoder(image)
        in_half, regression = divergence_and_regression(encoder, image)
        assert encoder.encode(image).dtype == torch.float32
    assert {part.dtype for part in parts} == {torch.float32}
    assert regression.dtype == torch.float32
    torch.testing.assert_close(in_half, in_full, rtol=0.05, atol=0)


def divergence_and_regression(
    encoder: StyleEncoder, image: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    mean, log_variance, _ = encoder(image)
    answer, _, _ = encoder(image.flip(0))
    return kl_divergence(mean, log_variance, "batch_sum"), style_regression(answer, mean)
