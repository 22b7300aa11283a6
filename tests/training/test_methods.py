"""Every method of the tables: described, trained, resumed, finished, and judged by one door."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from model.errors import CheckpointMissing, ParameterInvalid
from training.config import TrainConfig
from training.data.crops import LoadedSlide
from training.distributed import Process
from training.generator import train_generator
from training.loop import Intervals
from training.methods import METHODS, method_named
from training.state import STATE_NAME
from training.trained import RESULT_NAME, Trained, finish, load_result

ALONE = Process(0, 1, torch.device("cpu"))


def small(name: str, **options: object) -> TrainConfig:
    """The method at an eighth of its width, on crops of 128 px."""
    config = METHODS[name].config.fitted(8, 128)
    values = {"style_px": 64, "bn_px": 128, "batch_size": 2, "steps": 3, "bn_batches": 1}
    return config.with_options(precision="fp32", **(values | options))


def run(config: TrainConfig, slides: list[LoadedSlide], vgg: nn.Module, folder: Path) -> Path:
    stepper, progress = train_generator(
        config, slides, vgg, folder, ALONE, workers=0, intervals=Intervals(save=1)
    )
    return finish("tested", folder, stepper, progress, slides)


@pytest.mark.parametrize("name", METHODS)
def test_a_configuration_survives_json(name: str) -> None:
    for config in (METHODS[name].config, small(name)):
        stored = json.loads(json.dumps(config.to_dict()))
        assert TrainConfig.from_dict(stored) == config


@pytest.mark.parametrize("name", METHODS)
def test_stopped_and_resumed_equals_unbroken(
    name: str, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    config = small(name)
    run(config, slides, vgg, tmp_path / "unbroken")
    # The learning rates of some fall over the run, so that its length must stay the same.
    train_generator(
        config, slides, vgg, tmp_path / "resumed", ALONE, workers=0, intervals=Intervals(minutes=0)
    )
    run(config, slides, vgg, tmp_path / "resumed")
    unbroken = load_file(tmp_path / "unbroken" / STATE_NAME)
    resumed = load_file(tmp_path / "resumed" / STATE_NAME)
    assert unbroken.keys() == resumed.keys()
    for key, value in unbroken.items():
        assert torch.equal(value, resumed[key]), key


@pytest.mark.parametrize("name", METHODS)
def test_what_was_trained_synthesizes(
    name: str, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    model = load_result(run(small(name), slides, vgg, tmp_path))
    mask = slides[0].labels[:128, :128]
    styles = [model.encode_style(slide.image_u8[:128, :128]) for slide in slides]
    tiles = [model.synthesize(mask, style, seed=5) for style in styles]
    assert tiles[0].shape == (128, 128, 3)
    assert tiles[0].dtype == np.uint8
    assert np.array_equal(tiles[0], model.synthesize(mask, styles[0], seed=5))
    assert np.array_equal(tiles[0], tiles[1]) != METHODS[name].styled
    assert not np.array_equal(tiles[0], model.synthesize(np.zeros_like(mask), styles[0], seed=5))


def test_dropout_is_the_noise_of_pix2pix(
    slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    model = load_result(run(small("pix2pix"), slides, vgg, tmp_path))
    mask, style = slides[0].labels[:128, :128], np.empty(0, np.float32)
    before = torch.random.get_rng_state()
    tiles = [model.synthesize(mask, style, seed=seed) for seed in (1, 2)]
    assert not np.array_equal(*tiles)
    assert torch.equal(before, torch.random.get_rng_state())


def test_learning_rates_fall_where_they_were_published_to(
    slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    config = small("pix2pix").with_options(steps=4)
    stepper, _ = train_generator(config, slides, vgg, tmp_path, ALONE, workers=0)
    assert stepper.optimiser_g.param_groups[0]["lr"] == pytest.approx(2e-4 / 2)  # the last of 4
    stepper._set_rates(2)
    assert stepper.optimiser_d.param_groups[0]["lr"] == pytest.approx(2e-4)


def test_a_network_draws_the_sizes_it_can(
    slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    model = load_result(run(small("spade"), slides, vgg, tmp_path))
    style = model.encode_style(slides[0].image_u8[:64, :64])
    assert model.synthesize(np.ones((256, 64), int), style, seed=0).shape == (256, 64, 3)
    with pytest.raises(ParameterInvalid, match="multiples of 32"):
        model.synthesize(np.ones((100, 64), int), style, seed=0)


def test_a_missing_result_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(CheckpointMissing, match="Train it first"):
        Trained.load(tmp_path / RESULT_NAME)


def test_an_unknown_method_is_answered_with_those_there_are() -> None:
    with pytest.raises(ParameterInvalid, match="pix2pix, sharp-gan, pix2pixhd, spade"):
        method_named("cyclegan")


def test_the_ablations_leave_one_phase_out() -> None:
    whole, inst, style = (METHODS[name].config for name in ("sian", "inst", "style"))
    assert (inst.network.stylization, inst.network.instantiation) == (False, True)
    assert (style.network.stylization, style.network.instantiation) == (True, False)
    assert inst.with_options(network=whole.network) == whole
    assert style.with_options(network=whole.network) == whole
