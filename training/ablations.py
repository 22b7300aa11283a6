"""The release network's choices, each undone or another one added, to see what they are worth."""

from dataclasses import replace
from typing import Any

from training.config import TrainConfig
from training.methods import METHODS, Method

_RELEASE = METHODS["sian-release"].config


def _network(**changes: Any) -> TrainConfig:
    return replace(_RELEASE, network=replace(_RELEASE.network, **changes))


def _weights(**changes: float) -> TrainConfig:
    return replace(_RELEASE, weights=replace(_RELEASE.weights, **changes))


def _variant(title: str, config: TrainConfig, *, repeated: bool = False) -> Method:
    return Method(title, config, compact=True, repeated=repeated)


VARIANTS: dict[str, Method] = {
    "release": _variant("release", _RELEASE, repeated=True),
    # More of what it might have.
    "diff-augment": _variant("and DiffAugment", replace(_RELEASE, diff_augment=True)),
    # The mean over patches is flatter than a single score, for which 10 is usual.
    "r1": _variant("and R1, weight 1000", replace(_RELEASE, r1=1000.0)),
    "wide": _variant(
        "a quarter wider", _network(widths=(240, 240, 240, 160, 120, 80, 40), branch_filters=40)
    ),
    "nucleus-noise": _variant("and noise per nucleus", _network(nucleus_noise=True)),
    # Less of what it has, or none.
    "segmentation-16": _variant(
        "the discriminator of pixel classes weighs a quarter", _weights(segmentation=16)
    ),
    "segmentation-4": _variant(
        "the discriminator of pixel classes weighs a 16th", _weights(segmentation=4)
    ),
    "segmentation-1": _variant(
        "the discriminator of pixel classes weighs a 64th", _weights(segmentation=1)
    ),
    "no-segmentation": _variant(
        "without the discriminator of pixel classes",
        _weights(segmentation=0),
    ),
    "no-projected": _variant(
        "without the discriminator on VGG19 features",
        _weights(projected=0),
    ),
    "no-average": _variant("without averaged weights", replace(_RELEASE, ema_decay=0.0)),
    "no-colour-axes": _variant(
        "SPADE's style encoder, no colour axes", _network(encoder="spade", colour_head=False)
    ),
    "no-colour-loss": _variant("without the colour loss", _weights(colour=0)),
    "no-jitter": _variant("without stain augmentation", replace(_RELEASE, stain_jitter=0.0)),
    "no-noise": _variant("without noise", _network(noise=False)),
    "same-crop": _variant("style from the crop itself", replace(_RELEASE, style_source="same")),
    "nearest-maps": _variant(
        "coarse maps by nearest pixels",
        _network(coarse_semantic="nearest", coarse_instance="nearest"),
    ),
}
"""By the name that ``sian experiment ablations --methods`` and ``sian train --variant`` take; the
first is what is served."""
