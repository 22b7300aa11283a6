"""TrainConfig: everything a run depends on besides its data.

docs/choices.md gives the reason for each default where the paper is silent.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from model.errors import ParameterInvalid
from training.data.augment import TURN_MARGIN
from training.discriminator import Norm
from training.losses import GanKind
from training.networks import (
    FULL_WIDTH,
    Network,
    fitted,
    network_from_dict,
    network_to_dict,
    smallest_px,
)
from training.speed import Precision


@dataclass(frozen=True)
class LossWeights:
    """Of the terms beside the adversarial one. First lambda 1-4 of Eq. 1, then three of our
    own, then those of two baselines.

    feature: L1 between discriminator features, averaged over scales (lambda 1).
    perceptual: VGG19 feature distance (lambda 2).
    kld: divergence of the style from a standard normal (lambda 3).
    regression: L1 between the mean style read in the output and in the style crop (lambda 4).
    colour: Lab mean and deviation of nuclei and of stroma against the style crop's, a Lab unit.
    projected: adversarial loss of the discriminator on VGG19 features.
    segmentation: of a discriminator that names the class of every pixel.
    reconstruction: L1 between the output and the real crop (pix2pix).
    sharpness: contrast across the edges of the nuclei (Sharp-GAN).
    """

    feature: float = 0.0
    perceptual: float = 0.0
    kld: float = 0.0
    regression: float = 0.0
    colour: float = 0.0
    projected: float = 0.0
    segmentation: float = 0.0
    reconstruction: float = 0.0
    sharpness: float = 0.0

    def changed(self, changes: Mapping[str, float]) -> "LossWeights":
        """With other weights, by name. Raises ParameterInvalid."""
        known = [item.name for item in fields(self)]
        for name, weight in changes.items():
            if name not in known:
                raise ParameterInvalid(
                    f"There is no loss term '{name}'. Choose one of: {', '.join(known)}."
                )
            if not 0 <= weight < math.inf:
                raise ParameterInvalid(
                    f"The weight of '{name}' is {weight}; it must be finite and not negative."
                )
        return replace(self, **changes)


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    crop_px, style_px: side of the training crop, and of the style crop.
    batch_size: crops a step, over all processes.
    steps: length of the run.
    sampling: ``random`` positions, or the ``grid`` of crops at ``grid_stride_px``.
    style_source: ``other``, another crop of the same slide; or ``same``, the crop itself.
    rotation: ``quarter`` turns, or ``any`` angle (bilinear image, nearest labels).
    median_blur: probability of a 3 x 3 median filter on the crop.
    stain_jitter: probability of a random change of stain, the same in crop and style crop.
    kld_reduction: ``batch_sum`` (SPADE) or ``sample_mean``.
    gan: the adversarial loss.
    discriminator_norm, _width, _scales, _padding: of the patch discriminator, see there.
    diff_augment: whether the patch discriminator is shown crops that are changed at random.
    r1: of half the squared gradient of the mean patch score at a real crop. The mean is flatter
        than a single score: weights are larger than those of networks with one.
    generator_spectral_norm: as in SPADE; folded into the weights on export.
    lr_generator, lr_discriminator, beta1, beta2: Adam's, for generator with encoder, and
        discriminator.
    decay_from: part of the run after which the learning rates fall linearly to 0; 1 = never.
    ema_decay: of the averaged weights; 0 exports the raw ones.
    start_from: SHA-256 of the checkpoint whose networks the run began with, if not at random.
    bn_batches, bn_px: batches and crop side for the batch norm statistics of the export.
    """

    network: Network
    crop_px: int = 256
    style_px: int = 256
    batch_size: int = 8
    steps: int = 9_200
    sampling: Literal["random", "grid"] = "grid"
    grid_stride_px: int = 128
    style_source: Literal["other", "same"] = "same"
    rotation: Literal["quarter", "any"] = "quarter"
    median_blur: float = 0.1
    stain_jitter: float = 0.0
    weights: LossWeights = field(default_factory=LossWeights)
    kld_reduction: Literal["batch_sum", "sample_mean"] = "batch_sum"
    gan: GanKind = "hinge"
    discriminator_norm: Norm = "spectral_instance"
    discriminator_width: int = 64
    discriminator_scales: int = 2
    discriminator_padding: int = 2
    diff_augment: bool = False
    r1: float = 0.0
    generator_spectral_norm: bool = True
    lr_generator: float = 1e-4
    lr_discriminator: float = 4e-4
    beta1: float = 0.0
    beta2: float = 0.9
    decay_from: float = 1.0
    ema_decay: float = 0.999
    bn_batches: int = 32
    bn_px: int = 256
    precision: Precision = "auto"
    seed: int = 0
    start_from: str | None = None

    def __post_init__(self) -> None:
        if self.weights.sharpness and self.network.condition_channels != 1:
            raise ParameterInvalid(
                "The loss 'sharpness' is for networks that are shown a distance map and nothing "
                "else. Use --method sharp-gan, or no weight for it."
            )
        stride, smallest = self.network.stride, smallest_px(self.network)
        for name, side in (("crop_px", self.crop_px), ("bn_px", self.bn_px)):
            if side % stride or side < smallest:
                raise ParameterInvalid(
                    f"{name} is {side}; it must be a multiple of {stride} and at least "
                    f"{smallest} for this network. Change --crop."
                )

    def fixed(self) -> dict[str, Any]:
        """Settings that a resumed run may not change, JSON-ready. Its length is one where a
        learning rate depends on it; of the weights, whether a discriminator hangs on them."""
        free = {"bn_batches", "bn_px", "precision", "lr_generator", "lr_discriminator", "weights"}
        if self.decay_from == 1:
            free.add("steps")
        ours = {
            "a discriminator on VGG19 features": self.weights.projected > 0,
            "a discriminator of pixel classes": self.weights.segmentation > 0,
        }
        return {k: v for k, v in self.to_dict().items() if k not in free} | ours

    @property
    def smallest_slide_px(self) -> int:
        """Side a slide must have, so that every crop of the run and its export fits."""
        turned = math.ceil(self.crop_px * TURN_MARGIN) + 2
        return max(self.bn_px, turned if self.rotation == "any" else self.crop_px)

    def with_options(self, **options: Any) -> "TrainConfig":
        """A copy with the options that are not None."""
        return replace(self, **{key: value for key, value in options.items() if value is not None})

    def fitted(self, width: int, crop_px: int) -> "TrainConfig":
        """The same run on crops of another size, with ``width`` filters where the networks of the
        papers have 64, and the discriminators in proportion. Raises ParameterInvalid."""
        network = fitted(self.network, width, crop_px)
        filters = max(1, self.discriminator_width * width // FULL_WIDTH)
        return replace(self, network=network, crop_px=crop_px, discriminator_width=filters)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self) | {"network": network_to_dict(self.network)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainConfig":
        known = {item.name for item in fields(cls)}
        kept = {key: value for key, value in values.items() if key in known}
        kept["network"] = network_from_dict(kept["network"])
        kept["weights"] = LossWeights(**kept["weights"])
        return cls(**kept)
