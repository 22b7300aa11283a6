"""The state of a run: that an optimiser goes on from it exactly as if it had not stopped."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from model.pixels import channels_last, place
from training.config import TrainConfig
from training.distributed import Process
from training.segmentation.config import SegNetConfig
from training.state import Progress, listed, load_state, save_state
from training.step import Stepper

ALONE = Process(0, 1, torch.device("cpu"))


class Filters:
    """Two channels-last convolutions that learn to give zeros."""

    def __init__(self, *, fused: bool) -> None:
        torch.manual_seed(0)
        self.config, self.process = SegNetConfig(), ALONE
        self.net = place(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)), "cpu")
        self.adam = torch.optim.Adam(self.net.parameters(), lr=1e-2, fused=fused)

    def parts(self) -> Mapping[str, nn.Module]:
        return {"net": self.net}

    def optimisers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {"adam": self.adam}

    def step(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.adam.zero_grad(set_to_none=True)
        self.net(channels_last(torch.randn(2, 3, 8, 8))).square().mean().backward()
        self.adam.step()

    def moments(self) -> list[Tensor]:
        return moments_of(self.adam)


def moments_of(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    return [
        value
        for parameter in optimiser.param_groups[0]["params"]
        for slot, value in optimiser.state[parameter].items()
        if slot != "step"
    ]


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_after_resuming_equals_that_of_the_unbroken_run(tmp_path: Path, fused: bool) -> None:
    unbroken, resumed = Filters(fused=fused), Filters(fused=fused)
    unbroken.step(1)
    save_state(tmp_path, unbroken, Progress(1, 0.5), {})
    assert load_state(tmp_path, resumed, {}) == Progress(1, 0.5)
    for run in (unbroken, resumed):
        run.step(2)
    for one, other in zip(unbroken.net.parameters(), resumed.net.parameters(), strict=True):
        assert torch.equal(one, other)
    for one, other in zip(unbroken.moments(), resumed.moments(), strict=True):
        assert torch.equal(one, other)


def test_resumed_moments_lie_in_memory_as_their_parameters(
    tiny_config: Callable[..., TrainConfig], vgg: nn.Module, tmp_path: Path
) -> None:
    """Of every network of the trainer; fused Adam on CUDA takes nothing else."""
    config = tiny_config(generator_spectral_norm=True)
    stopped, resumed = (Stepper(config, vgg, ALONE) for _ in range(2))
    for optimiser in stopped.optimisers().values():
        for parameter in optimiser.param_groups[0]["params"]:
            parameter.grad = torch.ones_like(parameter)
        optimiser.step()
    save_state(tmp_path, stopped, Progress(1), {})
    load_state(tmp_path, resumed, {})
    of_four_axes = 0
    for optimiser in resumed.optimisers().values():
        for parameter in optimiser.param_groups[0]["params"]:
            for slot in ("exp_avg", "exp_avg_sq"):
                assert optimiser.state[parameter][slot].stride() == parameter.stride()
            of_four_axes += parameter.dim() == 4 and not parameter.is_contiguous()
    assert of_four_axes > 10


def test_of_many_differences_the_first_are_told_and_how_many_more() -> None:
    assert listed(["a"]) == "a"
    assert listed(list("abcd")) == "a; b; c; d"
    assert listed(list("abcdef")) == "a; b; c; d; and 2 more"
