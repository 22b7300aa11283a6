"""The training of a SegNet: that it learns, and that stopping changes nothing."""

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from model.errors import NonFiniteLoss, ResumeMismatch
from training.distributed import Process
from training.loop import Intervals
from training.metrics.panoptic import panoptic_quality
from training.segmentation.config import SegNetConfig
from training.segmentation.data import Annotated
from training.segmentation.segmenter import Segmenter
from training.segmentation.step import SegNetStepper
from training.segmentation.train import train_segnet
from training.sitting import LOG_NAME
from training.state import STATE_NAME

MakeConfig = Callable[..., SegNetConfig]
ALONE = Process(0, 1, torch.device("cpu"))
EVERY_SECOND = Intervals(log=1, save=2, save_minutes=0)


def logged(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / LOG_NAME).read_text("utf-8").splitlines()]


def assert_same_state(one: Path, other: Path) -> None:
    first, second = load_file(one / STATE_NAME), load_file(other / STATE_NAME)
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


def test_it_learns_two_images_by_heart(
    annotated: list[Annotated], segnet_config: MakeConfig, tmp_path: Path
) -> None:
    window = np.s_[40:104, 40:104]
    images = [Annotated(image.image_u8[window], image.labels[window]) for image in annotated]
    config = segnet_config(width=16, steps=80, learning_rate=1e-2, augment=False)
    segmenter = train_segnet(config, images, tmp_path, ALONE)
    assert segmenter is not None
    found = segmenter.segment_many([image.image_u8 for image in images])
    for image, labels in zip(images, found, strict=True):
        assert panoptic_quality(image.labels, labels).pq > 0.5


def test_batch_norm_is_of_real_images_whatever_was_added(
    annotated: list[Annotated], segnet_config: MakeConfig, tmp_path: Path
) -> None:
    """With rates of 0 the weights stay: SegNets of other synthetic images are equal."""
    config = segnet_config(steps=2, learning_rate=0.0)
    dark = [Annotated(np.zeros_like(each.image_u8), each.labels) for each in annotated]
    first, second = (
        train_segnet(config, annotated, tmp_path / f"{k}", ALONE, added=added)
        for k, added in enumerate([dark, []])
    )
    assert first is not None
    assert second is not None
    states = first.net.state_dict(), second.net.state_dict()
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key
    trained = (load_file(tmp_path / f"{k}" / STATE_NAME) for k in range(2))
    one, other = (
        {key: value for key, value in state.items() if key.endswith("running_mean")}
        for state in trained
    )
    assert any(not torch.equal(value, other[key]) for key, value in one.items())


