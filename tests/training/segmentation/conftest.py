"""Small annotated images and a small SegNet."""

from collections.abc import Callable
from typing import Any

import pytest

from training.data.crops import LoadedSlide
from training.segmentation.config import SegNetConfig
from training.segmentation.data import Annotated


@pytest.fixture
def annotated(slides: list[LoadedSlide]) -> list[Annotated]:
    """The two slides of the trainer's tests: dark discs of radius 7 on 160 px."""
    return [Annotated(slide.image_u8, slide.labels) for slide in slides]


@pytest.fixture
def segnet_config() -> Callable[..., SegNetConfig]:
    """A SegNetConfig of a small network on 64 px crops; options override."""

    def make(**options: Any) -> SegNetConfig:
        values: dict[str, Any] = {
            "width": 4,
            "crop_px": 64,
            "batch_size": 2,
            "steps": 6,
            "precision": "fp32",
        }
        return SegNetConfig(**(values | options))

    return make
