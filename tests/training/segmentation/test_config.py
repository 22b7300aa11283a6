"""SegNetConfig: to JSON and back."""

import json

import pytest

from model.errors import ParameterInvalid
from training.segmentation.config import SegNetConfig


def test_it_survives_json() -> None:
    config = SegNetConfig(width=8, class_weights=(0.5, 1.0, 2.0), augment=False, precision="fp32")
    assert SegNetConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_settings_younger_or_older_than_a_file() -> None:
    values = SegNetConfig(width=8).to_dict()
    del values["class_weights"]
    assert SegNetConfig.from_dict(values | {"gone": 1}) == SegNetConfig(width=8)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_leaves_something_of_both(share: float) -> None:
    with pytest.raises(ParameterInvalid, match="synthetic_share is"):
        SegNetConfig(synthetic_share=share)


@pytest.mark.parametrize("side", [0, 100])
def test_crops_must_fit_the_poolings(side: int) -> None:
    with pytest.raises(ParameterInvalid, match=f"crop_px is {side}; .* multiple of 32"):
        SegNetConfig(crop_px=side)