def test_stopped_at_every_step_equals_unbroken(
    annotated: list[Annotated], segnet_config: MakeConfig, tmp_path: Path
) -> None:
    """Weights, batch norm, moments of Adam, bit by bit; and the log."""
    config = segnet_config()
    unbroken = train_segnet(
        config, annotated, tmp_path / "unbroken", ALONE, intervals=Intervals(log=1)
    )
    sittings: list[Segmenter | None] = []
    while not sittings or sittings[-1] is None:
        sittings.append(
            train_segnet(
                config,
                annotated,
                tmp_path / "stopped",
                ALONE,
                intervals=Intervals(log=1, minutes=0),
            )
        )
    assert len(sittings) == 6
    assert_same_state(tmp_path / "unbroken", tmp_path / "stopped")
    assert unbroken is not None
    for key, value in unbroken.net.state_dict().items():
        assert torch.equal(value, sittings[-1].net.state_dict()[key])  # type: ignore[union-attr]
    losses = [[line["loss"] for line in logged(tmp_path / run)] for run in ("unbroken", "stopped")]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step_in_hand(
    annotated: list[Annotated],
    segnet_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    train_segnet(segnet_config(), annotated, tmp_path / "unbroken", ALONE)
    step_of = SegNetStepper.__call__

    def interrupted(stepper: SegNetStepper, batch: dict[str, Tensor], step: int) -> Tensor:
        if step == 2:
            signal.raise_signal(number)
        return step_of(stepper, batch, step)

    with monkeypatch.context() as patch:
        patch.setattr(SegNetStepper, "__call__", interrupted)
        run = tmp_path / "stopped"
        assert (
            train_segnet(segnet_config(), annotated, run, ALONE, intervals=Intervals(log=1)) is None
        )
        assert [line["step"] for line in logged(run)] == [1, 2, 3]
    assert (
        train_segnet(segnet_config(), annotated, run, ALONE, intervals=Intervals(log=1)) is not None
    )
    assert_same_state(tmp_path / "unbroken", run)


def test_the_state_is_kept_at_intervals(
    annotated: list[Annotated],
    segnet_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that is killed goes on from the last interval, and writes its log lines again."""
    step_of = SegNetStepper.__call__

    def killed(stepper: SegNetStepper, batch: dict[str, Tensor], step: int) -> Tensor:
        if step == 5:
            raise KeyboardInterrupt
        return step_of(stepper, batch, step)

    train_segnet(segnet_config(), annotated, tmp_path / "unbroken", ALONE)
    run = tmp_path / "killed"
    with monkeypatch.context() as patch:
        patch.setattr(SegNetStepper, "__call__", killed)
        with pytest.raises(KeyboardInterrupt):
            train_segnet(segnet_config(), annotated, run, ALONE, intervals=EVERY_SECOND)
    assert {file.name for file in run.iterdir()} == {STATE_NAME, LOG_NAME}
    train_segnet(segnet_config(), annotated, run, ALONE, intervals=EVERY_SECOND)
    assert [line["step"] for line in logged(run)] == [1, 2, 3, 4, 5, 6]
    assert_same_state(tmp_path / "unbroken", run)


def test_a_finished_run_is_left_as_it_is(
    annotated: list[Annotated], segnet_config: MakeConfig, tmp_path: Path
) -> None:
    train_segnet(segnet_config(), annotated, tmp_path, ALONE)
    before = (tmp_path / STATE_NAME).read_bytes()
    assert train_segnet(segnet_config(), annotated, tmp_path, ALONE) is not None
    assert (tmp_path / STATE_NAME).read_bytes() == before


def test_the_learning_rate_falls_along_half_a_cosine(segnet_config: MakeConfig) -> None:
    stepper = SegNetStepper(segnet_config(steps=4, learning_rate=0.1), ALONE)
    batch = {
        "image": torch.zeros(2, 3, 32, 32, dtype=torch.uint8),
        "classes": torch.zeros(2, 32, 32, dtype=torch.uint8),
    }
    rates = []
    for step in range(4):
        stepper(batch, step)
        rates.append(stepper.optimiser.param_groups[0]["lr"])
    assert rates == pytest.approx([0.1, 0.1 * (0.5 + 8**-0.5), 0.05, 0.1 * (0.5 - 8**-0.5)])


def test_a_loss_that_is_not_finite_stops_the_run_and_its_advice_works(
    annotated: list[Annotated], segnet_config: MakeConfig, tmp_path: Path
) -> None:
    train_segnet(segnet_config(), annotated, tmp_path, ALONE, intervals=Intervals(minutes=0))
    with pytest.raises(NonFiniteLoss, match="loss term 'loss' became"):
        train_segnet(segnet_config(learning_rate=1e20), annotated, tmp_path, ALONE)
    state = load_file(tmp_path / STATE_NAME)  # of step 1
    assert all(torch.isfinite(value).all() for value in state.values())
    assert train_segnet(segnet_config(learning_rate=1e-4), annotated, tmp_path, ALONE) is not None


def test_another_configuration_is_not_resumed(
    annotated: list[Annotated], segnet_config: MakeConfig, tmp_path: Path
) -> None:
    train_segnet(segnet_config(), annotated, tmp_path, ALONE, intervals=Intervals(minutes=0))
    with pytest.raises(ResumeMismatch, match="other settings of augment, steps"):
        train_segnet(segnet_config(augment=False, steps=9), annotated, tmp_path, ALONE)


def test_other_images_are_not_resumed(
    annotated: list[Annotated], segnet_config: MakeConfig, tmp_path: Path
) -> None:
    first, *others = annotated
    painted = Annotated(255 - first.image_u8, first.labels)

    def train(images: list[Annotated], added: list[Annotated], minutes: float = math.inf) -> object:
        limit = Intervals(minutes=minutes)
        return train_segnet(segnet_config(), images, tmp_path, ALONE, added=added, intervals=limit)

    train(annotated, [first], minutes=0)
    for images, added, said in (
        ([painted, *others], [first], "image 0: changed"),
        (annotated, [first, first], "synthetic images: changed"),
        (annotated, [], "synthetic images: no longer there"),
    ):
        with pytest.raises(ResumeMismatch, match=said):
            train(images, added)
    assert train(annotated, [first]) is not None


def test_a_damaged_state_is_said_plainly(
    annotated: list[Annotated], segnet_config: MakeConfig, tmp_path: Path
) -> None:
    train_segnet(segnet_config(), annotated, tmp_path, ALONE, intervals=Intervals(minutes=0))
    state = tmp_path / STATE_NAME
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(ResumeMismatch, match="cannot be read"):
        train_segnet(segnet_config(), annotated, tmp_path, ALONE)
