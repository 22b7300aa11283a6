"""The training loop: exact resume, logs, samples, and stopping on a bad loss."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from model.config import NetworkConfig
from model.errors import NonFiniteLoss, ResumeMismatch
from tests.training.fakes import CheapFeatures
from training import loop
from training.config import LossWeights, TrainConfig
from training.data.crops import LoadedSlide
from training.distributed import Process
from training.generator import train_generator
from training.loop import Intervals
from training.state import STATE_NAME
from training.step import Stepper
from training.vgg import Taps

MakeConfig = Callable[..., TrainConfig]
MEASURED = {"images_per_second", "waiting"}
ALONE = Process(0, 1, torch.device("cpu"))


def run(
    config: TrainConfig,
    slides: list[LoadedSlide],
    vgg: nn.Module,
    folder: Path,
    intervals: Intervals | None = None,
) -> Stepper:
    every = intervals or Intervals(log=2, sample=4, save=2, save_minutes=0)
    stepper, _ = train_generator(config, slides, vgg, folder, ALONE, workers=0, intervals=every)
    return stepper


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"generator_spectral_norm": True, "discriminator_norm": "spectral_instance"},
        {"diff_augment": True, "r1": 10.0, "weights": LossWeights(segmentation=1.0)},
    ],
    ids=["release", "paper", "other adversaries"],
)
def test_stopped_and_resumed_equals_unbroken(
    tiny_config: MakeConfig,
    slides: list[LoadedSlide],
    vgg: nn.Module,
    tmp_path: Path,
    options: dict[str, Any],
) -> None:
    """Weights, averages, batch norm, optimisers: every tensor of the state, bit by bit."""
    config = tiny_config(median_blur=0.5, **options)
    run(config, slides, vgg, tmp_path / "unbroken")
    run(config.with_options(steps=4), slides, vgg, tmp_path / "resumed")
    run(config, slides, vgg, tmp_path / "resumed")
    unbroken = load_file(tmp_path / "unbroken" / STATE_NAME)
    resumed = load_file(tmp_path / "resumed" / STATE_NAME)
    assert unbroken.keys() == resumed.keys()
    for key, value in unbroken.items():
        assert torch.equal(value, resumed[key]), key
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("unbroken", "resumed")]
    without_speed = [
        [{k: v for k, v in json.loads(line).items() if k not in MEASURED} for line in lines]
        for lines in (log.splitlines() for log in logs)
    ]
    assert without_speed[0] == without_speed[1]


def test_a_limit_of_minutes_saves_and_a_second_run_goes_on(
    tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    run(tiny_config(), slides, vgg, tmp_path, Intervals(log=1, minutes=0))
    assert [
        json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()
    ] == [1]
    run(tiny_config(), slides, vgg, tmp_path, Intervals(log=1))
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("save_minutes", "saved"), [(0.0, [2, 4, 6, 7]), (2.5, [4, 7]), (4.0, [4, 7]), (9.0, [7])]
)
def test_states_are_not_saved_within_some_minutes_of_each_other(
    tiny_config: MakeConfig,
    slides: list[LoadedSlide],
    vgg: nn.Module,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    save_minutes: float,
    saved: list[int],
) -> None:
    """A step takes a minute here, and a state is due at every other step and at the last."""
    steps_done: list[int] = []

    def step(_: Stepper, batch: dict[str, torch.Tensor], step: int) -> dict[str, torch.Tensor]:
        steps_done.append(step)
        return {"loss": torch.zeros(())}

    written: list[int] = []
    clock = SimpleNamespace(
        monotonic=lambda: 60.0 * len(steps_done), perf_counter=time.perf_counter
    )
    monkeypatch.setattr(Stepper, "__call__", step)
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(loop, "save_state", lambda run, stepper, at, _: written.append(at.step))
    every = Intervals(log=10, sample=10, save=2, save_minutes=save_minutes)
    run(tiny_config(steps=7), slides, vgg, tmp_path, every)
    assert written == saved


def test_a_finished_run_is_left_as_it_is(
    tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    run(tiny_config(), slides, vgg, tmp_path)
    before = (tmp_path / STATE_NAME).read_bytes()
    run(tiny_config(), slides, vgg, tmp_path)
    assert (tmp_path / STATE_NAME).read_bytes() == before


def test_logs_hold_every_term_and_sheets_every_row(
    tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    run(tiny_config(), slides, vgg, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    terms = {"adversarial", "feature", "perceptual", "kld", "regression", "colour", "projected"}
    terms |= {"discriminator", "projected_discriminator"}
    assert terms <= lines[0].keys()
    assert all(np.isfinite(list(line.values())).all() for line in lines)
    sheets = sorted((tmp_path / "samples").iterdir())
    assert [sheet.name for sheet in sheets] == ["step-000004.png", "step-000006.png"]
    with Image.open(sheets[0]) as sheet:
        assert sheet.size == (4 * 64, 6 * 64)


def test_training_reduces_the_pixel_error(
    tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    config = tiny_config(steps=40, lr_generator=2e-3)
    run(config, slides, vgg, tmp_path, Intervals(log=5))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["perceptual"] < 0.9 * lines[0]["perceptual"]


class Breaks(CheapFeatures):
    """Features that are NaN from the fourth step on (two calls a step)."""

    calls = 0

    def forward(self, image_pm1: torch.Tensor) -> Taps:
        self.calls += 1
        scale = float("nan") if self.calls > 6 else 1.0
        return [tap * scale for tap in super().forward(image_pm1)]


def test_a_non_finite_loss_stops_and_names_the_term(
    tiny_config: MakeConfig, slides: list[LoadedSlide], tmp_path: Path
) -> None:
    config = tiny_config(weights=LossWeights(perceptual=1.0))
    with pytest.raises(NonFiniteLoss, match=r"'perceptual' became nan in the 2 steps up to 4"):
        run(config, slides, Breaks(), tmp_path)
    state = load_file(tmp_path / STATE_NAME)  # the state of step 2
    assert all(torch.isfinite(value).all() for value in state.values())


@pytest.mark.parametrize(("log", "save"), [(1, 1), (3, 1), (1, 100), (100, 100)])
def test_broken_weights_stop_the_run_and_are_not_saved(
    tiny_config: MakeConfig,
    slides: list[LoadedSlide],
    vgg: nn.Module,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    log: int,
    save: int,
) -> None:
    """Also in a network that reads the colours of what it drew, as the release network does."""

    def breaks(stepper: Stepper, batch: dict[str, torch.Tensor], step: int) -> Any:
        terms = whole_step(stepper, batch, step)
        if step == 2:
            with torch.no_grad():
                next(stepper.generator.parameters()).fill_(float("nan"))
        return terms

    whole_step = Stepper.__call__
    monkeypatch.setattr(Stepper, "__call__", breaks)
    config = tiny_config()
    assert isinstance(config.network, NetworkConfig)
    assert config.network.encoder == "colour"
    with pytest.raises(NonFiniteLoss, match="lower learning rate"):
        run(config, slides, vgg, tmp_path, Intervals(log=log, save=save, save_minutes=0))
    if save == 1:
        state = load_file(tmp_path / STATE_NAME)  # the state of step 2
        assert all(torch.isfinite(value).all() for value in state.values())
    else:
        assert not (tmp_path / STATE_NAME).exists()


def test_a_line_of_the_log_is_the_mean_of_all_steps_since_the_last(
    tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    """However often the state is saved in between, and when the run ends."""
    logs = []
    for log in (1, 4):
        run(tiny_config(), slides, vgg, tmp_path / str(log), Intervals(log, save=3, save_minutes=0))
        text = (tmp_path / str(log) / "log.jsonl").read_text()
        logs.append([json.loads(line) for line in text.splitlines()])
    each, some = logs
    assert [line["step"] for line in some] == [4, 6]
    for line, steps in zip(some, (each[:4], each[4:]), strict=True):
        mean = np.mean([step["perceptual"] for step in steps])
        assert line["perceptual"] == pytest.approx(mean, abs=1e-4)


def test_the_advice_on_a_non_finite_loss_works(
    tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    """Precision and learning rates may change when a run is resumed, and do take effect."""
    run(tiny_config(steps=2), slides, vgg, tmp_path)
    stepper = run(tiny_config(precision="bf16", lr_generator=1e-9), slides, vgg, tmp_path)
    assert stepper.optimiser_g.param_groups[0]["lr"] == 1e-9


def test_a_half_written_log_line_is_written_again(
    tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    run(tiny_config(steps=4), slides, vgg, tmp_path)
    log = tmp_path / "log.jsonl"
    log.write_text(log.read_text() + '{"step": 6, "adv')
    run(tiny_config(), slides, vgg, tmp_path)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [2, 4, 6]


def test_another_configuration_is_not_resumed(
    tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    run(tiny_config(steps=1), slides, vgg, tmp_path)
    with pytest.raises(ResumeMismatch, match="batch_size, seed"):
        run(tiny_config(seed=5, batch_size=4), slides, vgg, tmp_path)


def test_the_length_of_a_run_is_fixed_where_its_learning_rates_fall_over_it(
    tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    config = tiny_config(decay_from=0.5, steps=3)
    run(config, slides, vgg, tmp_path, Intervals(minutes=0))
    with pytest.raises(ResumeMismatch, match=r"other settings of steps.* 3 steps and not 5"):
        run(config.with_options(steps=5), slides, vgg, tmp_path)
    run(config, slides, vgg, tmp_path)


def test_a_run_goes_on_with_the_slides_that_it_has_seen(
    tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    """Else the checkpoint would not tell of all of them, and one could be judged later."""
    first, *others = slides
    painted = replace(first, image_u8=255 - first.image_u8)
    renamed = replace(first, id="another")
    config = tiny_config(steps=2)
    run(config, slides, vgg, tmp_path, Intervals(minutes=0))
    before = (tmp_path / STATE_NAME).read_bytes()
    for now, said in (
        (others, f"{first.id}: no longer there"),
        ([painted, *others], f"{first.id}: changed"),
        ([*slides, renamed], "another: new"),
    ):
        with pytest.raises(ResumeMismatch, match=f"trained on other images: {said}"):
            run(config, now, vgg, tmp_path)
    assert (tmp_path / STATE_NAME).read_bytes() == before
    run(config, slides, vgg, tmp_path)


def test_a_state_from_before_its_slides_were_noted_goes_on_and_notes_them(
    tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    run(tiny_config(steps=1), slides, vgg, tmp_path)
    state = tmp_path / STATE_NAME
    with safe_open(state, "pt") as file:
        metadata = file.metadata()
    del metadata["origins"]
    save_file(load_file(state), state, metadata)
    run(tiny_config(steps=2), slides, vgg, tmp_path)
    with pytest.raises(ResumeMismatch, match="no longer there"):
        run(tiny_config(steps=3), slides[1:], vgg, tmp_path)


def test_a_damaged_state_is_said_plainly(
    tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    run(tiny_config(steps=1), slides, vgg, tmp_path)
    state = tmp_path / STATE_NAME
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(ResumeMismatch, match="cannot be read"):
        run(tiny_config(), slides, vgg, tmp_path)


def test_weights_of_others_in_the_place_of_a_state_are_said_plainly(
    tiny_config: MakeConfig, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    run(tiny_config(steps=1), slides, vgg, tmp_path)
    state = tmp_path / STATE_NAME
    tensors = load_file(state)
    with safe_open(state, "pt") as file:
        metadata = file.metadata()
    save_file(tensors, state)
    with pytest.raises(ResumeMismatch, match="cannot be read"):
        run(tiny_config(), slides, vgg, tmp_path)
    del tensors["generator/to_image.weight"]
    save_file(tensors, state, metadata)
    with pytest.raises(ResumeMismatch, match="holds other networks"):
        run(tiny_config(), slides, vgg, tmp_path)
