"""What the trainer asks of a baseline's network."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

from model.errors import CheckpointMismatch
from training.conditions import CONDITION_CHANNELS, Condition


@dataclass(frozen=True)
class BaselineConfig(ABC):
    """Shape of a baseline's generator; its fields are those of the network section of a card.

    condition: what the generator is shown of an instance mask.
    """

    condition: ClassVar[Condition]

    @property
    @abstractmethod
    def stride(self) -> int:
        """Pixels of the tile per pixel of the coarsest feature map."""

    @property
    def condition_channels(self) -> int:
        """C of the condition (B C H W)."""
        return CONDITION_CHANNELS[self.condition]

    @property
    def style_features(self) -> int:
        """Learned entries of the style vector; 0 for a method without styles."""
        return 0

    @property
    def style_dim(self) -> int:
        """Length D of a style vector; no baseline adds explicit entries to the learned ones."""
        return self.style_features

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, as stored in a card."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Raises CheckpointMismatch for unknown or missing fields."""
        known = {field.name for field in fields(cls)}
        if set(values) != known:
            raise CheckpointMismatch(
                f"The network section has the fields {', '.join(sorted(values)) or 'none'} where "
                f"{', '.join(sorted(known))} are expected; it was written by another version of "
                "this software."
            )
        return cls(**values)
