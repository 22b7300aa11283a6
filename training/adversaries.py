"""What judges a synthetic crop beside the losses: the discriminators of a run.

Each is asked twice a step: what it wants of the generator, and what it is to learn itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from training import losses
from training.config import TrainConfig
from training.discriminator import FeatureDiscriminator, MultiScaleDiscriminator
from training.patch_augment import PatchAugment
from training.segmentation_discriminator import SegmentationDiscriminator
from training.vgg import Taps

Terms = dict[str, Tensor]

Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Changes the condition and the image of crops."""


@dataclass(frozen=True)
class Pair:
    """A real crop and the synthetic one made for it.

    real, fake: images B 3 H W. real_taps, fake_taps: their VGG19 features; those of the real crop
    carry no gradient, those of the synthetic one do. condition: B C H W, what the generator was
    shown. classes: B H W, the class of each pixel, where a discriminator asks for it.
    """

    real: Tensor
    fake: Tensor
    real_taps: Taps
    fake_taps: Taps
    condition: Tensor
    classes: Tensor | None = None

    def detached(self) -> "Pair":
        taps = [tap.detach() for tap in self.fake_taps]
        return replace(self, fake=self.fake.detach(), fake_taps=taps)

    @cached_property
    def scales(self) -> list[Tensor]:
        """By which the features of both images are divided before they are judged."""
        return [losses.mean_activation(tap) for tap in self.real_taps]


class Adversaries(nn.Module):
    """Patches always; VGG19 features and pixel classes where their weights ask for them."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config
        channels, width = config.network.condition_channels, config.discriminator_width
        self.patch = MultiScaleDiscriminator(
            channels,
            width=width,
            scales=config.discriminator_scales,
            norm=config.discriminator_norm,
            padding=config.discriminator_padding,
        )
        self.projected = (
            FeatureDiscriminator(channels, width=width) if config.weights.projected else None
        )
        self.segmentation = (
            SegmentationDiscriminator(width=width) if config.weights.segmentation else None
        )

    def of_generator(self, pair: Pair, source: torch.Generator) -> Terms:
        """What they ask of the generator. ``source``: of the crops' augmentation."""
        augment = self._augment(pair, source)
        fake = self.patch(*augment(pair.condition, pair.fake))
        terms = {"adversarial": losses.adversarial_generator(self.config.gan, fake)}
        if self.config.weights.feature:
            with torch.no_grad():
                real = self.patch(*augment(pair.condition, pair.real))
            terms["feature"] = losses.feature_matching(real, fake)
        if self.projected is not None:
            scores = self.projected(pair.condition, pair.fake_taps, pair.scales)
            terms["projected"] = losses.adversarial_generator("hinge", scores)
        if self.segmentation is not None:
            logits = self.segmentation(pair.fake_taps, pair.scales)
            terms["segmentation"] = losses.segmentation_generator(logits, _classes(pair))
        return terms

    def of_themselves(self, pair: Pair, source: torch.Generator, step: int) -> Terms:
        """What they minimise; ``pair`` carries no gradient."""
        augment = self._augment(pair, source)
        real = self.patch(*augment(pair.condition, pair.real))
        fake = self.patch(*augment(pair.condition, pair.fake))
        gan = self.config.gan
        terms = {"discriminator": losses.adversarial_discriminator(gan, real, fake)}
        if self.projected is not None:
            scales = pair.scales
            terms["projected_discriminator"] = losses.adversarial_discriminator(
                "hinge",
                self.projected(pair.condition, pair.real_taps, scales),
                self.projected(pair.condition, pair.fake_taps, scales),
            )
        if self.segmentation is not None:
            terms["segmentation_discriminator"] = losses.segmentation_discriminator(
                self.segmentation(pair.real_taps, pair.scales),
                self.segmentation(pair.fake_taps, pair.scales),
                _classes(pair),
            )
        if self.config.r1:
            terms["r1"] = self.config.r1 / 2 * self._steepness(pair, step % len(pair.real))
        return terms

    def _augment(self, pair: Pair, source: torch.Generator) -> Augment:
        if not self.config.diff_augment:
            return _unchanged
        return PatchAugment.draw(len(pair.real), pair.real.shape[-1], source)

    def _steepness(self, pair: Pair, chosen: int) -> Tensor:
        """Squared gradient of the mean score, over patches and scales, by a real crop (R1,
        Mescheder et al., 2018). Of one crop of the batch a step, which costs a part of it and is
        the same on average."""
        with torch.autocast(pair.real.device.type, enabled=False):
            here = slice(chosen, chosen + 1)
            real = pair.real[here].float().detach().requires_grad_()
            outputs = self.patch(pair.condition[here].float(), real)
            score = torch.stack([features[-1].mean() for features in outputs]).mean()
            (slope,) = torch.autograd.grad(score, real, create_graph=True)
        return slope.square().sum()


def _unchanged(condition: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    return condition, image


def _classes(pair: Pair) -> Tensor:
    if pair.classes is None:
        raise ValueError("a discriminator of pixel classes needs crops with their classes")
    return pair.classes
