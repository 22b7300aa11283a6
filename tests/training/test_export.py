"""From a run to a checkpoint that the synthesizer serves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from model.checkpoint import load_networks, verify
from model.synthesizer import Synthesizer
from tests.networks import TINY_BY_NUCLEUS
from training.config import TrainConfig
from training.data.crops import LoadedSlide
from training.distributed import Process
from training.export import export
from training.generator import train_generator
from training.loop import Intervals
from training.state import Progress

ALONE = Process(0, 1, torch.device("cpu"))


@pytest.mark.parametrize(
    "options", [{}, {"generator_spectral_norm": True}, {"network": TINY_BY_NUCLEUS}]
)
def test_exported_checkpoint_serves_the_averaged_network(
    tiny_config: Callable[..., TrainConfig],
    slides: list[LoadedSlide],
    vgg: nn.Module,
    tmp_path: Path,
    options: dict[str, Any],
) -> None:
    config = tiny_config(**options)
    stepper, _ = train_generator(
        config, slides, vgg, tmp_path, ALONE, workers=0, intervals=Intervals()
    )
    path = tmp_path / "out" / "test.safetensors"
    card = export(path, stepper, Progress(6, 90.0), slides, name="test", licence="CC0-1.0")
    assert card == verify(path)
    assert (card.name, card.training["steps"], card.licence) == ("test", 6, "CC0-1.0")
    assert card.config == config.network
    assert {organ: len(rows) for organ, rows in card.styles.items()} == {"kidney": 2, "liver": 2}

    synthesizer = Synthesizer.load(path)
    assert synthesizer.styles.organs == ["kidney", "liver"]
    tile = synthesizer.synthesize(slides[0].labels, synthesizer.styles.vector("kidney"), seed=1)
    assert tile.shape == (160, 160, 3)
    # What was saved is the average, to float16, and not the live network.
    generator, _, _ = load_networks(path, "cpu")
    saved = generator.to_image.weight
    averaged = stepper.ema_generator.module.to_image.weight
    torch.testing.assert_close(saved, averaged, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(saved, stepper.generator.to_image.weight, rtol=1e-3, atol=1e-6)


def test_exported_batch_norm_fits_the_averaged_weights(
    tiny_config: Callable[..., TrainConfig],
    slides: list[LoadedSlide],
    vgg: nn.Module,
    tmp_path: Path,
) -> None:
    """In evaluation mode a batch of real layouts comes out normalised: mean 0, variance 1."""
    config = tiny_config(bn_batches=8)
    stepper, _ = train_generator(
        config, slides, vgg, tmp_path, ALONE, workers=0, intervals=Intervals()
    )
    path = tmp_path / "test.safetensors"
    export(path, stepper, Progress(6, 90.0), slides, name="test", licence="CC0-1.0")
    synthesizer = Synthesizer.load(path)
    seen: list[torch.Tensor] = []
    last = synthesizer.generator.blocks[-1].sian_1.normalise  # type: ignore[union-attr]
    last.register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    for slide in slides:
        for seed in range(3):
            vector = synthesizer.encode_style(slide.image_u8)
            synthesizer.synthesize(slide.labels[:64, :64], vector, seed=seed)
    values = torch.cat(seen)
    assert values.mean().abs() < 0.3
    assert values.std().item() == pytest.approx(1, abs=0.3)


def test_presets_come_from_the_slides_named_in_the_card(
    tiny_config: Callable[..., TrainConfig],
    slides: list[LoadedSlide],
    vgg: nn.Module,
    tmp_path: Path,
) -> None:
    stepper, _ = train_generator(tiny_config(), slides, vgg, tmp_path, ALONE, workers=0)
    path = tmp_path / "test.safetensors"
    card = export(path, stepper, Progress(6, 90.0), slides, name="test", licence="CC0-1.0")
    synthesizer = Synthesizer.load(path)
    place = card.styles["liver"][1]
    assert place["slide"] == "slide-1"
    crop = slides[1].image_u8[
        place["top"] : place["top"] + place["side"], place["left"] : place["left"] + place["side"]
    ]
    encoded = synthesizer.encode_style(crop)
    np.testing.assert_allclose(synthesizer.styles.exemplars("liver")[1], encoded, atol=5e-3)
