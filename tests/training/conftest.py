"""Small slides and a small run, for tests of the trainer where the picture is not the point."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from skimage.draw import disk
from torch import nn

from tests.networks import TINY
from tests.training.fakes import CheapFeatures
from training.config import LossWeights, TrainConfig
from training.data.crops import LoadedSlide


@pytest.fixture
def tiny_config() -> Callable[..., TrainConfig]:
    """A TrainConfig of a tiny network on 64 px crops; options override."""

    def make(**options: Any) -> TrainConfig:
        values: dict[str, Any] = {
            "network": TINY,
            "crop_px": 64,
            "style_px": 64,
            "batch_size": 2,
            "steps": 6,
            "sampling": "random",
            "style_source": "other",
            "stain_jitter": 0.5,
            "weights": LossWeights(
                feature=10.0, perceptual=10.0, kld=0.01, regression=1.0, colour=0.05, projected=1.0
            ),
            "kld_reduction": "sample_mean",
            "discriminator_norm": "spectral",
            "discriminator_width": 8,
            "generator_spectral_norm": False,
            "bn_batches": 2,
            "bn_px": 64,
            "precision": "fp32",
        }
        return TrainConfig(**(values | options))

    return make


@pytest.fixture
def slides() -> list[LoadedSlide]:
    """Two slides of 160 px: dark discs on a pink ground, each in its own stain."""
    made = []
    for number, organ in enumerate(("kidney", "liver")):
        rng = np.random.default_rng(number)
        labels = np.zeros((160, 160), np.int32)
        for label, (row, col) in enumerate(rng.integers(8, 152, (30, 2)), start=1):
            labels[disk((row, col), 7, shape=labels.shape)] = label
        ground, ink = (
            ((230, 170, 200), (90, 50, 130)) if number else ((200, 120, 160), (60, 40, 90))
        )
        image = np.where(labels[..., None] > 0, ink, ground) + rng.normal(0, 8, (160, 160, 3))
        made.append(
            LoadedSlide(f"slide-{number}", organ, image.clip(0, 255).astype(np.uint8), labels)
        )
    return made


@pytest.fixture
def vgg() -> nn.Module:
    return CheapFeatures()


@pytest.fixture(autouse=True)
def _quiet_threads() -> None:
    torch.set_num_threads(1)
