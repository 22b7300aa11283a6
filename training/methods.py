"""The methods of the paper's tables, each with its published losses and schedule.

What a paper leaves open is the same for all: crops, batch, number of steps, augmentation, and
averaged weights. docs/choices.md gives the reasons.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from model.config import PRESETS as SIAN_NETWORKS
from model.errors import ParameterInvalid
from training.baselines.pix2pix import UNetConfig
from training.baselines.pix2pixhd import GlobalConfig
from training.baselines.sharp_gan import SharpGanConfig
from training.baselines.spade import SpadeConfig
from training.config import LossWeights, TrainConfig

_PAPER = TrainConfig(
    network=SIAN_NETWORKS["paper"],
    weights=LossWeights(feature=10.0, perceptual=10.0, kld=0.05, regression=1.0),
)


# What Isola et al. and Wang et al. share: the learning rates fall over the second half.
_BEFORE_SPADE = TrainConfig(
    network=UNetConfig(),
    generator_spectral_norm=False,
    lr_generator=2e-4,
    lr_discriminator=2e-4,
    beta1=0.5,
    beta2=0.999,
    decay_from=0.5,
)


@dataclass(frozen=True)
class Method:
    """A row of the tables.

    title: as printed in the paper. styled: it takes a style; others have one appearance a mask.
    compact: it keeps its own width in the tables. repeated: it has several seeds there.
    """

    title: str
    config: TrainConfig
    styled: bool = True
    compact: bool = False
    repeated: bool = False


METHODS: dict[str, Method] = {
    # Isola et al., CVPR 2017: batch 1, 200 epochs.
    "pix2pix": Method(
        "pix2pix",
        replace(
            _BEFORE_SPADE,
            gan="vanilla",
            weights=LossWeights(reconstruction=100.0),
            discriminator_norm="batch",
            discriminator_scales=1,
            discriminator_padding=1,
        ),
        styled=False,
    ),
    # Butte et al., ISBI 2022, as far as it is public.
    "sharp-gan": Method(
        "Sharp-GAN (approximation)",
        replace(
            _BEFORE_SPADE,
            network=SharpGanConfig(),
            gan="least_squares",
            weights=LossWeights(feature=5.0, perceptual=5.0, sharpness=10.0),
            discriminator_norm="instance",
        ),
        styled=False,
    ),
    # Wang et al., CVPR 2018: 200 epochs. Its weights are 10 beside an adversarial loss that is
    # summed over the two scales; ours is their mean.
    "pix2pixhd": Method(
        "pix2pixHD",
        replace(
            _BEFORE_SPADE,
            network=GlobalConfig(),
            gan="least_squares",
            weights=LossWeights(feature=5.0, perceptual=5.0),
            discriminator_norm="instance",
        ),
        styled=False,
    ),
    # Park et al., CVPR 2019, with its VAE: 50 epochs at constant rates.
    "spade": Method(
        "SPADE",
        TrainConfig(
            network=SpadeConfig(),
            weights=LossWeights(feature=10.0, perceptual=10.0, kld=0.05),
        ),
        repeated=True,
    ),
    "inst": Method(
        "INST", replace(_PAPER, network=replace(SIAN_NETWORKS["paper"], stylization=False))
    ),
    "style": Method(
        "STYLE", replace(_PAPER, network=replace(SIAN_NETWORKS["paper"], instantiation=False))
    ),
    # The paper, literally and at full size: 50 epochs of the 1,470 crops of MoNuSeg at batch 8.
    "sian": Method("SIAN", _PAPER, repeated=True),
    # What is served.
    "sian-release": Method(
        "SIAN release",
        TrainConfig(
            network=SIAN_NETWORKS["release"],
            crop_px=128,
            style_px=192,
            batch_size=6,
            steps=20_000,
            sampling="random",
            style_source="other",
            median_blur=0.0,
            stain_jitter=0.8,
            weights=LossWeights(
                feature=10.0,
                perceptual=4.0,
                kld=0.01,
                regression=1.0,
                colour=0.05,
                projected=1.0,
                segmentation=64.0,
            ),
            kld_reduction="sample_mean",
            discriminator_norm="spectral",
            discriminator_width=16,
            generator_spectral_norm=False,
            lr_generator=2e-4,
        ),
        compact=True,
        repeated=True,
    ),
}


def method_named(name: str, known: Mapping[str, Method] = METHODS) -> Method:
    """Raises ParameterInvalid, with the names there are."""
    if name not in known:
        raise ParameterInvalid(f"There is no method '{name}'. Choose one of: {', '.join(known)}.")
    return known[name]
