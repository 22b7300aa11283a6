"""Training on a GPU: what differs there, on CUDA where there is one, and on the CPU, where the same
tests show that they are right."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from model.device import compute_reproducibly
from training.config import TrainConfig
from training.data.crops import LoadedSlide
from training.distributed import Process
from training.generator import train_generator
from training.loop import Intervals
from training.methods import METHODS
from training.segmentation.config import SegNetConfig
from training.segmentation.data import Annotated
from training.segmentation.train import train_segnet
from training.sitting import LOG_NAME
from training.state import STATE_NAME
from training.step import Stepper
from training.trained import finish, load_result
from training.waiting import timed

CUDA = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
)
ON_EVERY_DEVICE = pytest.mark.parametrize("device", ["cpu", CUDA])
# On the CPU one method of each kind: all of them are trained there by tests/training/test_methods.
METHODS_HERE = [pytest.param("cpu", name, id=f"cpu-{name}") for name in ("sian", "pix2pix")]
METHODS_HERE += [
    pytest.param(*CUDA.values, name, id=f"cuda-{name}", marks=CUDA.marks) for name in METHODS
]


def process_on(device: str) -> Process:
    return Process(0, 1, torch.device(device))


def small(name: str) -> TrainConfig:
    config = METHODS[name].config.fitted(8, 128)
    return config.with_options(
        precision="bf16", style_px=64, bn_px=128, batch_size=2, steps=3, bn_batches=1
    )


def steps_in(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / LOG_NAME).read_text("utf-8").splitlines()]


def assert_as_stored(stepper: Stepper, run: Path) -> None:
    """Every tensor of the state is in its part or optimiser, and moments lie in memory as their
    parameters: fused Adam on CUDA refuses others."""
    stored = load_file(run / STATE_NAME)
    for name, part in stepper.parts().items():
        for key, value in part.state_dict().items():
            assert torch.equal(value.cpu(), stored[f"{name}/{key}"]), f"{name}/{key}"
    for optimiser in stepper.optimisers().values():
        for parameter in optimiser.param_groups[0]["params"]:
            for slot in ("exp_avg", "exp_avg_sq"):
                moment = optimiser.state[parameter][slot]
                assert (moment.device, moment.stride()) == (parameter.device, parameter.stride())


@pytest.mark.parametrize(("device", "name"), METHODS_HERE)
def test_a_method_is_trained_stopped_resumed_and_finished(
    device: str, name: str, slides: list[LoadedSlide], vgg: nn.Module, tmp_path: Path
) -> None:
    config, process = small(name), process_on(device)
    every = Intervals(log=1, minutes=0)
    # Tiles that were drawn before, in the same process, asked for kernels that training lacks.
    compute_reproducibly(device)
    for step in (1, 2, 3):
        stepper, progress = train_generator(
            config, slides, vgg, tmp_path, process, workers=step % 2, intervals=every
        )
        assert progress.step == step
        assert_as_stored(stepper, tmp_path)
    assert steps_in(tmp_path) == [1, 2, 3]
    assert next(stepper.generator.parameters()).device.type == device
    network = load_result(finish(name, tmp_path, stepper, progress, slides), device=device)
    crop = slides[0].image_u8[:128, :128], slides[0].labels[:128, :128]
    tile = network.synthesize(crop[1], network.encode_style(crop[0]), seed=0)
    assert (tile.shape, tile.dtype) == ((128, 128, 3), np.uint8)
    assert tile.std() > 0


@ON_EVERY_DEVICE
def test_a_segnet_is_trained_resumed_and_used(
    device: str, slides: list[LoadedSlide], tmp_path: Path
) -> None:
    images = [Annotated(slide.image_u8, slide.labels) for slide in slides]
    config = SegNetConfig(width=8, crop_px=64, batch_size=2, steps=2, precision="bf16")
    stopped = train_segnet(
        config, images, tmp_path, process_on(device), intervals=Intervals(log=1, minutes=0)
    )
    assert stopped is None
    segmenter = train_segnet(
        config, images, tmp_path, process_on(device), workers=1, intervals=Intervals(log=1)
    )
    assert segmenter is not None
    assert steps_in(tmp_path) == [1, 2]
    (found,) = segmenter.segment_many([slides[0].image_u8])
    assert found.shape == slides[0].labels.shape


@ON_EVERY_DEVICE
def test_a_device_that_waits_for_its_batches_is_seen_to(device: str) -> None:
    where = torch.device(device)

    def batches() -> Iterator[dict[str, Tensor]]:
        for number in range(3):
            if where.type == "cuda":
                torch.cuda.synchronize()  # so that the GPU has nothing to do
            time.sleep(0.05)
            yield {"k": torch.tensor(number)}

    waits = []
    for batch, waited in timed(batches(), where):
        batch["k"].to(where) + 1
        waits.append(waited)
    assert len(waits) == 3
    assert all(0.04 < waited < 10 for waited in waits)
