"""SegNetConfig: everything the training of a SegNet depends on besides its images."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from model.errors import ParameterInvalid
from training.segmentation.segnet import STRIDE
from training.speed import Precision


@dataclass(frozen=True)
class SegNetConfig:
    """One training run of a SegNet.

    width: filters of its first stage.
    crop_px: side of the training crops, a multiple of 32.
    batch_size: crops a step, over all processes.
    steps: length of the run; the default is 50 epochs of MoNuSeg's 1,470 crops.
    learning_rate: Adam's at the first step; falls along half a cosine to 0 at the last.
    augment: traditional augmentation, see ``training.segmentation.data``.
    synthetic_share: of the crops, where synthetic images are added to real ones; the default is
        that of the paper's 5,000 tiles in their union with MoNuSeg's 1,470 crops.
    class_weights: of background, inside and boundary in the cross-entropy.
    precision: bf16 is autocast of the convolutions; auto, where the device gains from it.
    """

    width: int = 64
    crop_px: int = 256
    batch_size: int = 8
    steps: int = 9_200
    learning_rate: float = 1e-3
    augment: bool = True
    synthetic_share: float = 5_000 / 6_470
    class_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    precision: Precision = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_weights", tuple(self.class_weights))
        if self.crop_px < STRIDE or self.crop_px % STRIDE:
            raise ParameterInvalid(
                f"crop_px is {self.crop_px}; a SegNet needs a multiple of {STRIDE}."
            )
        if not 0 < self.synthetic_share < 1:
            raise ParameterInvalid(
                f"synthetic_share is {self.synthetic_share}; it must lie between 0 and 1."
            )

    def fixed(self) -> dict[str, Any]:
        """Settings that a resumed run may not change, JSON-ready. The number of steps is one:
        the learning rate of each depends on it."""
        free = {"learning_rate", "precision"}
        return {k: v for k, v in self.to_dict().items() if k not in free}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self) | {"class_weights": list(self.class_weights)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "SegNetConfig":
        """Of what ``to_dict`` gave; a setting younger than that has its default."""
        known = {item.name for item in fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})
