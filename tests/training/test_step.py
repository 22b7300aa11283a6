"""The training step: what generator and discriminators minimise."""

from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from torch import Tensor, nn

from training.baselines.sharp_gan import SharpGanConfig
from training.config import LossWeights, TrainConfig
from training.distributed import Process
from training.networks import fitted
from training.step import Batch, Stepper

ALONE = Process(0, 1, torch.device("cpu"))
MakeConfig = Callable[..., TrainConfig]


class Recording(Stepper):
    """Keeps what each optimiser was given to minimise, and leaves the networks as they are."""

    def _update(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        self.minimised = {**getattr(self, "minimised", {}), id(optimiser): loss.item()}

    def totals(self) -> tuple[float, float]:
        """Of the generator with its encoder, and of the discriminators."""
        return self.minimised[id(self.optimiser_g)], self.minimised[id(self.optimiser_d)]


def crops(config: TrainConfig) -> Batch:
    torch.manual_seed(0)
    image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    layout = torch.rand(2, config.network.condition_channels, 64, 64)
    foreground = torch.rand(2, 64, 64) < 0.3
    batch = {"layout": layout, "image": image, "style": image.flip(0)}
    batch |= {"foreground": foreground, "style_foreground": foreground.flip(0)}
    if config.weights.segmentation:
        batch["classes"] = torch.randint(0, 3, (2, 64, 64), dtype=torch.uint8)
    return batch


def with_weights(make: MakeConfig, weights: LossWeights) -> TrainConfig:
    """Of a network with a style; of Sharp-GAN's where its loss is asked for."""
    if weights.sharpness:
        return make(network=fitted(SharpGanConfig(), 8, 64), weights=weights)
    return make(weights=weights)


@pytest.mark.parametrize(
    "weights",
    [
        LossWeights(
            feature=2.0, perceptual=3.0, kld=5.0, regression=7.0, colour=0.11, projected=13.0,
            segmentation=23.0, reconstruction=17.0,
        ),
        LossWeights(sharpness=19.0, reconstruction=2.0),
        *(LossWeights(**{name: 3.0}) for name in asdict(LossWeights())),
        LossWeights(),
    ],
)  # fmt: skip
def test_the_networks_minimise_the_weighted_sum_of_their_terms(
    tiny_config: MakeConfig, vgg: nn.Module, weights: LossWeights
) -> None:
    config = with_weights(tiny_config, weights)
    stepper = Recording(config, vgg, ALONE)
    terms = {name: value.item() for name, value in stepper(crops(config), 0).items()}
    of_generator, of_discriminators = stepper.totals()
    weighed = {name: weight for name, weight in asdict(weights).items() if weight}
    ours = {"discriminator"} | {
        f"{name}_discriminator" for name in ("projected", "segmentation") if name in weighed
    }
    assert terms.keys() == {"adversarial"} | weighed.keys() | ours
    assert all(abs(terms[name]) > 1e-6 for name in weighed)
    expected = terms["adversarial"] + sum(weighed[name] * terms[name] for name in weighed)
    assert of_generator == pytest.approx(expected, rel=1e-5)
    assert of_discriminators == pytest.approx(sum(terms[name] for name in ours), rel=1e-5)


def gradient(config: TrainConfig, vgg: nn.Module) -> Tensor:
    """Of generator and encoder after one step at rate 0, as one vector."""
    stepper = Stepper(config.with_options(lr_generator=0.0, lr_discriminator=0.0), vgg, ALONE)
    stepper(crops(config), 0)
    parameters = stepper.optimiser_g.param_groups[0]["params"]
    return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])


@pytest.mark.parametrize("name", asdict(LossWeights()))
def test_the_gradient_of_a_term_scales_with_its_weight(
    tiny_config: MakeConfig, vgg: nn.Module, name: str
) -> None:
    nearly_none, once, thrice = (
        gradient(with_weights(tiny_config, LossWeights(**{name: weight})), vgg)
        for weight in (1e-12, 1.0, 3.0)
    )
    by_one, by_three = once - nearly_none, thrice - nearly_none
    assert by_one.norm() > 1e-6
    assert (by_three - 3 * by_one).norm() < 1e-3 * by_three.norm()


def test_filters_are_channels_last(tiny_config: MakeConfig, vgg: nn.Module) -> None:
    """The layout in which convolutions are fast, in every network that is trained."""
    stepper = Stepper(tiny_config(), vgg, ALONE)
    filters = [
        value
        for optimiser in (stepper.optimiser_g, stepper.optimiser_d)
        for value in optimiser.param_groups[0]["params"]
        if value.ndim == 4 and min(value.shape[1:3]) > 1
    ]
    assert len(filters) > 10
    assert all(value.is_contiguous(memory_format=torch.channels_last) for value in filters)
