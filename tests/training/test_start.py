"""A run that begins with the networks of a checkpoint."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from model.checkpoint import load_networks, verify
from model.errors import ParameterInvalid, ResumeMismatch
from tests.networks import TINY_BY_NUCLEUS
from training.config import TrainConfig
from training.data.crops import LoadedSlide
from training.distributed import Process
from training.export import export
from training.generator import train_generator
from training.loop import Intervals
from training.methods import METHODS
from training.start import Start, steps_before
from training.state import Progress
from training.step import Stepper

ALONE = Process(0, 1, torch.device("cpu"))
MakeConfig = Callable[..., TrainConfig]


@pytest.fixture
def first(
    tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> Path:
    """A checkpoint of six steps on the first of the two slides."""
    own = slides[:1]
    stepper, progress = train_generator(
        tiny_config(), own, vgg, tmp_path / "first", ALONE, workers=0
    )
    path = tmp_path / "first.safetensors"
    export(path, stepper, progress, own, name="first", licence="CC0-1.0")
    return path


def equal(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = dict(one.named_parameters()), dict(other.named_parameters())
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_networks_and_averages_are_those_of_the_checkpoint(
    first: Path, tiny_config: MakeConfig, vgg: nn.Module
) -> None:
    start, config = Start.read(first, tiny_config())
    stepper, fresh = Stepper(config, vgg, ALONE, start), Stepper(config, vgg, ALONE)
    generator, encoder, _ = load_networks(first, "cpu")
    assert equal(stepper.generator, generator)
    assert equal(stepper.ema_generator.module, generator)
    assert equal(stepper.encoder, encoder)
    assert equal(stepper.ema_encoder.module, encoder)
    assert stepper.generator.training
    assert all(p.requires_grad for p in [*stepper.generator.parameters()])
    assert not equal(stepper.generator, fresh.generator)


def test_under_spectral_norm_they_are_the_same_at_the_size_of_new_weights(
    tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    config = tiny_config(generator_spectral_norm=True)
    trained, progress = train_generator(config, slides, vgg, tmp_path, ALONE, workers=0)
    path = tmp_path / "first.safetensors"
    export(path, trained, progress, slides, name="first", licence="CC0-1.0")
    start, config = Start.read(path, config)
    stepper, fresh = Stepper(config, vgg, ALONE, start), Stepper(config, vgg, ALONE)
    normalised = 0
    for name, part in fresh.generator.named_modules():
        if not parametrize.is_parametrized(part, "weight"):
            continue
        normalised += 1
        ours = stepper.generator.get_submodule(name)
        new, scaled = (each.parametrizations.weight.original.norm().item() for each in (part, ours))
        assert scaled == pytest.approx(new, rel=0.15)
        kept = start.generator.get_submodule(name).weight
        now = ours.eval().weight
        assert F.cosine_similarity(now.flatten(), kept.flatten(), dim=0) > 0.9999
        assert (now.norm() / kept.norm()).item() == pytest.approx(1, rel=0.1)
    assert normalised > 4


def test_two_runs_may_begin_with_one_start(
    first: Path, tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    start, config = Start.read(first, tiny_config(steps=2))
    once, again = (
        train_generator(config, slides, vgg, tmp_path / name, ALONE, workers=0, start=start)[0]
        for name in ("once", "again")
    )
    assert equal(once.generator, again.generator)
    assert not equal(once.generator, start.generator)


def test_it_resumes_as_if_it_had_not_stopped(
    first: Path, tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    start, config = Start.read(first, tiny_config(steps=3))
    whole, _ = train_generator(
        config, slides, vgg, tmp_path / "whole", ALONE, workers=0, start=start
    )
    for minutes in (0.0, 60.0):
        parted, progress = train_generator(
            config,
            slides,
            vgg,
            tmp_path / "parted",
            ALONE,
            workers=0,
            start=start,
            intervals=Intervals(minutes=minutes),
        )
    assert progress.step == 3
    assert equal(whole.generator, parted.generator)
    assert equal(whole.discriminators, parted.discriminators)


def test_a_run_with_another_start_is_not_resumed(
    first: Path, tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    start, config = Start.read(first, tiny_config())
    train_generator(config, slides, vgg, tmp_path / "run", ALONE, workers=0, start=start)
    with pytest.raises(ResumeMismatch, match="other settings of start_from"):
        train_generator(tiny_config(), slides, vgg, tmp_path / "run", ALONE, workers=0)


def test_the_card_tells_everything_that_was_seen(
    first: Path, tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    path, other = first, slides[1:]
    for name, steps in (("second", 2), ("third", 1)):
        start, config = Start.read(path, tiny_config(steps=steps))
        stepper = Stepper(config, vgg, ALONE, start)
        before, path = verify(path), tmp_path / f"{name}.safetensors"
        export(path, stepper, Progress(steps, 36.0), other, name=name, licence="CC0-1.0")
        told = verify(path).training
        assert told["slides"] == [slide.id for slide in slides]
        assert told["config"]["start_from"] == told["started_from"]["sha256"] == before.sha256
    assert [told["steps"], told["hours"]] == [1, 0.01]
    assert [told["started_from"]["steps"], steps_before(told)] == [2, 2 + 6]
    assert steps_before(verify(first).training) == 0


def test_another_network_is_refused(first: Path, tiny_config: MakeConfig) -> None:
    with pytest.raises(ParameterInvalid, match=r"to be trained: nucleus_noise\. Choose the"):
        Start.read(first, tiny_config(network=TINY_BY_NUCLEUS))
    with pytest.raises(ParameterInvalid, match=r"to be trained\. Choose the"):
        Start.read(first, METHODS["spade"].config)


def test_one_that_does_not_tell_its_slides_is_refused(first: Path, tiny_config: MakeConfig) -> None:
    card = json.loads(first.with_suffix(".json").read_text())
    del card["training"]["slides"]
    first.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ParameterInvalid, match=r"training\.slides.*another --start-from"):
        Start.read(first, tiny_config())
